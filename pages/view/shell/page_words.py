"""Messages of the library in the words of a page: the button or box in place of an option of the command line."""

from __future__ import annotations

import re
from functools import partial

from map_core.core import remedies
from map_core.core.remedies import Remedy
from pages.view.shell import server_paths

#: What a page says for each remedy; ``{}`` stands for what is inserted, in its order. It is "" where a page has nothing
#: like it and the sentence is whole without.
WORDS: dict[Remedy, str] = {
    remedies.NO_TABLE: "There is no table of this name. It was deleted, or a link has a mistake in it.",
    remedies.ONLY_VALUES: "",
    remedies.ECHOES_OFF: "",
    remedies.BY_TEXTS: " (choose (none) under “Ids of prompts” to go by texts alone)",
    remedies.SYSTEM_MESSAGE: "",
    remedies.VALUES_FILE: "Whoever runs this app can add to the table at the command line.",
    remedies.OTHER_VALUES: "",
    remedies.LONGER_REPLIES: " (see “Longest reply”)",
    remedies.THINKING_OFF: "To score answers alone, ask whoever runs the model's server to take the reasoning out.",
    remedies.START_WITHOUT_THINKING: "ask whoever runs the model's server to switch thinking off.",
    remedies.SAME_COMMAND: "press “Try again”",
    remedies.OWN_COMMAND: "Discard it and begin anew.",
    remedies.IN_THE_WAY: "Discard this and begin anew under another name.",
    remedies.FORCE: "Discard this and begin anew under another name.",
    remedies.OTHER_NAME: "Tell whoever runs this app.",
    remedies.WAIT_OR_OTHER_NAME: "Wait for it, and press “Try again”.",
    remedies.CALL_SERVER: "Whoever runs this app can allow it; the documentation says how (Help, Documents, "
    "Configuration).",
    remedies.BUILD_AGAIN: "Have a table of your prompts built here, on the page Tables",
    remedies.MORE_CANDIDATES: " (“Replies to each prompt”, on the page Tables)",
    remedies.OTHER_METHOD: "choose “Compare replies” as the way it learns",
    remedies.LEAVE_FULL_OUT: "Choose “Compare replies” as the way it learns.",
    remedies.PRACTISE: "choose “Practise”, which writes replies of its own",
    remedies.LESS_NOISE: "Choose another way to learn, or a table with more prompts and replies, and look at its check "
    "on new prompts before you use this.",
    remedies.LOWER_RATE: "Choose another way to learn, or look at the scores of that prompt's replies.",
    remedies.SMALLER_RANK: "Delete a tuned model that nobody needs, or tell whoever runs this app.",
    remedies.RESTORE_AGAIN: "Wait a moment; if it goes on, tell whoever runs this app.",
}


#: The longest first, because some remedies contain others.
_PATTERNS = [
    (remedy.pattern(), WORDS[remedy]) for remedy in sorted(WORDS, key=lambda remedy: len(remedy.words), reverse=True)
]


def of(message: object) -> str:
    """Return a message, or that of an error, with what a page says in place of options and of the server's paths."""
    text = str(message)
    for pattern, words in _PATTERNS:
        text = pattern.sub(partial(_said, words), text)
    return server_paths.in_text(text)


def _said(words: str, found: re.Match[str]) -> str:
    return words.format(*found.groups())
