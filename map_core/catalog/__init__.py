"""The tables that the app keeps: a folder of named Parquet files, and the processes that make them.

folder           the folder of tables; lists and deletes them
processes        builds, imports and tunings as child processes
jobs             the state of such work, read from its folder
waiting          the queue of work that waits for its turn
visitor_catalog  all of these with the permissions of a visitor
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
from map_core.catalog.visitor_catalog import TableAccess, VisitorCatalog, access_of

__all__ = [
    "MAX_TABLE_NAME",
    "SETTING",
    "TableAccess",
    "TableEntry",
    "VisitorCatalog",
    "access_of",
    "check_memory",
    "clean_name",
    "delete",
    "describe",
    "folder",
    "list_tables",
    "path_of",
]
