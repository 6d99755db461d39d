"""Schemathesis asks the server whatever its own description at /openapi.json allows, and much that it does not.

Checked: no fault of the server, statuses, kinds of content and bodies as described, refused methods, what is invalid is
refused. Left out is ``positive_data_acceptance``: limits of a server and whether a palette is possible are no schema's.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.environments import LIMIT, python_environment
from tests.server.server_process import serving

pytestmark = [pytest.mark.slow, pytest.mark.external, pytest.mark.timeout(LIMIT + 600)]

EXAMPLES = 40


def test_the_server_is_as_it_describes_itself(tiny: Path, tmp_path: Path) -> None:
    programs = python_environment("schemathesis", "schemathesis==4.32.5", beside=False)
    with serving(tiny, "--most-tokens", "8", "--most-candidates", "8", "--candidates", "4") as server:
        server.ask(max_tokens=2)  # the model is loaded: /ready says 503 before
        place = f"http://127.0.0.1:{server.port}"
        command = [str(programs / "schemathesis"), "run", f"{place}/openapi.json", "--url", place]
        command += ["--exclude-checks", "positive_data_acceptance", "--max-examples", str(EXAMPLES), "--seed", "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    cases = re.search(r"([\d,]+) generated, ([\d,]+) passed", done.stdout)
    assert cases is not None
    print(cases[0])
    assert cases[1] == cases[2]
    assert int(cases[1].replace(",", "")) > 500
