"""``python -m map_core backup``: copy the database, the tables and the tuned models while the app runs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--without-tables", is_flag=True, help="The database alone.")
def backup(out: Path, without_tables: bool) -> None:
    """Copy the database that VALUE_PALETTE_DATABASE names, and the app's tables and tuned models, into OUT.

    The app may run meanwhile. The folder has a list of hashes, which restore checks.
    """
    from map_core import catalog
    from map_core.core import amounts
    from map_core.store.backup import back_up
    from map_core.store.database import setting

    manifest = back_up(setting(), None if without_tables else catalog.folder(), out)
    click.echo(f"{amounts.counted(len(manifest.files), 'file')} in {out}, made {manifest.made}.")
