"""``python -m tests.benchmarks [NAME ...]``: run benchmarks, those named or all but the longest; write bench.json."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from pathlib import Path

import tests.benchmarks

NAMES = sorted(m.name for m in pkgutil.iter_modules(tests.benchmarks.__path__) if m.name.startswith("bench_"))
#: Hours on two cores; run when named.
LONGEST = {"bench_tuning"}


def main() -> None:
    """Run the chosen benchmarks one after another."""
    names = sys.argv[1:] or [name for name in NAMES if name not in LONGEST]
    results = {}
    for name in names:
        name = name if name.startswith("bench_") else f"bench_{name}"
        if name not in NAMES:
            sys.exit(f"Unknown benchmark {name!r}; there are {', '.join(NAMES)}.")
        print(f"\n== {name.removeprefix('bench_')}")
        results[name] = importlib.import_module(f"tests.benchmarks.{name}").run()
    Path("bench.json").write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
