"""Values that people defined in words, on the replies of a table: scored once, kept, and added as columns.

``kept`` says where scores lie and reads them; ``score`` makes them, in a process of its own (``python -m
map_core.custom_values``) that ``running`` starts and follows; ``extend`` puts them beside the values of a table.
Constraint: no model library is imported here but in that process.
"""

from map_core.custom_values.add_column import extended
from map_core.custom_values.score_cache import Scores, read, replies_key

__all__ = ["Scores", "extended", "read", "replies_key"]
