"""Reward tables from files of other people: Parquet, CSV, JSON lines, or a JSON list of objects.

import_table  what a caller needs
column_roles  which column is what
readers       rows in chunks, whatever the kind of file
json_stream   objects of JSON files, one after another
encoding      whether a file is text, and in which encoding
cells         numbers and texts
held_out      cells that say whether a prompt is held out
scan          the first reading of a file
writer        the second reading, into a reward table
"""

from map_core.data.importing.column_roles import ColumnChoice
from map_core.data.importing.import_table import ImportedTable, Preview, import_file, import_table, preview
from map_core.data.importing.writer import ImportResult

__all__ = ["ColumnChoice", "ImportResult", "ImportedTable", "Preview", "import_file", "import_table", "preview"]
