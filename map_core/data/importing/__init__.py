"""Import files of scored replies as reward tables: Parquet, CSV, JSON lines, or a JSON list of objects.

Text is read by :mod:`map_core.data.text_files`.

import_table     the interface: preview and import
preview_process  the preview of an uploaded file in a process with limits
column_roles     which column holds prompts, replies, rewards
readers          rows in chunks, from any kind of file
layouts          files whose rows are not one reply each
turns            chats as prompts
identity         what identifies a prompt: its text, its use case, its id
lookalikes       prompts that differ only in invisible characters
echoes           prompts that are repeated in their replies
questions        ambiguities of a file, and the possible answers
candidates       the order of replies to a prompt
cells            cells as numbers and texts
held_out         cells as held-out flags
scan             first pass: validation
writer           second pass: writing the reward table
"""

from map_core.data.importing.column_roles import ColumnChoice
from map_core.data.importing.import_table import ImportedTable, Preview, import_file, import_table, preview
from map_core.data.importing.writer import ImportResult

__all__ = ["ColumnChoice", "ImportResult", "ImportedTable", "Preview", "import_file", "import_table", "preview"]
