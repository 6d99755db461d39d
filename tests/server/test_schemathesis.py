"""Schemathesis sends the server valid and invalid requests, generated from its own description at /openapi.json.

Checked: no server error; statuses, content types and bodies as described; unknown methods and invalid requests are
refused. ``positive_data_acceptance`` is excluded: a schema contains neither the server's limits nor which palettes are
reachable.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.environments import LIMIT, python_environment
from tests.server.server_process import running_server

pytestmark = [pytest.mark.slow, pytest.mark.external, pytest.mark.timeout(LIMIT + 600)]

EXAMPLES = 40


def test_the_server_conforms_to_its_own_description(tiny: Path, tmp_path: Path) -> None:
    programs = python_environment("schemathesis", "schemathesis==4.32.5", beside=False)
    with running_server(tiny, "--most-tokens", "8", "--most-candidates", "8", "--candidates", "4") as server:
        server.ask(max_tokens=2)  # wait for the model: /ready responds with 503 before
        address = f"http://127.0.0.1:{server.port}"
        command = [str(programs / "schemathesis"), "run", f"{address}/openapi.json", "--url", address]
        command += ["--exclude-checks", "positive_data_acceptance", "--max-examples", str(EXAMPLES), "--seed", "1"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stdout[-5000:]
    cases = re.search(r"([\d,]+) generated, ([\d,]+) passed", result.stdout)
    assert cases is not None
    print(cases[0])
    assert cases[1] == cases[2]
    assert int(cases[1].replace(",", "")) > 500
