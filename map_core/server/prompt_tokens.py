"""Count a prompt's tokens as the model reads it, and refuse what its context does not hold.

Constraint: loads a tokenizer and no model; thread-safe.
"""

from __future__ import annotations

import json
from pathlib import Path

from map_core.engines.base import prompt_ids
from map_core.generation.request import GenerationRequest
from map_core.models.chat_template import ChatTokenizer
from map_core.server.errors import Refusal


class PromptTokens:
    """Counts prompts of one model.

    Args:
        folder: the model's folder; None for a model on another server, whose tokens cannot be counted here.
    """

    def __init__(self, folder: Path | None) -> None:
        #: The model's tokenizer and chat template; None for a model on another server.
        self.tokenizer = ChatTokenizer(folder) if folder else None
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder else {}
        context = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
        self._context: int | None = context if isinstance(context, int) else None

    def count(self, request: GenerationRequest) -> tuple[int, int | None]:
        """Count the tokens of a request's prompt, and those that the context has left for the reply.

        Returns:
            The tokens of the prompt, 0 where they cannot be counted, and the room, None where it is not known.

        Raises:
            Refusal: the prompt leaves no room for a reply.
            InputError: the model's template or tokenizer refuses the chat.
        """
        if self.tokenizer is None:
            return 0, None
        count = len(prompt_ids(self.tokenizer, request.draw_request()))
        if self._context is None:
            return count, None
        if count >= self._context:
            # In the words that clients of OpenAI's look for.
            what = "prompt" if request.verbatim else "messages"
            raise Refusal(
                f"This model's maximum context length is {self._context} tokens. However, your {what} resulted in "
                f"{count} tokens. Please reduce the length of the {what}.",
                param=what,
                code="context_length_exceeded",
            )
        return count, self._context - count
