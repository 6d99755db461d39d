"""Studies of whole tables: contents.

delivery   forecasts against fresh replies to other prompts
reproduce  the published experiments
"""
