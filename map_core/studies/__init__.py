"""Studies of whole tables.

delivery   forecasts against fresh replies to other prompts
reproduce  the published experiments
"""
