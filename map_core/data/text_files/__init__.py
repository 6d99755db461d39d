"""Read text files from any source: encoding, line ends, CSV, JSON lines and JSON lists.

encoding      UTF-8 and UTF-16, and the first byte that cannot be decoded
delimited     CSV with commas, semicolons or tabs: the header and the rows
json_stream   objects of JSON lines and of a JSON list, streamed
records       the records of a small file, with their positions
excerpts      content of a file, shortened for a message
"""
