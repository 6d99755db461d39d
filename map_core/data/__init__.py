"""Files of data.

reward_table  prompts, replies and one reward a value, validated
table_format  the Parquet format of tables: load, save, schema, metadata
table_file    any Parquet file of replies and rewards, imported where it departs from that format
prompts       files of prompts
subsample     random subsets of fewer candidates a prompt
importing     reward tables from other people's files
"""
