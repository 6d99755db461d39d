"""Studies of whole tables.

bradley_terry    rankings from people's pairwise comparisons
comparisons      people's votes on presets against the base model
head_to_head     two palettes or models compared on the same prompts
palette_sets     scores of a set of palettes: mean inner product and hypervolume
preference_data  pairs of replies labelled by a palette, for trainers
delivery         forecasts compared with fresh replies to other prompts
reproduce        the experiments of the paper
"""
