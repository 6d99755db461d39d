"""``python -m map_core restore``: restore the database, the tables and the tuned models from a backup."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--without-tables", is_flag=True, help="The database alone.")
@click.option("--replace", is_flag=True, help="Replace what is there; an SQLite file is kept as NAME.before-restore.")
def restore(source: Path, without_tables: bool, replace: bool) -> None:
    """Restore the backup SOURCE over the database that VALUE_PALETTE_DATABASE names, the tables and tuned models.

    Stop the app first. Every file is checked before anything is touched.
    """
    from map_core import catalog
    from map_core.core import amounts
    from map_core.store.backup import restore as restore_backup
    from map_core.store.database import setting

    manifest = restore_backup(source, setting(), None if without_tables else catalog.folder(), replace)
    click.echo(f"{amounts.counted(len(manifest.files), 'file')} of {manifest.made} restored.")
