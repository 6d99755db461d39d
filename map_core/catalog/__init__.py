"""Tables that the app keeps: a folder of Parquet files, each under a name, and the work that makes new ones.

``folder`` says where they are, lists and deletes them; ``making`` runs builds and imports as processes of their own.
"""

from map_core.catalog.folder import LONGEST, SETTING, Kept, check_memory, delete, described, folder, listed, named, path_of

__all__ = ["LONGEST", "SETTING", "Kept", "check_memory", "delete", "described", "folder", "listed", "named", "path_of"]
