"""Tests of unsupported layouts: they are refused with code that converts them to rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from map_core.data.importing import import_table
from map_core.errors import InputError
from tests.data.conversations import ASK, CHAT, LONG, LONG_TEXT, said

EVALUATION = {
    "doc_id": 0,
    "doc": {"question": ASK},
    "target": "A tit",
    "arguments": [[ASK, {"until": ["\n"]}]],
    "resps": [["A tit."]],
    "filtered_resps": ["A tit."],
    "exact_match": 1.0,
}
PROMPTFOO = {
    "evalId": "e",
    "results": {
        "prompts": [{"raw": "{{q}}"}],
        "results": [
            {"vars": {"q": ASK}, "response": {"output": f"r{k}"}, "score": k, "namedScores": {"wit": 0.5 * k}}
            for k in range(2)
        ],
    },
}
FLAT = [{"prompt": ASK, "reply": f"r{k}", "wit": 0.5 * k} for k in range(3)]
#: Refused files: name, content, another file beside it, and the replies and values that the code produces.
REFUSED: dict[str, tuple[str, Any, dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {
    "samples of an evaluation": ("a.jsonl", [EVALUATION] * 2, {}, ("A tit.", "A tit."), ("exact_match",)),
    "results of an evaluation in one object": ("a.json", PROMPTFOO, {}, ("r0", "r1"), ("score", "namedScores.wit")),
    "answers of a batch": (
        "a.jsonl",
        [
            {
                "id": "b",
                "custom_id": f"p-{k}",
                "response": {"status_code": 200, "body": {"choices": [{"index": 0, "message": said(f"r{k}")[0]}]}},
                "error": None,
            }
            for k in range(2)
        ],
        {"requests.jsonl": [{"custom_id": f"p-{k}", "body": {"model": "m", "messages": CHAT}} for k in range(2)]},
        ("r0", "r1"),
        ("unscored",),
    ),
    "answers to a benchmark": (
        "a.jsonl",
        [
            {
                "question_id": 81,
                "answer_id": "a",
                "choices": [{"index": 0, "turns": ["A tit.", "More."]}],
                "tstamp": 1.7e9,
            }
        ],
        {"question.jsonl": [{"question_id": 81, "category": "x", "turns": [ASK, "And?"]}]},
        ("A tit.",),
        ("unscored",),
    ),
    "two replies and one preference": (
        "a.jsonl",
        [{"domain": "x", "context": LONG, "response1": "A tit.", "response2": "A car.", "overall_preference": -2}],
        {},
        ("A tit.", "A car."),
        ("preferred",),
    ),
    "a table of pandas": (
        "a.json",
        json.loads(pd.DataFrame(FLAT).to_json(orient="table")),
        {},
        ("r0", "r1", "r2"),
        ("wit",),
    ),
    "parts of pandas": (
        "a.json",
        json.loads(pd.DataFrame(FLAT).to_json(orient="split")),
        {},
        ("r0", "r1", "r2"),
        ("wit",),
    ),
    "columns of pandas": ("a.json", json.loads(pd.DataFrame(FLAT).to_json()), {}, ("r0", "r1", "r2"), ("wit",)),
    "an index of pandas": (
        "a.json",
        json.loads(pd.DataFrame(FLAT).to_json(orient="index")),
        {},
        ("r0", "r1", "r2"),
        ("wit",),
    ),
    "rows in an object": ("a.json", {"version": 1, "data": FLAT}, {}, ("r0", "r1", "r2"), ("wit",)),
    "replies without scores": (
        "a.json",
        [{"instruction": ASK, "output": "A tit.", "generator": "m"}],
        {},
        ("A tit.",),
        ("unscored",),
    ),
}


@pytest.mark.parametrize("indented", [False, True])
@pytest.mark.parametrize("kind", REFUSED)
def test_unsupported_layout_is_refused_with_code_that_converts_it(
    kind: str, indented: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, content, other_file, replies, values = REFUSED[kind]
    monkeypatch.chdir(tmp_path)
    for file, rows in {name: content, **other_file}.items():
        lines = isinstance(rows, list) and file.endswith("l")
        text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=1 if indented else None)
        Path(file).write_text(text)
    with pytest.raises(InputError) as raised:
        import_table(Path(name))
    code = re.findall(r"^    (.+)$", str(raised.value), re.MULTILINE)
    assert 1 <= len(code) <= 2
    exec("\n".join(code), {"pd": pd})
    table = import_table(Path("a-flat.jsonl")).table
    assert table.replies == replies
    assert table.values == values
    assert set(table.prompts) == {LONG_TEXT if kind == "two replies and one preference" else ASK}
