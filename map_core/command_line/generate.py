"""``generate``: one prompt, answered by the base model and by the aligned model, from the same K candidates."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from map_core.errors import EngineError, InputError
from map_core.generate.aligned import aligned
from map_core.generate.events import Begun, Event, Finished, Tokens
from map_core.generate.request import GenerationRequest
from map_core.glossary import SamplingSettings

_TABLE = Path(__file__).resolve().parents[2] / "assets" / "default.parquet"


@click.command()
@click.option("--prompt", required=True, help="What the model is asked; - reads it from standard input.")
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME=W",
    help="A value and its weight (1/reward), as 'solve' prints them; may be repeated. None gives the base model.",
)
@click.argument("more_weights", nargs=-1, metavar="[NAME=W]...")
@click.option(
    "--values", "shown", help="Values whose rewards are shown: names with commas, 'all' or 'none'.", default="all"
)
@click.option("--candidates", type=click.IntRange(min=1), default=16, show_default=True, help="Replies to choose from.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Longest reply; as in the embedded table.")
@click.option("--temperature", type=click.FloatRange(0.0, 10.0, min_open=True), help="As in the embedded table.")
@click.option("--top-k", type=click.IntRange(min=0), help="0 for off; as in the embedded table.")
@click.option("--top-p", type=click.FloatRange(0.0, 1.0, min_open=True), help="1 for off; as in the embedded table.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed, the same replies."
)
@click.option("--system", help="A system prompt.")
@click.option("--model", default=None, help="Name or folder of the base model; see 'models list'.")
@click.option("--engine", type=click.Choice(["auto", "torch", "openvino"]), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def generate(
    prompt: str,
    weights: tuple[str, ...],
    more_weights: tuple[str, ...],
    shown: str,
    candidates: int,
    seed: int,
    system: str | None,
    model: str | None,
    engine: str,
    as_json: bool,
    **settings: float | int | None,
) -> None:
    """Answer a prompt as the base model and as the aligned model.

    K replies are sampled from the base model. The base reply is one of them, drawn evenly; the aligned reply is
    drawn with probability softmax(weights . rewards). Both come from the same K replies.

    \b
    Examples:
      python -m map_core generate --prompt "How do I calm a crying child?" --weights humor=2
      python -m map_core generate --prompt "My parcel is late!" --weights positivity=3 --weights helpfulness=1.5
      python -m map_core generate --prompt "Write a toast." --candidates 32 --seed 7 --json
    """
    from map_core import values

    wanted = read_weights((*weights, *more_weights))
    if shown == "all":
        names = tuple(values.DEFAULT_VALUES)
    else:
        names = tuple(name.strip() for name in shown.split(",") if name.strip() and shown != "none")
    try:
        request = GenerationRequest(
            prompt=sys.stdin.read() if prompt == "-" else prompt,
            weights=wanted,
            values=names,
            candidates=candidates,
            settings=sampling_settings(settings),
            seed=seed,
            system=system,
            provisional=False,
        )
        # Scorers first: an unknown value is told before seconds are spent on loading the model.
        scorers = {scorer.name: scorer for scorer in values.scorers(request.scored)} if request.scored else {}
    except InputError as error:
        raise click.UsageError(str(error)) from error
    from map_core.generate.engine import open_engine
    from map_core.generate.models import DEFAULT_MODEL

    began = time.perf_counter()
    opened = open_engine(model or DEFAULT_MODEL, engine)
    load_seconds = time.perf_counter() - began
    finished, timing = _watch(aligned(opened, scorers, request), candidates, stream=not as_json)
    if as_json:
        answer = outcome(request, finished) | timing
        answer |= {"load_seconds": load_seconds, "model": opened.info.model, "engine": opened.info.as_dict()}
        click.echo(json.dumps(answer, allow_nan=False, ensure_ascii=False, indent=1))
    else:
        _print_outcome(request, finished, timing["seconds"])


def _watch(events: Iterable[Event], candidates: int, stream: bool) -> tuple[Finished, dict[str, float]]:
    """Read a generation's events to the end, printing the base reply as it grows; the outcome and its times."""
    began = time.perf_counter()
    first: float | None = None
    base = 0
    try:
        for event in events:
            match event:
                case Begun():
                    base = event.base
                    if stream:
                        click.secho(f"Base reply (number {base + 1} of {candidates}, drawn evenly)", bold=True)
                case Tokens():
                    first = time.perf_counter() - began if first is None else first
                    if stream:
                        click.echo("".join(t.text for t in event.tokens if t.candidate == base), nl=False)
                case Finished():
                    seconds = time.perf_counter() - began
                    return event, {
                        "seconds": seconds,
                        "first_token_seconds": seconds if first is None else first,
                        "sampling_seconds": event.sampling_seconds,
                        "scoring_seconds": event.scoring_seconds,
                    }
    finally:
        if stream:
            click.echo()
    raise EngineError("The generation ended without an outcome. Try again.")


