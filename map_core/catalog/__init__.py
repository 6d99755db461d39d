"""Tables that the app keeps: a folder of Parquet files, each under a name, and the processes that fill it.

folder      where tables are; lists and deletes them
processes   builds, imports and tunings as child processes
jobs        what their folders say of them
waiting     the order in which they wait for their turn
visitor_catalog   all of it in the name of a visitor
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
