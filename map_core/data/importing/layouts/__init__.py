"""Recognise files whose rows are not one reply each, and convert each reply to a row.

layout       the definition of a layout, and nested fields
chats        prompts and replies as lists of turns, or as a dialogue in one text; scores in an object of their own
reply_lists  several replies per row, in a list
pairs        several replies per row, in columns: chosen and rejected, or numbered
prompts      the prompt of rows with several replies
recognise    the layout of a file by its first rows
advice       layouts that are not read: the reason, and lines of pandas that convert them
"""

from map_core.data.importing.layouts.layout import Layout
from map_core.data.importing.layouts.recognise import find_layout

__all__ = ["Layout", "find_layout"]
