"""Values that people defined in words, on the replies of a table: scored once, kept, and added as columns.

score_cache      where scores are kept, and reading them
embedding_cache  sentence embeddings kept on disk
score_table      scoring all replies of a table, in a process of its own (``python -m map_core.custom_values``)
jobs             starting and following that process, which also trains heads on judged pairs
add_column       a table with such values beside its own
agreement        what kept judgements say of a value's scorer
active           which values a table offers as targets

Constraint: no model library is imported here but in that process.
"""

from map_core.custom_values.add_column import add_columns
from map_core.custom_values.score_cache import ValueScores, read_scores, replies_key

__all__ = ["ValueScores", "add_columns", "read_scores", "replies_key"]
