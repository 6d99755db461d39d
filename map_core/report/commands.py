"""Shell commands over several lines, and the command that adds values defined in the app to a table's file.

Constraint: every name that a user chose is quoted for the shell.
"""

from __future__ import annotations

import json
import shlex

from map_core.analysis.generation_weights import weights_by_value
from map_core.data.reward_table import ADDED_VALUES
from map_core.models.files import recorded_model
from map_core.report.contents import Report
from map_core.scoring import Specification, from_metadata

PYTHON = "python -m map_core"
#: The embedded table, and the names of the files that the commands write for values that were added in the app.
EMBEDDED, VALUES_FILE, WITH_VALUES = "assets/default.parquet", "values.json", "with-values.parquet"


def command_text(name: str, *words: str) -> str:
    """Return a shell command with one option per line."""
    text = f"{PYTHON} {name}"
    for k, word in enumerate(words):
        follows = k > 0 and words[k - 1].startswith("--") and not word.startswith("--")
        text += (" " if follows else " \\\n  ") + shlex.quote(word)
    return text


def model_argument(report: Report) -> str:
    """Return the base model's name for ``--model``: the one that the table records, else the default one."""
    recorded = report.source.metadata.get("model")
    if isinstance(recorded, str) and recorded:
        return recorded
    return recorded_model({"model": recorded if isinstance(recorded, dict) else None})


def weights_of(report: Report) -> dict[str, float]:
    """Return lambda by value, in 1 / reward, for values with a weight; empty without a solution."""
    return {} if report.solution is None else weights_by_value(report.oracle, report.solution)


def added_values(report: Report) -> dict[str, Specification]:
    """Return the definitions of this palette's values that were added in the app and are not in the table's file."""
    metadata = report.source.metadata
    targeted = {report.table.values[j] for j in report.asked} | set(weights_of(report))
    targeted |= {column.value for column in report.table.derived}
    definitions = from_metadata(metadata)
    return {
        name: definitions[name] for name in metadata.get(ADDED_VALUES) or () if name in targeted and name in definitions
    }


def add_command(report: Report) -> str:
    """Return a command that writes a values file of the added values, followed by ``build --extend`` with that file."""
    entries = {
        name: {"family": definition.family, **definition.settings} for name, definition in added_values(report).items()
    }
    text = json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False)
    words = ["--extend", report.source.table or EMBEDDED, "--values-file", VALUES_FILE]
    words += ["--values", ",".join(entries), "--out", WITH_VALUES]
    return f"printf '%s\\n' {shlex.quote(text)} > {VALUES_FILE}\n" + command_text("build", *words)
