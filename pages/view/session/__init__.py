"""The open table, this viewer's palette, and what all pages show of them."""
