"""Reward tables from files of other people: Parquet, CSV, JSON lines, or a JSON list of objects.

``table`` is what a caller needs; ``files`` reads rows, ``cells`` reads numbers and texts.
"""

from map_core.importing.table import Imported, import_table

__all__ = ["Imported", "import_table"]
