"""Value Palette: target levels for human values in; weights, certificates, trade-offs and aligned replies out.

    >>> import map_core as vp
    >>> palette = vp.assess(vp.load_table(), {"helpfulness": "p70", "humor": "+0.3sd"})
    >>> palette
    <Assessed: reachable, 0.447 nats from the base model; helpfulness 0.714, humor 0.771>

The packages from the ground up, an import never pointing upwards:

    errors, core    exceptions; types, amounts, jobs, atomic files, file locks, safe CSV
    access          visitors, roles, permissions, the audit log
    data            reward tables, prompts, tables from other people's files
    models          model files, tokenizers, torch language models, sentence embeddings
    oracle          weights in, moments and best replies out: memory, torch, Parquet, Ray
    solver          the dual Newton solver: one palette, many at once, along rays
    palettes        palettes, presets, targets as people write them
    feasibility     verdict, margin, conflicts, nearest palette, repairs, ranges
    scoring         scorers, one file per family, one registry
    engines         engines that draw replies: torch, OpenVINO, servers
    generation      one request to one aligned reply
    service         the model's process, its client, queue and records
    store           saved palettes, values, meetings and votes, in a database
    custom_values   values that people define in words
    building        reward tables built from prompts, and many prompts answered into a file
    catalog         the app's folder of tables
    analysis        frontier, sensitivity, sequential alignment, baselines, drift
    groups          common palettes of several groups
    confidence      sampling error of weights, levels and verdicts
    calibration     levels in people's units, from labels
    preference      a palette found by choosing between replies
    studies         delivery, comparison and reproduction
    text, figures   results in; sentences, units and Plotly figures out
    interface       the library for programs and notebooks, in reward units
    tuning          a palette written into a model's weights
    report          a palette as a document, as JSON and as CSV
    server          an OpenAI-compatible HTTP server
    testing         laws of oracles, engines and scorers, for tests of new ones
    cli             python -m map_core COMMAND

Constraint: nothing here imports streamlit, and importing this package or the solver loads no model library.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from map_core.errors import PaletteError
    from map_core.interface import (
        Table,
        assess,
        error_bars,
        frontier,
        load_table,
        reward_functions,
        sample_aligned,
        scorers,
        sensitivity,
        solve,
    )

__version__ = "0.9.0"

__all__ = [
    "PaletteError",
    "Table",
    "assess",
    "error_bars",
    "frontier",
    "load_table",
    "reward_functions",
    "sample_aligned",
    "scorers",
    "sensitivity",
    "solve",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that ``import map_core`` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "map_core.errors" if name == "PaletteError" else "map_core.interface"
    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
