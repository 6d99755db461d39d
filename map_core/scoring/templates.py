"""Texts with places for a prompt and a reply.

Constraint: standard library only.
"""

from __future__ import annotations


def filled(template: str, prompt: str, reply: str) -> str:
    """Return a template with a prompt and a reply, neither of which is read as a template.

    Example:
        >>> filled("Q: {prompt} A: {reply}", "Why {reply}?", "So.")
        'Q: Why {reply}? A: So.'
    """
    before, marker, after = template.partition("{reply}")
    return before.replace("{prompt}", prompt) + (reply if marker else "") + after.replace("{prompt}", prompt)
