"""Read the body of ``/v1/completions``: prompts that the model continues, without its chat template.

Constraint: texts only; whether token ids are this model's could not be checked.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from map_core.server.chat_body import content_text
from map_core.server.errors import Refusal, RequestLimits, shortened
from map_core.server.fields import SteeredBody


class CompletionBody(SteeredBody):
    """The body of ``/v1/completions``; null leaves a field to the server."""

    prompt: Any = Field(description="Text or a list of texts that the model continues, n times each.")
    max_tokens: int | None = Field(None, description="Longest reply; left out, replies end by themselves.")

    @property
    def longest(self) -> int | None:
        """The longest reply that the body allows, in tokens."""
        return self.max_tokens


def read_prompts(body: CompletionBody, limits: RequestLimits) -> tuple[str, ...]:
    """Return the prompts of a body.

    Raises:
        Refusal: no text, token ids, an empty prompt, or too many or too long ones.
    """
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    if isinstance(prompts, list) and prompts and all(isinstance(part, int | list) for part in prompts):
        raise Refusal(
            "prompt holds token ids; expected text or a list of texts. Switch tokenizing off in the client, as with "
            "tokenizer_backend=None in lm-evaluation-harness.",
            param="prompt",
        )
    if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise Refusal(f"prompt is {shortened(repr(body.prompt))}; expected text or a list of texts.", param="prompt")
    if len(prompts) > limits.replies:
        raise Refusal(f"There are {len(prompts):,} prompts; expected at most {limits.replies:,}.", param="prompt")
    for index, prompt in enumerate(prompts):
        content_text(prompt, index, "prompt")  # refuses invalid Unicode
        if not prompt.strip():
            raise Refusal("A prompt is empty; write what the model should continue.", param="prompt")
    length = sum(map(len, prompts))
    if length > limits.characters:
        raise Refusal(
            f"The prompts have {length:,} characters; expected at most {limits.characters:,}. Shorten them.",
            param="prompt",
            code="context_length_exceeded",
        )
    return tuple(prompts)
