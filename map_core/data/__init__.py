"""Files of data.

reward_table  prompts, replies and one reward a value: load, validate, save
prompts       files of prompts
subsample     random subsets of fewer candidates a prompt
importing     reward tables from other people's files
"""
