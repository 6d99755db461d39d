"""Tests of prompt files: weights, held-out prompts, repeated prompts; errors name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from map_core.data.prompts import Prompt, hold_out, read_prompts
from map_core.errors import InputError


def read(tmp_path: Path, text: str, name: str = "p.jsonl", **how: bool) -> tuple[Prompt, ...]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_prompts(path, **how)


def test_weights_and_held_out_prompts(tmp_path: Path) -> None:
    lines = '{"prompt": "a", "weight": 2.5}\n{"prompt": "b", "count": 7, "held_out": true}\n{"prompt": "c"}\n'
    prompts = read(tmp_path, lines)
    assert [(p.text, p.weight, p.held_out) for p in prompts] == [("a", 2.5, False), ("b", 7.0, True), ("c", 1.0, False)]
    table = 'prompt,count,held_out\n"a, b",3,yes\nc,,\nd,1,FALSE\n'
    prompts = read(tmp_path, table, "p.csv")
    assert [(p.text, p.weight, p.held_out) for p in prompts] == [
        ("a, b", 3.0, True),
        ("c", 1.0, False),
        ("d", 1.0, False),
    ]


def test_repeated_prompts_can_count(tmp_path: Path) -> None:
    text = "where is my parcel?\nthanks\nwhere is my parcel?\n\nwhere is my parcel?  \n"
    with pytest.raises(InputError, match=r"same prompt in line 1 and line 3.* let it count as often as it comes"):
        read(tmp_path, text, "p.txt")
    prompts = read(tmp_path, text, "p.txt", count_repeats=True)
    assert [(p.id, p.text, p.weight) for p in prompts] == [
        ("line-1", "where is my parcel?", 3.0),
        ("line-2", "thanks", 1.0),
    ]


@pytest.mark.parametrize("weight", ["0", "-1", '"many"', "null", "true", "1e300", "NaN", "[]"])
def test_invalid_weights_are_reported(tmp_path: Path, weight: str) -> None:
    with pytest.raises(InputError, match=r"Line 2 of .* has the weight .*; expected a number above 0"):
        read(tmp_path, f'{{"prompt": "a"}}\n{{"prompt": "b", "weight": {weight}}}\n')


def test_a_prompt_whose_replies_are_never_shown(tmp_path: Path) -> None:
    prompts = read(tmp_path, '{"prompt": "a", "hidden": true}\n{"prompt": "b"}\n')
    assert [prompt.hidden for prompt in prompts] == [True, False]
    with pytest.raises(InputError, match=r"Line 1 of .* has hidden 'maybe'; expected true or false"):
        read(tmp_path, '{"prompt": "a", "hidden": "maybe"}')


def test_held_out_is_true_or_false(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Line 1 of .* has held_out 'perhaps'; expected true or false"):
        read(tmp_path, '{"prompt": "a", "held_out": "perhaps"}')


def test_a_share_of_each_use_case_is_held_out_whatever_the_order() -> None:
    prompts = [Prompt(f"p{n}", "a" if n < 10 else "b", f"text {n}") for n in range(30)]
    held_out = hold_out(prompts, 0.2)
    assert [sum(p.held_out for p in held_out if p.use_case == case) for case in "ab"] == [2, 4]
    assert [p.id for p in held_out] == [p.id for p in prompts]
    turned = hold_out(prompts[::-1], 0.2)
    assert {p.id for p in turned if p.held_out} == {p.id for p in held_out if p.held_out}
    assert not any(p.held_out for p in hold_out(prompts, 0.0))
    for wrong in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError, match="expected a share from 0 to below 1"):
            hold_out(prompts, wrong)


@pytest.mark.parametrize(
    "text",
    [
        "👋🏽👨‍👩‍👧",
        "أخبرني عن القطة",
        "\u202eevil\u202c",
        "<img src=x onerror=alert(1)>",
        "=1+1",
        "a\u2028b",
        "{{ x }}",
    ],
)
def test_any_text_is_a_prompt(tmp_path: Path, text: str) -> None:
    for name in ("p.txt", "p.jsonl", "p.csv"):
        written = {"p.txt": text, "p.jsonl": f'{{"prompt": "{text}"}}', "p.csv": f'prompt\n"{text}"\n'}[name]
        assert [p.text for p in read(tmp_path, written, name)] == [text]


@pytest.mark.parametrize(("name", "text"), [("p.txt", " \n\t\n"), ("p.jsonl", ""), ("p.csv", "prompt\n")])
def test_file_without_prompts_is_reported(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InputError, match="has no prompts"):
        read(tmp_path, text, name)


@pytest.mark.parametrize(
    ("name", "content", "texts", "weights"),
    [
        ("p.csv", b"prompt\nHello, how are you?\nWhat is love?\n", ["Hello, how are you?", "What is love?"], [1, 1]),
        ("p.csv", b"Prompt ,use_case\nHow are you?,Care\n", ["How are you?"], [1]),
        ("p.csv", b"prompt;use_case\nHello, how are you?;Care\n", ["Hello, how are you?"], [1]),
        ("p.csv", "prompt,Weight\nWarum?,3\n".encode("utf-16"), ["Warum?"], [3]),
        ("p.jsonl", b'{"id": 81, "prompt": "Why?"}', ["Why?"], [1]),
        ("p.json", b'[{"prompt": "Why?"}, {"prompt": "How?", "weight": 2}]', ["Why?", "How?"], [1, 2]),
        ("p.jsonl", b'{"messages": [{"role": "user", "content": "Why?"}]}', ["Why?"], [1]),
        ("p.jsonl", b'{"turns": ["Why?"], "question_id": 81}', ["Why?"], [1]),
        ("p.jsonl", '{"prompt": "Why\u2028not?"}'.encode(), ["Why\u2028not?"], [1]),
    ],
)
def test_common_file_variants(tmp_path: Path, name: str, content: bytes, texts: list[str], weights: list[float]):
    path = tmp_path / name
    path.write_bytes(content)
    prompts = read_prompts(path)
    assert [prompt.text for prompt in prompts] == texts
    assert [prompt.weight for prompt in prompts] == weights


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", b"prompt,use_case\nHello, how are you?,Care\n", r"row 2, which ends in line 2, has 3 cells"),
        ("p.csv", b'prompt,weight\nWhy?,"1,200"\n', r"Line 2 .* has the weight '1,200'"),
        ("p.jsonl", b'{"prompt": "Why?", "wieght": 3}', r"unknown field 'wieght'. Is it 'weight'\?"),
        ("p.jsonl", b'{"prompt": "Why?", "held_outs": true}', r"Is it 'held_out'\?"),
        ("p.jsonl", b'{"prompt": "Why?", "prompt": "How?"}', r"Line 1 .* has the key 'prompt' twice"),
        ("p.jsonl", b'{"turns": ["Why?", "And then?"]}', r"turns user, user; a prompt is one turn of a user"),
        (
            "p.jsonl",
            b'{"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "W"}]}',
            "--system",
        ),
        ("p.txt", "Warum schläft er?".encode("cp1252"), r"byte 0xe4 at position 10.*Windows"),
    ],
)
def test_ambiguous_fields_are_refused(tmp_path: Path, name: str, content: bytes, message: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_prompts(path)


def test_field_names_ignore_case_and_punctuation(tmp_path: Path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"Prompt": "Why?", "usecase": "Care", "heldout": true, "Weight": 2, "source": "mail"}')
    (prompt,) = read_prompts(path)
    assert (prompt.use_case, prompt.held_out, prompt.weight) == ("Care", True, 2.0)
