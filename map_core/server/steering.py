"""Resolve what steers a reply: the models and palettes that clients name, weights and floors by value.

Constraint: thread-safe; a palette is solved once for each number of candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from map_core.analysis.generation_weights import GenerationWeights, GenerationWeightsSolver
from map_core.data.derived_columns import Cohort
from map_core.errors import InputError
from map_core.generation.weighted_rewards import scored_values
from map_core.palettes.column_names import parse_cohort
from map_core.palettes.target_columns import checked_cohort
from map_core.palettes.targets import resolve
from map_core.scoring import Specification, cards, scorable_values
from map_core.server.errors import Refusal, shortened

#: With larger weights, sums of weights times rewards would overflow.
LARGEST_WEIGHT = 1e100


class Steering:
    """The palettes of one table and one base model.

    Args:
        model: the base model's name, as clients know it.
        aims: the solver of the table's palettes.
        palettes: (value,) levels in reward units by the palette's name.
        own: how values that are not built in are scored, as the table records it.
        foreign: a sentence for the case that the base model is not the one whose replies the table holds; else None.
        locked: (value,) bool, the targets that a nearest palette must keep, by the palette's name; none by default.
    """

    def __init__(
        self,
        model: str,
        aims: GenerationWeightsSolver,
        palettes: Mapping[str, np.ndarray],
        own: Mapping[str, Specification] | None = None,
        foreign: str | None = None,
        locked: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.model, self.foreign = model, foreign
        self._aims, self._palettes, self._locked = aims, dict(palettes), dict(locked or {})
        #: The table that palettes are solved on, and their names.
        self.table, self.palettes = aims.table, tuple(palettes)
        #: The values that replies can be scored on.
        self.scored = scorable_values(own or {})
        #: How the values that are not built in are scored.
        self.own = tuple(
            definition for name, definition in (own or {}).items() if name in self.scored and name not in cards()
        )
        #: Every name that a client may use for a model, and the palette that it stands for.
        self.models: dict[str, str | None] = {model: None} | {f"{model}:{name}": name for name in palettes}

    def named(self, model: str | None, palette: str | None) -> tuple[str, str | None]:
        """Return the names of the model and the palette; the model's name may contain the palette's.

        Raises:
            Refusal: there is no such model or palette, or both name one and they differ.
        """
        model = model or self.model
        if model not in self.models:
            raise Refusal(
                f"There is no model {shortened(model)!r} here; there are {', '.join(self.models)}.",
                status=404,
                param="model",
                code="model_not_found",
            )
        by_model = self.models[model]
        if palette is not None and palette not in self._palettes:
            known = f"there are {', '.join(self._palettes)}" if self._palettes else "the server has none (--palettes)"
            raise Refusal(f"There is no palette {shortened(palette)!r} here; {known}.", param="palette")
        if palette is not None and by_model is not None and palette != by_model:
            raise Refusal(f"The model names the palette {by_model!r} and palette is {palette!r}.", param="palette")
        return model, palette if by_model is None else by_model

    def weights(self, weights: Mapping[str, float] | None) -> dict[str, float] | None:
        """Check weights by value and return them; None where there are none.

        Raises:
            Refusal: a value that cannot be scored, or a weight that is not finite or too large.
        """
        if weights is None:
            return None
        self.check_values("weights", scored_values(tuple(weights), self.scored))
        for name, weight in weights.items():
            if not abs(weight) <= LARGEST_WEIGHT:
                raise Refusal(
                    f"The weight of {name!r} is {weight}; expected a finite number, at most {LARGEST_WEIGHT:g}.",
                    param="weights",
                )
        return dict(weights)

    def aim(self, palette: str, candidates: int | None = None, cohorts: tuple[Cohort, ...] = ()) -> GenerationWeights:
        """Return the weights of a palette.

        Args:
            palette: its name.
            candidates: K; None for the weights of the whole table.
            cohorts: kinds of the prompt; empty where they are not known.
        """
        most = int(self._aims.table.candidates.max())
        candidates = most if candidates is None else candidates
        return self._aims.solve(self._palettes[palette], candidates, cohorts, self._locked.get(palette))

    def cohorts(self, written: str | Sequence[str] | None) -> tuple[Cohort, ...]:
        """Return the cohorts that a request names.

        Raises:
            Refusal: the table has no such prompts.
        """
        texts = [written] if isinstance(written, str) else written or ()
        try:
            return tuple(checked_cohort(parse_cohort(text), self._aims.table) for text in texts)
        except InputError as error:
            raise Refusal(str(error), param="cohort") from error

    def floors(self, written: Mapping[str, float | str] | None) -> dict[str, float]:
        """Return the floors of every reply in reward units; percentiles and deviations are those of the table.

        Raises:
            Refusal: a value that cannot be scored, or an invalid level.
        """
        if not written:
            return {}
        self.check_values("floors", tuple(written))
        table, oracle = self._aims.table, self._aims.oracle
        try:
            # A value that the table lacks has no percentiles; its floor is a number.
            in_table = {name: level for name, level in written.items() if name in table.values}
            levels = resolve(in_table, table, oracle)
            others = {name: _number(name, level) for name, level in written.items() if name not in in_table}
        except InputError as error:
            raise Refusal(str(error), param="floors") from error
        return {name: float(levels[table.index(name)]) for name in in_table} | others

    def check_values(self, field: str, names: Sequence[str]) -> None:
        """Refuse values that replies cannot be scored on.

        Raises:
            Refusal: the field names such a value.
        """
        unknown = [name for name in names if name not in self.scored]
        if unknown:
            raise Refusal(f"{field} names {shortened(unknown[0])!r}; there are {', '.join(self.scored)}.", param=field)


def _number(name: str, level: float | str) -> float:
    try:
        return float(level)
    except ValueError as error:
        raise InputError(
            f"The floor of {name} is {level!r}; the table has no such value, so expected a number in reward units."
        ) from error