def read_weights(words: tuple[str, ...]) -> dict[str, float]:
    """Weights from words like ``humor=2``; several may stand in one word, with commas between them.

    Raises:
        click.UsageError: a word is not NAME=W, W is no finite number, or a value is named twice.
    """
    weights: dict[str, float] = {}
    for part in (part for word in words for part in word.split(",")):
        name, equals, number = part.partition("=")
        name = name.strip()
        try:
            weight = float(number)
        except ValueError:
            weight = float("nan")
        if not equals or not name or not abs(weight) < float("inf"):
            raise click.UsageError(f"{part!r} is not a weight; expected NAME=W with W a number, as in humor=2.")
        if name in weights:
            raise click.UsageError(f"The weight of {name!r} is given twice. Give it once.")
        weights[name] = weight
    return weights


def sampling_settings(asked: dict[str, float | int | None]) -> SamplingSettings:
    """The settings of the embedded table, which its weights belong to, with those asked for in their place."""
    settings: dict[str, Any] = {}
    if _TABLE.is_file():
        from map_core.rewards import load_metadata

        recorded = load_metadata(_TABLE).get("sampling", {})
        settings = {name: recorded[name] for name in SamplingSettings().as_dict() if name in recorded}
    return SamplingSettings(**settings | {name: value for name, value in asked.items() if value is not None})


def outcome(request: GenerationRequest, finished: Finished) -> dict[str, Any]:
    """What came of a request, as plain JSON values."""
    choice = finished.choice
    return {
        "prompt": request.prompt,
        "base": finished.replies[choice.base].text,
        "aligned": finished.replies[choice.picked].text,
        "base_candidate": choice.base,
        "aligned_candidate": choice.picked,
        "candidates": [
            {
                "reply": reply.text,
                "rewards": {name: rewards[k] for name, rewards in finished.rewards.items()},
                "probability": choice.probabilities[k],
                "tokens": len(reply.tokens),
                "log_prob": sum(reply.log_probs),
                "finished": reply.finished,
            }
            for k, reply in enumerate(finished.replies)
        ],
        "tokens": finished.tokens,
        "ess": choice.ess,
        "kl": choice.kl,
        "log_z": choice.log_z,
        "seed": request.seed,
        "weights": dict(request.weights),
        "sampling": request.settings.as_dict(),
    }


def _print_outcome(request: GenerationRequest, finished: Finished, seconds: float) -> None:
    choice = finished.choice
    probability = choice.probabilities[choice.picked]
    click.secho(f"\nAligned reply (number {choice.picked + 1}, drawn with probability {probability:.2f})", bold=True)
    click.echo(finished.replies[choice.picked].text)
    if finished.rewards:
        width = max(len(name) for name in finished.rewards) + 2
        click.echo(f"\n{'reward':{width}}{'weight':>10}{'base':>10}{'aligned':>10}{'mean of all':>13}")
        for name, rewards in finished.rewards.items():
            numbers = (request.weights.get(name, 0.0), rewards[choice.base], rewards[choice.picked])
            mean = sum(rewards) / len(rewards)
            click.echo(f"{name:{width}}" + "".join(f"{number:10.3f}" for number in numbers) + f"{mean:13.3f}")
    click.echo(
        f"\n{request.candidates} candidates, effective sample size {choice.ess:.1f}, {choice.kl:.2f} nats from the "
        f"base model; {finished.tokens} tokens in {seconds:.1f} s."
    )
