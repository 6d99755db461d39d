"""Print the output of ``generate``: the base reply as it is drawn, then the aligned one with its certificate."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

import click

from map_core.errors import EngineError
from map_core.generation.choice import FloorCheck
from map_core.generation.events import Begun, Event, Finished, Tokens
from map_core.generation.request import GenerationRequest, Method


def watch(events: Iterable[Event], candidates: int, how: str, stream: bool) -> tuple[Finished, dict[str, float]]:
    """Read a generation's events to the end and print the base reply as it is drawn.

    Returns:
        The outcome, and times in seconds by name.
    """
    began = time.perf_counter()
    first: float | None = None
    base = 0
    try:
        for event in events:
            match event:
                case Begun():
                    base = event.base
                    if stream:
                        click.secho(f"Base reply (number {base + 1} of {candidates}, {how})", bold=True)
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


def _floors_as_text(check: FloorCheck) -> str:
    names = ", ".join(f"{name} {floor:.3f}" for name, floor in check.floors.items())
    if check.met:
        return (
            f"Floors for every reply ({names}): met; {sum(check.met_by)} of {len(check.met_by)} candidates meet them, "
            f"{check.nats:.2f} nats from the choice without floors."
        )
    missed = ", ".join(f"{name} by {short:.3f}" for name, short in check.missed.items())
    return f"Floors for every reply ({names}): no candidate meets them all; the nearest misses {missed}."


def print_outcome(request: GenerationRequest, finished: Finished, seconds: float) -> None:
    """Print the aligned reply, the rewards and weights it was chosen by, and its cost.

    Args:
        request: the request.
        finished: its outcome.
        seconds: total time.
    """
    choice = finished.choice
    probability = choice.probabilities[choice.picked]
    how = "the best one, with" if request.method is Method.BEST else "drawn with"
    click.secho(f"\nAligned reply (number {choice.picked + 1}, {how} probability {probability:.2f})", bold=True)
    click.echo(finished.replies[choice.picked].text)
    if finished.rewards:
        width = max(len(name) for name in finished.rewards) + 2
        click.echo(f"\n{'reward':{width}}{'weight':>10}{'base':>10}{'aligned':>10}{'mean of all':>13}")
        for name, column in finished.rewards.items():
            numbers = (request.weights.get(name, 0.0), column[choice.base], column[choice.picked])
            known = [reward for reward in column if not math.isnan(reward)]
            mean = sum(known) / len(known)
            click.echo(f"{name:{width}}" + "".join(f"{number:10.3f}" for number in numbers) + f"{mean:13.3f}")
    click.echo(
        f"\n{len(finished.replies)} candidates, effective sample size {choice.ess:.1f}, {choice.kl:.2f} nats from the "
        f"base model; {finished.tokens} tokens in {seconds:.1f} s."
    )
    if choice.floors is not None:
        click.echo(_floors_as_text(choice.floors))
    if request.weights and choice.more_would_help:
        click.echo("Few candidates carry this choice: more of them would make it surer (--candidates).")
    for note in finished.notes:
        click.echo(note)
