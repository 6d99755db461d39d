"""Exhaustive checks that take too long for every run: each module is a command that counts, prints, and may fail."""
