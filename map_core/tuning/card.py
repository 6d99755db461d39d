"""The card of a tuned model, in the form of the Hugging Face hub: its targets, how it was tuned, and the results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from map_core.core import amounts

CARD = "README.md"

_METHODS = {
    "advantage": "distillation by token-level advantages from fitted values, the divergence summed over the vocabulary",
    "distill": "weighted distillation: cross-entropy on the table's replies with weights softmax(lambda . r)",
    "pairs": "regression of log-ratio differences on lambda . (r_a - r_b) (REBEL, arXiv 2404.16767)",
    "natural": "one natural-gradient step of the output layer, solved from scores of the replies' beginnings "
    "(K-FAC, arXiv 1503.05671)",
    "dpo": "DPO with soft labels sigma(lambda . (r_a - r_b)) and beta 1 (arXiv 2305.18290)",
    "rloo": "RLOO with beta 1, the divergence in the reward, advantages not normalised (arXiv 2402.14740)",
}


def card_text(record: Mapping[str, Any]) -> str:
    """Return the card of a tuned model as Markdown with its header.

    Args:
        record: what :func:`map_core.tuning.run.tune` returns.
    """
    sampling = record["sampling"]
    header = ["---", f"base_model: {json.dumps(record['model']['name'])}"]
    header += ["library_name: transformers" if not record["settings"]["rank"] else "library_name: peft"]
    header += ["pipeline_tag: text-generation", "tags:", "  - value-palette", f"  - {record['method']}", "---", ""]
    lines = [
        *header,
        f"# {record['model']['name']}, tuned on a palette",
        "",
        "The best model for these weights is p0(y|x) exp(lambda . r(x, y)) / Z; this one was tuned towards it.",
        "",
        f"* Method: {_METHODS[record['method']]}.",
        f"* Base model: {record['model']['name']}, weights sha256 {record['model']['sha256']}.",
        f"* Table: sha256 {record['table']['sha256']}, {record['table']['prompts']} prompts, of which "
        f"{len(record['held_out'])} were not tuned on.",
        f"* To be sampled at temperature {amounts.significant(sampling['temperature'])} over the whole vocabulary, up "
        f"to {sampling['max_new_tokens']} tokens: this is the distribution that was tuned.",
        f"* Settings: {', '.join(f'{name} {setting}' for name, setting in record['settings'].items())}.",
        "",
        "## Palette",
        "",
        "Levels on the prompts that it was tuned on; forecast is that of the best model for these weights.",
        "",
        "| value | base | asked for | forecast | lambda (1/reward) |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    asked = record["palette"].get("asked", {})
    for name in record["values"]:
        columns = (record.get("base", {}), asked, record.get("forecast", {}), record["weights"])
        cells = [
            _number(column.get(name)) if column is not asked or name in asked else "no target" for column in columns
        ]
        cells[-1] = cells[-1] if name in record["weights"] else "0"
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "## Evidence", ""]
    evidence = record["evidence"]
    check = record.get("check")
    if evidence is None and not check:
        lines.append("None yet: no held-out prompts were looked at. Run `verify --model FOLDER`.")
    lines += _evidence_lines(evidence) if evidence else []
    lines += [*([""] if evidence else []), *_check_lines(check)] if check else []
    if record["p0"] and record["p0"]["cuts"]:
        lines += [
            "",
            f"The table was drawn at {' and '.join(record['p0']['cuts'])}, {amounts.nats(record['p0']['kl'])} a "
            "reply from what was tuned.",
        ]
    return "\n".join(lines) + "\n"


def _evidence_lines(evidence: Mapping[str, Any]) -> list[str]:
    share, interval = evidence["share_of_way"], evidence["share_of_way_90"]
    lines = [
        f"On {evidence['prompts']} prompts that were not tuned on, from {evidence['replies']} replies of the base "
        "model to each, weighted by q / p0 of the tuned model q. `verify --model` holds it against replies of its own.",
        "",
        "| value | base | tuned | forecast |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, levels in evidence["levels"].items():
        cells = (_number(levels[column]) for column in ("base", "tuned", "forecast"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append("")
    if share is not None:
        between = f" (90%: {_percent(interval[0])} to {_percent(interval[1])})" if interval else ""
        lines.append(f"* Share of the way in lambda . r: {_percent(share)}{between}.")
    lines.append(
        f"* Divergence from the base model: {amounts.nats(evidence['kl'])}; lambda's own: "
        f"{amounts.nats(evidence['kl_forecast'])}."
    )
    return lines


def _check_lines(check: Mapping[str, Any]) -> list[str]:
    """Return what `verify` found, on the model's own replies."""
    low, high = check["share_of_way_interval"]
    between = "" if low is None or high is None else f" ({_percent(low)} to {_percent(high)})"
    share = amounts.UNKNOWN if check["share_of_way"] is None else _percent(check["share_of_way"])
    lines = [
        f"On {check['replies']} replies of its own to each of {check['prompts']} prompts that were not tuned on "
        f"(`verify --model`, intervals of {amounts.percent(check['level'])}):",
        "",
        "| value | base | tuned | forecast | |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for name, value in check["values"].items():
        cells = (_number(value[column]) for column in ("base", "tuned", "forecast"))
        lines.append(f"| {name} | {' | '.join(cells)} | {value['outcome'] or ''} |")
    return [
        *lines,
        "",
        f"* Share of the way in lambda . r: {share}{between}.",
        f"* Divergence from the base model: {amounts.nats(check['kl'])}; lambda's own: "
        f"{amounts.nats(check['kl_forecast'])}.",
    ]


def _number(value: float | None) -> str:
    return amounts.UNKNOWN if value is None else amounts.significant(value, 4)


def _percent(share: float) -> str:
    return f"{amounts.fixed(100 * share)}%"
