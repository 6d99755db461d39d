"""Tests of layouts of public data sets and tools: recognised, read, and reported."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from map_core.data.importing import ColumnChoice, import_file, import_table, preview
from map_core.data.importing.layouts import chats
from map_core.data.importing.turns import as_prompt
from map_core.errors import InputError
from tests.data.conversations import ASK, CHAT, LONG, LONG_TEXT, said

#: The rows of a file, and what they become: prompts, replies, values and rewards.
READ: dict[str, tuple[list[dict[str, Any]], list[str], list[str], dict[str, list[float]]]] = {
    "completions with annotations": (
        [
            {
                "instruction": ASK,
                "models": ["a", "b"],
                "completions": [
                    {
                        "response": text,
                        "overall_score": score,
                        "annotations": {"tact": {"Rating": str(k), "Rationale": "So."}, "wit": {"Rating": str(3 - k)}},
                    }
                    for k, (text, score) in enumerate((("A tit.", 8.5), ("A car.", 1.0)), start=1)
                ],
            }
        ],
        [ASK],
        ["A tit.", "A car."],
        {"overall_score": [8.5, 1.0], "tact": [1, 2], "wit": [2, 1]},
    ),
    "lists beside each other": (
        [{"prompt": ASK, "responses": ["A tit.", "A car.", "No."], "rewards": [3.5, -1.0, 0.5], "seed": [1, 2, 3]}],
        [ASK],
        ["A tit.", "A car.", "No."],
        {"rewards": [3.5, -1.0, 0.5]},
    ),
    "lists of several scores": (
        [{"prompt": ASK, "responses": ["A tit.", "A car."], "rewards": [[3.5, 0.25, 1], [-1.0, 0.5, 2]]}],
        [ASK],
        ["A tit.", "A car."],
        {"rewards_1": [3.5, -1.0], "rewards_2": [0.25, 0.5], "rewards_3": [1, 2]},
    ),
    "lists of named scores": (
        [{"prompt": CHAT, "responses": ["A tit.", "A car."], "scores": [{"wit": 1, "tact": 4}, {"wit": 2, "tact": 3}]}],
        [ASK],
        ["A tit.", "A car."],
        {"wit": [1, 2], "tact": [4, 3]},
    ),
    "outputs of a batch run": (
        [{"prompt": ASK, "outputs": [{"index": k, "text": f"r{k}", "cumulative_logprob": -k - 1.0} for k in range(2)]}],
        [ASK],
        ["r0", "r1"],
        {"cumulative_logprob": [-1, -2]},
    ),
    "dialogues chosen and rejected": (
        [
            {"chosen": f"\n\nHuman: {ASK}\n\nAssistant: A tit.", "rejected": f"\n\nHuman: {ASK}\n\nAssistant: A car."},
            {
                "chosen": f"\n\nHuman: Hi.\n\nAssistant: Hi!\n\nHuman: {ASK}\n\nAssistant: A tit.\n\nIt sings.",
                "rejected": f"\n\nHuman: Hi.\n\nAssistant: Hi!\n\nHuman: {ASK}\n\nAssistant: No.",
            },
        ],
        [ASK, f"User: Hi.\n\nAssistant: Hi!\n\nUser: {ASK}"],
        ["A tit.", "A car.", "A tit.\n\nIt sings.", "No."],
        {"chosen": [1, 0, 1, 0]},
    ),
    "chats chosen and rejected, with scores": (
        [
            {
                "prompt": ASK,
                "chosen": [*LONG, *said("A tit.")],
                "rejected": [*LONG, *said("A car.")],
                "score_chosen": 4.5,
                "score_rejected": 2.0,
            }
        ],
        [LONG_TEXT],
        ["A tit.", "A car."],
        {"score": [4.5, 2.0]},
    ),
    "texts chosen and rejected, with scores": (
        [
            {
                "prompt": ASK,
                "chosen": "A tit.",
                "chosen_model": "a",
                "rejected": "A car.",
                "results": 1,
                "id": 30,
                "scores_chosen": 3.25,
                "scores_rejected": -1.0,
            }
        ],
        [ASK],
        ["A tit.", "A car."],
        {"scores": [3.25, -1.0]},
    ),
    "replies with numbers": (
        [
            {
                "prompt": ASK,
                "response_0": "A tit.",
                "response_1": "A car.",
                "is_response_0_safe": True,
                "is_response_1_safe": False,
                "better_response_id": 0,
                "safer_response_id": 1,
            }
        ],
        [ASK],
        ["A tit.", "A car."],
        {"is_safe": [1, 0], "better": [1, 0], "safer": [0, 1]},
    ),
    "a chat and its completion": (
        [
            {"prompt": LONG, "completion": said("A tit."), "score": 1.5},
            {"prompt": CHAT, "completion": "No.", "score": 2},
        ],
        [LONG_TEXT, ASK],
        ["A tit.", "No."],
        {"score": [1.5, 2]},
    ),
    "messages": (
        [{"messages": [*CHAT, *said("A tit.")], "wit": 1.5}, {"messages": [*LONG, *said("No.")], "wit": 0.5}],
        [ASK, LONG_TEXT],
        ["A tit.", "No."],
        {"wit": [1.5, 0.5]},
    ),
    "conversations in other words": (
        [{"conversations": [{"from": "human", "value": ASK}, {"from": "gpt", "value": "A tit."}], "wit": 1.5}],
        [ASK],
        ["A tit."],
        {"wit": [1.5]},
    ),
    "scores in an object": (
        [{"prompt": ASK, "reply": f"r{k}", "scores": {"wit": k, "tact": {"score": 2.5 * k}}} for k in range(2)],
        [ASK],
        ["r0", "r1"],
        {"wit": [0, 1], "tact": [0, 2.5]},
    ),
}


def written(folder: Path, rows: list[dict[str, Any]], kind: str = "jsonl") -> Path:
    path = folder / f"rows.{kind}"
    frame = pd.DataFrame(rows)
    if kind == "parquet":
        frame.to_parquet(path, index=False)
    elif kind == "json":
        path.write_text(json.dumps(rows, indent=1))
    elif kind == "csv":  # nested cells as JSON
        nested = {name: [json.dumps(c) if isinstance(c, list | dict) else c for c in frame[name]] for name in frame}
        pd.DataFrame(nested).to_csv(path, index=False)
    elif kind == "repr.csv":  # nested cells as pandas writes them
        frame.to_csv(path, index=False)
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "csv", "repr.csv"])
@pytest.mark.parametrize("layout", READ)
def test_layout_is_recognised(layout: str, kind: str, tmp_path: Path) -> None:
    rows, prompts, replies, rewards = READ[layout]
    if layout == "a chat and its completion" and kind == "parquet":
        rows = [row | {"completion": said("No.") if row["completion"] == "No." else row["completion"]} for row in rows]
    path = written(tmp_path, rows, kind)
    previewed = preview(path)
    imported = import_table(path)
    table = imported.table
    assert table.prompts == tuple(prompts)
    assert table.replies == tuple(replies)
    assert table.values == tuple(rewards)
    np.testing.assert_allclose(table.rewards, np.array(list(rewards.values())).T)
    assert previewed.mapping
    assert previewed.mapping == imported.notes[0]
    assert previewed.guess.values == table.values
    chosen = import_table(path, values=previewed.guess.values, prompt_column="prompt", reply_column="reply")
    assert chosen.table.replies == table.replies


def test_file_with_one_row_per_reply_has_no_layout(tmp_path: Path) -> None:
    rows = [
        {"prompt": ASK, "reply": f"[{k}]", "chosen": k % 2, "rejected": 1 - k % 2, "note": {"k": 1}} for k in range(4)
    ]
    path = written(tmp_path, rows)
    assert preview(path).mapping == ""
    assert import_table(path).table.values == ("chosen", "rejected")
    reply = '{"answer": [{"text": "a tit"}]}'
    table = import_table(written(tmp_path, [{"prompt": ASK, "reply": reply, "wit": 1}])).table
    assert table.replies == (reply,)


def test_later_row_of_another_shape_is_refused_with_its_number(tmp_path: Path) -> None:
    rows = [{"messages": [*CHAT, *said("A tit.")], "wit": 1.5}] * 150 + [{"messages": CHAT, "wit": 1}]
    with pytest.raises(InputError, match="row 151 is not like the first ones: 'messages' holds no chat that ends with"):
        import_table(written(tmp_path, rows))
    rows = [{"prompt": ASK, "responses": ["a", "b"], "rewards": [1, 2]}] * 150
    rows.append({"prompt": ASK, "responses": ["a", "b"], "rewards": [1]})
    with pytest.raises(InputError, match=r"row 151 .*: 'rewards' holds no list with an entry for each of 'responses'"):
        import_table(written(tmp_path, rows))


def test_missing_score_is_refused_with_the_available_ones(tmp_path: Path) -> None:
    rows, *_ = READ["completions with annotations"]
    (row,) = json.loads(json.dumps(rows))
    row["completions"][1]["annotations"]["wit"]["Rating"] = "N/A"
    with pytest.raises(InputError, match=r"row 2, column 'wit' is 'N/A'.*--values overall_score,tact"):
        import_table(written(tmp_path, [row]))
    assert import_table(written(tmp_path, [row]), values=["overall_score", "tact"]).table.values[1] == "tact"


def test_columns_of_the_file_itself_can_be_chosen(tmp_path: Path) -> None:
    rows, *_ = READ["texts chosen and rejected, with scores"]
    path, out = written(tmp_path, rows), tmp_path / "o.parquet"
    result = import_file(path, out, ColumnChoice(("scores_chosen",), "prompt", "chosen"))
    assert (result.replies, result.values) == (1, ("scores_chosen",))


def test_rows_and_replies_are_counted(tmp_path: Path) -> None:
    rows, *_ = READ["lists beside each other"]
    result = import_file(written(tmp_path, rows * 2), tmp_path / "o.parquet")
    assert (result.rows, result.prompts, result.replies) == (2, 1, 6)
    assert any("seed" in note for note in result.notes if note.startswith("Left out"))


def test_rows_without_a_reply_are_counted(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{k}", "responses": ["a", "b"][:k], "rewards": [1.5, 2.5][:k]} for k in (0, 2, 1)]
    result = import_file(written(tmp_path, rows), tmp_path / "o.parquet")
    assert result.counts == (
        "3 rows read, 1 left out, which hold no reply; 2 prompts, 3 replies, 1 value; per-prompt form."
    )


#: Parts from which random rows are composed.
PIECES: tuple[Any, ...] = (None, 1, 2.5, True, "a", "5", "", ASK, [], {}, [1, 2], ["a", "b"], [[1], [2]], CHAT, LONG)
PIECES += ([{"text": "a", "score": 1}, {"text": "b"}], {"wit": 1}, {"wit": {"rating": "N/A"}}, [None], said("a"))
PIECES += (f"\n\nHuman: {ASK}\n\nAssistant: A tit.", '["a", "b"]', "[{'role': 'user', 'content': 'a'}]", "{oops")
NAMES = ("prompt", "reply", "chosen", "rejected", "responses", "rewards", "messages", "completion", "scores", "outputs")
NAMES += (
    "response_0",
    "response_1",
    "score_chosen",
    "score_rejected",
    "score_0",
    "score_1",
    "humor",
    "data",
    "context",
)


@pytest.mark.parametrize("seed", range(60))
def test_random_rows_are_read_or_refused_with_a_message(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(4):
        names = rng.choice(NAMES, int(rng.integers(2, 7)), replace=False)
        usual = {name: PIECES[rng.integers(len(PIECES))] for name in names}
        odd = {name: PIECES[rng.integers(len(PIECES))] for name in names}
        path = written(tmp_path, [usual, usual, odd if rng.random() < 0.5 else usual])
        with suppress(InputError):  # and no other exception
            table = import_table(path).table
            assert all(isinstance(text, str) for text in (*table.prompts, *table.replies))


@pytest.mark.parametrize(
    "text", ["Human: a", "See:\n\nHuman: a\n\nAssistant: b", "", None, "Human beings.\n\nAssistant: b"]
)
def test_other_texts_are_no_dialogues(text: str | None) -> None:
    assert chats.dialogue(text) is None


def test_turns_as_a_prompt() -> None:
    assert as_prompt([("user", "Hi")]) == "Hi"
    assert as_prompt([("system", "Be brief.")]) == "System: Be brief."
