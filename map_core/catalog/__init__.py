"""Tables that the app keeps: a folder of Parquet files, each under a name, and the processes that fill it.

folder      where tables are; lists and deletes them
processes   builds and imports as child processes
"""

from map_core.catalog.folder import (
    LONGEST,
    SETTING,
    Kept,
    check_memory,
    delete,
    described,
    folder,
    listed,
    named,
    path_of,
)

__all__ = ["LONGEST", "SETTING", "Kept", "check_memory", "delete", "described", "folder", "listed", "named", "path_of"]
