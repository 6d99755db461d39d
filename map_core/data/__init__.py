"""Reward tables and the files that they are read from.

reward_table     prompts, replies and one reward per value, validated
derived_columns  shares, tails, cohorts and mixes as further columns
distribution     percentiles and rank correlations of rewards
subsample        random subsets of fewer candidates per prompt
shown_replies    replies as people read them
table_format     the Parquet format of tables: load, save, schema, metadata
table_columns    the columns of a table's file
table_file       any Parquet file of replies and rewards, imported where it departs from that format
prompts          files of prompts
importing        reward tables from other people's files
text_files       text files: encoding, CSV, JSON
"""
