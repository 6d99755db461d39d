"""Studies of whole tables.

bradley_terry    a ranking of what people compared head to head
comparisons      votes on presets against the base model
head_to_head     two palettes or models on the same prompts
preference_data  a palette as pairs of replies, for trainers
delivery         forecasts against fresh replies to other prompts
reproduce        the published experiments
"""
