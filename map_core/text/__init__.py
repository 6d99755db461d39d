"""Sentences about results, the glossary, and units.

sentences      results as sentences
verdict        the answer to a palette in a reader's units
changes        gains and losses from one palette to another
table_quality  advice on extending a table
groups         what several groups agree on
group_member   what a common palette gives one group
blind_votes    blind votes and their summary
glossary       the terms of the product
units          levels as people read them on an axis
"""
