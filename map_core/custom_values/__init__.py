"""Values that people define in words, on the replies of a table: scored once, cached, and added as columns.

score_cache      scores cached on disk
embedding_cache  sentence embeddings cached on disk
score_table      scoring all replies of a table, in a child process (``python -m map_core.custom_values``)
jobs             background jobs that run this process, which also trains heads on judged pairs
add_column       a table with such values added
agreement        agreement of a value's scorer with stored judgements
active           the values that a table offers as targets

Constraint: model libraries are imported only in the child process.
"""

from map_core.custom_values.add_column import add_columns
from map_core.custom_values.score_cache import ValueScores, read_scores, replies_key

__all__ = ["ValueScores", "add_columns", "read_scores", "replies_key"]
