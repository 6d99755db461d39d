"""Proofs that take too long for every run: each module is a command that counts, prints what it counted, and fails."""
