"""Tables that the app keeps: a folder of Parquet files, each under a name, and the processes that fill it.

folder      where tables are; lists and deletes them
processes   builds and imports as child processes
"""

from map_core.catalog.folder import (
    MAX_TABLE_NAME,
    SETTING,
    TableEntry,
    check_memory,
    clean_name,
    delete,
    describe,
    folder,
    list_tables,
    path_of,
)

__all__ = [
    "MAX_TABLE_NAME",
    "SETTING",
    "TableEntry",
    "check_memory",
    "clean_name",
    "delete",
    "describe",
    "folder",
    "list_tables",
    "path_of",
]
