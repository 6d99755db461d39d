"""Count a prompt's tokens as the model reads it, and refuse prompts that exceed its context.

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
    """A counter of prompts' tokens for one model.

    Args:
        folder: the model's folder; None for a model on another server, whose tokens cannot be counted.
    """

    def __init__(self, folder: Path | None) -> None:
        #: The model's tokenizer and chat template; None for a model on another server.
        self.tokenizer = ChatTokenizer(folder) if folder else None
        config = json.loads((folder / "config.json").read_text(encoding="utf-8")) if folder else {}
        context = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
        self._context: int | None = context if isinstance(context, int) else None

    def count(self, request: GenerationRequest) -> tuple[int, int | None]:
        """Count the tokens of a request's prompt, and those that the context leaves for the reply.

        Returns:
            The tokens of the prompt, 0 where they cannot be counted; and the tokens left for the reply, None where the
            context is not known.

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
            # OpenAI's wording, which clients search for.
            field = "prompt" if request.verbatim else "messages"
            raise Refusal(
                f"This model's maximum context length is {self._context} tokens. However, your {field} resulted in "
                f"{count} tokens. Please reduce the length of the {field}.",
                param=field,
                code="context_length_exceeded",
            )
        return count, self._context - count
