"""Files whose rows are not one reply each: what they are is recognised, and each reply becomes a row.

layout       what a layout is, and the fields of rows
chats        prompts and replies as lists of turns, or as a dialogue in one text; scores in an object of their own
reply_lists  several replies a row, in a list
pairs        several replies a row, in columns: chosen and rejected, or numbered
recognise    the layout of a file by its first rows
advice       layouts that are not read: why, and the lines of pandas that make rows of them
"""

from map_core.data.importing.layouts.layout import Layout
from map_core.data.importing.layouts.recognise import find_layout

__all__ = ["Layout", "find_layout"]
