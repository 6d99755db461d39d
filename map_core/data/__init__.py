"""Files of data: contents.

reward_table  prompts, replies and one reward a value: load, validate, save
prompts       files of prompts
subsample     the table of a generator with fewer candidates
importing     reward tables from other people's files
"""
