"""Convert generations to plain records, for JSON lines and spreadsheets.

A record is one generation: its prompt, all candidates with rewards and probabilities, the picks and their cost, and
everything that is needed to repeat it. Constraint: plain JSON values, no NaN and no infinity.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from map_core.core import amounts, safe_csv
from map_core.generation.choice import Choice
from map_core.generation.events import Finished
from map_core.generation.request import GenerationRequest
from map_core.scoring.base import log_prob
from map_core.service.generation import Generation
from map_core.service.snapshot import Phase

#: Characters that JSON allows inside a text and at which some readers break lines.
_BREAKS = str.maketrans({char: f"\\u{ord(char):04x}" for char in "\x85\u2028\u2029"})


def outcome_record(request: GenerationRequest, finished: Finished) -> dict[str, Any]:
    """Return the record of a request and its outcome.

    Args:
        request: what was generated.
        finished: the outcome.
    """
    candidates = [
        {
            "reply": reply.text,
            "rewards": {name: amounts.json_safe(rewards[k]) for name, rewards in finished.rewards.items()},
            "probability": finished.choice.probabilities[k],
            "tokens": len(reply.tokens) or len(reply.log_probs) or (None if reply.text else 0),
            "log_prob": amounts.json_safe(log_prob(reply)),
            "finished": reply.finished,
        }
        for k, reply in enumerate(finished.replies)
    ]
    return _record(request, candidates, request.base, finished.choice, dict(request.weights), finished.tokens, True)


def generation_record(
    generation: Generation,
    weights: Mapping[str, float] | None = None,
    palettes: Mapping[str, Mapping[str, float]] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the record of a generation, finished or not.

    Args:
        generation: the generation.
        weights: lambda by value for the pick; None for the current ones.
        palettes: weights of further palettes by name, which choose among the same candidates.
        more: further plain entries, such as the name of the model.

    Returns:
        As :func:`outcome_record`, without log-probabilities of replies. Where "complete" is false, picks are None and
        probabilities provisional.
    """
    snapshot = generation.snapshot()
    done = snapshot.phase is Phase.DONE
    weights = dict(generation.weights if weights is None else weights)
    choice = generation.choice(weights)
    candidates = [
        {
            "reply": candidate.text,
            "rewards": {name: candidate.rewards.get(name) for name in generation.request.scored},
            "probability": None if choice is None else choice.probabilities[k],
            "tokens": candidate.tokens,
            "finished": candidate.finished,
        }
        for k, candidate in enumerate(snapshot.candidates)
    ]
    record = _record(generation.request, candidates, snapshot.base, choice, weights, snapshot.tokens, done)
    others = []
    for name, palette_weights in (palettes or {}).items():
        palette_choice = generation.choice(palette_weights)
        others.append(
            {
                "name": name,
                "weights": dict(palette_weights),
                **_chosen(palette_choice, candidates, done),
                "probabilities": None if palette_choice is None else list(palette_choice.probabilities),
            }
        )
    return record | ({"palettes": others} if others else {}) | more


def _record(
    request: GenerationRequest,
    candidates: list[dict[str, Any]],
    base: int,
    choice: Choice | None,
    weights: dict[str, float],
    tokens: int,
    complete: bool,
) -> dict[str, Any]:
    chat = [{"prompt": turn.prompt, "reply": turn.reply} for turn in request.history]
    return {
        "prompt": request.prompt,
        "base": candidates[base]["reply"],
        "base_candidate": base,
        **_chosen(choice, candidates, complete),
        "candidates": candidates,
        "tokens": tokens,
        "seed": request.seed,
        "weights": weights,
        "sampling": request.settings.as_dict(),
        "method": request.method.value,
        "complete": complete,
        **({"history": chat} if chat else {}),
        **({"system": request.system} if request.system else {}),
    }


def _chosen(choice: Choice | None, candidates: list[dict[str, Any]], complete: bool) -> dict[str, Any]:
    """Return the pick and its certificate."""
    picked = choice.picked if complete and choice is not None else None
    return {
        "aligned": None if picked is None else candidates[picked]["reply"],
        "aligned_candidate": picked,
        "ess": None if choice is None else choice.ess,
        "kl": None if choice is None else choice.kl,
        "log_z": None if choice is None else choice.log_z,
        "error": None if choice is None else choice.error,
        "more_would_help": None if choice is None else choice.more_would_help,
        **({} if choice is None or choice.decided is None else {"decided": choice.decided}),
        **({} if choice is None or choice.floors is None else {"floors": choice.floors.as_dict()}),
    }


def json_line(record: Mapping[str, Any]) -> str:
    """Return a record as one JSON line with its line break, safe for readers that break lines at other characters."""
    return json.dumps(record, allow_nan=False, ensure_ascii=False).translate(_BREAKS) + "\n"


def json_lines(records: Iterable[Mapping[str, Any]]) -> str:
    """Return records as JSON lines."""
    return "".join(map(json_line, records))


def candidates_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Return a CSV table with a row per candidate: reply, rewards, probabilities, whether picked, and settings.

    Text that a spreadsheet would read as a formula is preceded by an apostrophe.
    """
    rewards = _names(c["rewards"] for record in records for c in record["candidates"])
    weights = _names(record["weights"] for record in records)
    settings = _names(record["sampling"] for record in records)
    palettes = _names({p["name"]: None} for record in records for p in record.get("palettes", ()))
    out = io.StringIO()
    writer = safe_csv.Writer(out)
    writer.writerow(
        [
            *("generation", "prompt", "earlier_turns", "candidate", "reply", "base", "aligned", "probability"),
            *(f"{column} ({name})" for name in palettes for column in ("aligned", "probability")),
            *(f"reward_{name}" for name in rewards),
            *("tokens", "finished", "complete", "ess", "kl_nats", "log_z", "candidates", "method", "model", "seed"),
            *settings,
            *(f"weight_{name}" for name in weights),
        ]
    )
    for number, record in enumerate(records, start=1):
        others = {palette["name"]: palette for palette in record.get("palettes", ())}
        certificate = [_number(record[name]) for name in ("ess", "kl", "log_z")]
        for k, candidate in enumerate(record["candidates"]):
            of_palettes: list[Any] = []
            for name in palettes:
                palette = others.get(name, {})
                probabilities = palette.get("probabilities")
                of_palettes.append(int(palette.get("aligned_candidate") == k))
                of_palettes.append(_number(probabilities[k] if probabilities else None))
            writer.writerow(
                [
                    number,
                    record["prompt"],
                    len(record.get("history", ())),
                    k + 1,
                    candidate["reply"],
                    int(record["base_candidate"] == k),
                    int(record["aligned_candidate"] == k),
                    _number(candidate["probability"]),
                    *of_palettes,
                    *(_number(candidate["rewards"].get(name)) for name in rewards),
                    candidate["tokens"],
                    int(candidate["finished"]),
                    int(record["complete"]),
                    *certificate,
                    len(record["candidates"]),
                    record["method"],
                    str(record.get("model", "")),
                    record["seed"],
                    *(record["sampling"].get(name, "") for name in settings),
                    *(record["weights"].get(name, 0.0) for name in weights),
                ]
            )
    return out.getvalue()


def _names(mappings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return all keys, in the order of their first appearance."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _number(value: float | None) -> float | str:
    """Return a number for a cell; "" for None."""
    return "" if value is None else value
