"""Prompt files: weights, prompts that are held out, prompts that come again; bad ones are named by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from map_core.data.prompts import Prompt, hold_out, read_prompts
from map_core.errors import InputError


def read(tmp_path: Path, text: str, name: str = "p.jsonl", **how: bool) -> tuple[Prompt, ...]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_prompts(path, **how)


def test_weights_and_what_is_held_out(tmp_path: Path) -> None:
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


def test_prompts_that_come_again_can_count(tmp_path: Path) -> None:
    text = "where is my parcel?\nthanks\nwhere is my parcel?\n\nwhere is my parcel?  \n"
    with pytest.raises(InputError, match=r"same prompt in line 1 and line 3.* let it count as often as it comes"):
        read(tmp_path, text, "p.txt")
    prompts = read(tmp_path, text, "p.txt", count_repeats=True)
    assert [(p.id, p.text, p.weight) for p in prompts] == [
        ("line-1", "where is my parcel?", 3.0),
        ("line-2", "thanks", 1.0),
    ]


@pytest.mark.parametrize("weight", ["0", "-1", '"many"', "null", "true", "1e300", "NaN", "[]"])
def test_weights_that_are_none_are_named(tmp_path: Path, weight: str) -> None:
    with pytest.raises(InputError, match=r"Line 2 of .* has the weight .*; expected a number above 0"):
        read(tmp_path, f'{{"prompt": "a"}}\n{{"prompt": "b", "weight": {weight}}}\n')


def test_held_out_is_true_or_false(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Line 1 of .* has held_out 'perhaps'; expected true or false"):
        read(tmp_path, '{"prompt": "a", "held_out": "perhaps"}')


def test_a_share_of_each_use_case_is_held_out_whatever_the_order() -> None:
    prompts = [Prompt(f"p{n}", "a" if n < 10 else "b", f"text {n}") for n in range(30)]
    held = hold_out(prompts, 0.2)
    assert [sum(p.held_out for p in held if p.use_case == case) for case in "ab"] == [2, 4]
    assert [p.id for p in held] == [p.id for p in prompts]
    turned = hold_out(prompts[::-1], 0.2)
    assert {p.id for p in turned if p.held_out} == {p.id for p in held if p.held_out}
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
def test_no_prompts_is_said(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InputError, match="has no prompts"):
        read(tmp_path, text, name)
