"""Reward tables from files of other people: Parquet, CSV, JSON lines, or a JSON list of objects.

``table`` is what a caller needs; ``columns`` says which column is what; ``files``, ``json_rows`` and ``encoding`` read
rows in chunks; ``cells`` reads numbers and texts; ``survey`` is the first reading of a file and ``writing`` the second.
"""

from map_core.data.importing.column_roles import Choice
from map_core.data.importing.import_table import Imported, Preview, import_file, import_table, preview
from map_core.data.importing.writer import Written

__all__ = ["Choice", "Imported", "Preview", "Written", "import_file", "import_table", "preview"]
