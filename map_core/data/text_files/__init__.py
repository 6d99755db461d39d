"""Read the text files that people hand in: encoding, line ends, CSV, JSON lines and JSON lists, by one set of rules.

encoding      UTF-8 and UTF-16, and the first byte that is neither
delimited     CSV with commas, semicolons or tabs: the header and the rows
json_stream   objects of JSON lines and of a JSON list, streamed
excerpts      what stands in a file, shortened for a message
"""
