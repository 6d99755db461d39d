"""Every sentence that the product says, and units: contents.

sentences      results as sentences
verdict        the answer to a palette in a reader's units
changes        what is gained and lost from one palette to another
table_quality  what was found of a table
groups         what several groups agree on
group_member   what a common palette is to one member
blind_votes    blind comparisons, and what they say together
glossary       the terms of the product
units          levels as people read them on an axis
"""
