"""Fill templates with a prompt and a reply.

Constraint: standard library only.
"""

from __future__ import annotations


def filled(template: str, prompt: str, reply: str) -> str:
    """Fill a template; placeholders within the prompt and the reply are not filled.

    Example:
        >>> filled("Q: {prompt} A: {reply}", "Why {reply}?", "So.")
        'Q: Why {reply}? A: So.'
    """
    before, marker, after = template.partition("{reply}")
    return before.replace("{prompt}", prompt) + (reply if marker else "") + after.replace("{prompt}", prompt)
