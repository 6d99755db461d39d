"""``value-palette app``: open the app in the browser, from a checkout or an installed wheel, in any folder."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import click

from map_core.core.assets import app_folder

#: Environment variables that name files or folders, relative to the folder in which the command was called.
PATH_SETTINGS = ("VALUE_PALETTE_TABLE", "VALUE_PALETTE_TABLES", "VALUE_PALETTE_INBOX", "VALUE_PALETTE_CACHE")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--table", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The table to open.")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True)
@click.argument("streamlit_options", nargs=-1, type=click.UNPROCESSED)
def app(table: Path | None, port: int, streamlit_options: tuple[str, ...]) -> None:
    """Open the app in the browser; Ctrl-C ends it.

    Further options go to Streamlit, such as --server.address=0.0.0.0 or --server.headless=true. An app that other
    machines can reach is closed until it has a login or VALUE_PALETTE_OPEN=1 is set; docs/security.md has the steps.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise click.ClickException("The app needs streamlit. Run: pip install 'value-palette[app]'")
    if table is not None:
        os.environ["VALUE_PALETTE_TABLE"] = str(table)
    for name in PATH_SETTINGS:
        if os.environ.get(name):
            os.environ[name] = str(Path(os.environ[name]).expanduser().absolute())
    # Streamlit reads its configuration from the working directory when it is imported.
    os.chdir(app_folder())
    arguments = ["-m", "streamlit", "run", "app.py", f"--server.port={port}", *streamlit_options]
    os.execv(sys.executable, [sys.executable, *arguments])  # replaces this process, so signals reach the app itself
