"""A question as a chat, alone and at the end of a chat; and a reply to it."""

from __future__ import annotations

ASK = "Name a bird."
CHAT = [{"role": "user", "content": ASK}]
LONG = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello."},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": ASK},
]
LONG_TEXT = f"System: Be brief.\n\nUser: Hello.\n\nAssistant: Hello!\n\nUser: {ASK}"


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
