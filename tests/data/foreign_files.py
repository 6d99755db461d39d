"""Helpers that write third-party files of every format that is read."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

ROWS = [
    {"prompt": "How are you?", "generated": "How are you?\nFine, thanks.", "humor": 0.5, "length": 3},
    {"prompt": "Tell a joke", "generated": "Tell a joke: knock knock", "humor": 2.5, "length": 4},
    {"prompt": "How are you?", "generated": "How are you? You tell me.", "humor": 1.25, "length": 1},
]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_csv(mark: str = ",", comma: bool = False) -> str:
    lines = [mark.join(ROWS[0])]
    for row in ROWS:
        cells = [f'"{cell}"' if isinstance(cell, str) else str(cell) for cell in row.values()]
        lines.append(mark.join(cell.replace(".", ",") if comma and cell[0] != '"' else cell for cell in cells))
    return "\n".join(lines) + "\n"


def parquet(folder: Path) -> Path:
    pd.DataFrame(ROWS).to_parquet(folder / "rows.parquet")
    return folder / "rows.parquet"


KINDS = {
    "Parquet": parquet,
    "JSON list": lambda folder: write(folder, "rows.json", json.dumps(ROWS, indent=1)),
    "JSON lines": lambda folder: write(folder, "rows.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n"),
    "CSV": lambda folder: write(folder, "rows.csv", as_csv()),
    "CSV of Windows": lambda folder: write(folder, "rows.csv", as_csv().replace("\n", "\r\n").replace("?\r", "?")),
    "CSV with a byte order mark": lambda folder: write(folder, "rows.csv", as_csv().encode("utf-8-sig")),
    "CSV in UTF-16": lambda folder: write(folder, "rows.csv", as_csv().encode("utf-16")),
    "CSV of Excel in Europe": lambda folder: write(folder, "rows.txt", as_csv(";", comma=True)),
    "CSV with tabs": lambda folder: write(folder, "rows.tsv", as_csv("\t")),
}


def reply(**columns: object) -> dict[str, object]:
    return {"prompt": "a", "reply": "x", "humor": 1.0} | columns


def lines(*rows: object) -> str:
    return "\n".join(json.dumps(row) for row in rows)
