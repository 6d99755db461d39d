"""The command line: ``python -m map_core COMMAND``. Commands load what they need when they run."""

from __future__ import annotations

import sys

from map_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
