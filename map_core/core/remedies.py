"""What to do about an error, as the command line says it; a page says it in words of its own.

A message is raised without knowing who will read it, and passes through files and pipes as text. So whatever names an
option or a command in it comes from here, and ``pages/view/shell/page_words.py`` replaces it by what the page has.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Remedy:
    """A sentence or clause with options of the command line.

    Args:
        words: the clause; ``{}`` stands for what is inserted.
    """

    words: str

    def __str__(self) -> str:
        return self.words

    def of(self, *inserted: object) -> str:
        """Return the clause with something inserted."""
        return self.words.format(*inserted)

    def pattern(self) -> re.Pattern[str]:
        """Return the pattern that finds the clause in a message, with a group for each insertion."""
        return re.compile(re.escape(self.words).replace(r"\{\}", "(.*?)"), re.DOTALL)


# Tables.
NO_TABLE = Remedy("There is no table at {}. Give the path of a Parquet file, or build one.")
ONLY_VALUES = Remedy(" (at the command line: --values {})")
ECHOES_OFF = Remedy(" (--echoes remove takes the prompt off)")
BY_TEXTS = Remedy(' (--prompt-id-column "" goes by texts alone)')

# Building, and scoring.
SYSTEM_MESSAGE = Remedy("; a system message for all prompts is build's --system")
VALUES_FILE = Remedy("Name it in a values file of your own (--values-file).")
OTHER_VALUES = Remedy(" (--values {})")
LONGER_REPLIES = Remedy(" (--max-new-tokens)")
THINKING_OFF = Remedy(
    "To score answers alone, {} the server take it out of the text (--reasoning-parser of vLLM, --reasoning-format of "
    "llama.cpp)."
)
START_WITHOUT_THINKING = Remedy(
    "start the server with thinking switched off: llama.cpp's --reasoning-budget 0, or enable_thinking false in vLLM's "
    "--default-chat-template-kwargs."
)
SAME_COMMAND = Remedy("run the same command again")
OWN_COMMAND = Remedy("Finish that one with its own command, give this one another --out, or add --fresh to discard it.")
IN_THE_WAY = Remedy("Choose another --out, add to it: --extend, or replace it: --force.")
FORCE = Remedy("Give --force to replace it, or another name.")
OTHER_NAME = Remedy("Choose another --{}.")
WAIT_OR_OTHER_NAME = Remedy("Wait for it, or give this one another --{}.")
CALL_SERVER = Remedy(
    "Whoever runs this program can allow it: name the model once with a command's --model NAME@URL, or list it in {}, "
    "which is the whole list where it is set."
)

# Tuning.
BUILD_AGAIN = Remedy("Build it again with the model on this machine (`build`)")
MORE_CANDIDATES = Remedy(" (`build --candidates 16`)")
OTHER_METHOD = Remedy("tune by --method pairs")
LEAVE_FULL_OUT = Remedy("Leave --full out, or tune by --method pairs.")
PRACTISE = Remedy("tune by --method rloo, which samples its own replies")
LESS_NOISE = Remedy(
    "Take a lower --learning-rate, or more --prompts and --replies a step, and look at `verify --model` before you use "
    "this."
)
LOWER_RATE = Remedy("Use a lower --learning-rate, or look at that prompt's rewards.")
SMALLER_RANK = Remedy("Make room, choose another --out, or tune a smaller --rank.")

# The database.
RESTORE_AGAIN = Remedy("Wait, or run restore again with --replace.")

ALL = tuple(value for value in globals().values() if isinstance(value, Remedy))
