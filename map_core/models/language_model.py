"""Compute log-probabilities of given replies under a base model in torch, with the prompt's cache computed once.

The torch engine builds on it. Constraint: torch and transformers load when a model is opened,
never when this module is imported.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from map_core.errors import EngineError, InputError, MissingModelError
from map_core.models import files as model_files
from map_core.models.chat_template import ChatTokenizer, Message
from map_core.models.files import ModelFiles
from map_core.models.packaged import DEFAULT_MODEL
from map_core.models.positions import usable_positions
from map_core.models.quiet import quiet

DTYPES = ("float32", "bfloat16")
_CACHE_SHARE = 0.25
_DEFAULT_CONTEXT = 2048  # of models without learned positions, such as Bloom
_TOKENS_PER_PASS = 1024  # when scoring: their logits over 50,000 words take 200 MB


class LanguageModel:
    """A causal language model for scoring.

    Args:
        files: the model.
        dtype: "float32" or "bfloat16"; None takes bfloat16 on a GPU and on processors that multiply in it
            (on others it is several times slower than float32), else float32.
        device: "cpu", "cuda", or "auto" for a model distributed over all GPUs; None takes a GPU where there is one,
            and all of them for weights that do not fit one.

    Raises:
        InputError: an unknown dtype or device.
        EngineError: torch is not installed or the files cannot be loaded.
    """

    def __init__(self, files: ModelFiles, dtype: str | None = None, device: str | None = None) -> None:
        try:
            import torch
        except ImportError as error:
            raise EngineError("torch is not installed. Run: pip install -r requirements.txt") from error
        if dtype not in (None, *DTYPES):
            raise InputError(f"The dtype is {dtype!r}; expected {' or '.join(DTYPES)}.")
        if device is None:
            memory = [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]
            device = choose_device(_weight_bytes(files), memory)
        else:
            device = check_device(device)
        self.files = files
        self.dtype = dtype or _choose_dtype(device)
        self.tokenizer = ChatTokenizer(files.folder)
        self.model = _load(files, self.dtype, device)
        self.device = str(self.model.device) if device == "auto" else device
        self.context_length = context_length(self.model)

    def reply_log_probs(self, prefix_messages: Sequence[Message], replies: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Return log p(token | chat, tokens before it) of replies, at temperature 1.

        Args:
            prefix_messages: the chat up to the reply; its cache is computed once.
            replies: token ids.

        Returns:
            One float64 array per reply, one natural logarithm per token.

        Raises:
            InputError: the chat and the longest reply do not fit the context.
        """
        ids = self.tokenizer.render(prefix_messages)
        longest = max((len(reply) for reply in replies), default=0)
        if len(ids) + longest > self.context_length:
            raise InputError(
                f"The chat has {len(ids)} tokens and its reply {longest}; the context of {self.files.name} "
                f"holds {self.context_length}."
            )
        return self.log_probs_after(ids, replies)

    def log_probs_after(self, prefix: Sequence[int], replies: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Return log-probabilities as :meth:`reply_log_probs`, after given tokens (at least one)."""
        import torch

        scores: list[np.ndarray] = [np.zeros(0)] * len(replies)
        order = sorted((i for i, reply in enumerate(replies) if len(reply)), key=lambda i: -len(replies[i]))
        if not order:
            return scores
        with torch.inference_mode():
            cache, last = self.prefill(prefix)
            first = torch.log_softmax(last.double(), dim=-1).cpu().numpy()
            while order:
                # Replies of similar length share a batch, the longest first, which limits padding.
                length = len(replies[order[0]])
                count = max(1, _TOKENS_PER_PASS // length)
                batch, order = order[:count], order[count:]
                padded = torch.zeros(len(batch), length, dtype=torch.long)
                for row, i in enumerate(batch):
                    padded[row, : len(replies[i])] = torch.tensor(list(replies[i]))
                padded = padded.to(self.device)
                later = self._following(padded, repeated_cache(cache, len(batch))).double().cpu().numpy()
                for row, i in enumerate(batch):
                    reply = replies[i]
                    scores[i] = np.concatenate([first[[reply[0]]], later[row, : len(reply) - 1]])
        return scores

    def logits_after(self, prefix: Sequence[int], replies: Sequence[Sequence[int]]) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each reply's index and the float32 logits (token + 1, word) of its tokens and of the next token.

        Args:
            prefix: token ids, at least one.
            replies: token ids; may be empty.
        """
        import torch

        order = sorted(range(len(replies)), key=lambda i: -len(replies[i]))
        with torch.inference_mode():
            cache, last = self.prefill(prefix)
            first = last.float().cpu().numpy()[None]
            while order:
                length = len(replies[order[0]])
                count = max(1, _TOKENS_PER_PASS // max(length, 1))
                batch, order = order[:count], order[count:]
                if not length:
                    yield from ((i, first) for i in batch)
                    continue
                padded = torch.zeros(len(batch), length, dtype=torch.long)
                for row, i in enumerate(batch):
                    padded[row, : len(replies[i])] = torch.tensor(list(replies[i]), dtype=torch.long)
                rows = repeated_cache(cache, len(batch))
                logits = self.model(input_ids=padded.to(self.device), past_key_values=rows, use_cache=True).logits
                for row, i in enumerate(batch):
                    yield i, np.concatenate([first, logits[row, : len(replies[i])].float().cpu().numpy()])

    def _following(self, tokens: Any, cache: Any) -> Any:
        """Return the log-probabilities, (row, position - 1), of each row's tokens after its first one.

        Padding is at the end of rows, where causal attention keeps it from affecting what comes before.
        """
        import torch

        logits = self.model(input_ids=tokens, past_key_values=cache, use_cache=True).logits[:, :-1].float()
        chosen = logits.gather(-1, tokens[:, 1:, None])[..., 0]
        return chosen - torch.logsumexp(logits, dim=-1)

    def prefill(self, prefix: Sequence[int]) -> tuple[Any, Any]:
        """Process a prompt; return its key-value cache and the float32 logits (word,) of the next token."""
        import torch

        ids = torch.tensor([list(prefix)], device=self.device)
        out = self.model(input_ids=ids, use_cache=True, logits_to_keep=1)
        return out.past_key_values, out.logits[0, -1].float()


def repeated_cache(cache: Any, count: int) -> Any:
    """Return a copy of a one-row cache with ``count`` equal rows; the original is unchanged."""
    branch = copy.deepcopy(cache)
    branch.batch_repeat_interleave(count)
    return branch


def open_language_model(
    name: str = DEFAULT_MODEL, dtype: str | None = None, device: str | None = None
) -> LanguageModel:
    """Load a model for scoring.

    Raises:
        MissingModelError: its weights are not on this machine.
    """
    return LanguageModel(model_files.locate(name), dtype, device)


def context_length(model: Any) -> int:
    """Return the most tokens that a model may read; :data:`_DEFAULT_CONTEXT` where its configuration has no limit."""
    return usable_positions(model) or _DEFAULT_CONTEXT


def choose_device(weight_bytes: int, memory: Sequence[int]) -> str:
    """Choose the device of a model.

    Args:
        weight_bytes: size of its weights, in the format that they are stored in.
        memory: of each GPU, in bytes.

    Returns:
        "cpu" without a GPU, "cuda" where the first one holds the weights and leaves :data:`_CACHE_SHARE` of its memory
        for the cache, else "auto": distributed over all of them.
    """
    if not memory:
        return "cpu"
    return "cuda" if len(memory) == 1 or weight_bytes <= (1 - _CACHE_SHARE) * memory[0] else "auto"


def check_device(device: str) -> str:
    """Validate a device by name; "auto" is the CPU where there is no GPU.

    Raises:
        InputError: torch knows no such device, or finds none here.
    """
    import torch

    kind, _, number = device.partition(":")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind not in ("cpu", "cuda", "auto", "mps", "xpu") or not (number.isdigit() or not number):
        raise InputError(f"The device is {device!r}; expected cpu, cuda, cuda:1 or auto.")
    if kind == "cuda" and int(number or 0) >= count:
        devices = "no CUDA device" if not count else f"{count} CUDA device{'s' if count > 1 else ''}, counted from 0,"
        raise InputError(f"The device is {device!r}, and torch finds {devices} here. Use {'cuda' if count else 'cpu'}.")
    return "cpu" if kind == "auto" and not count else device


def _weight_bytes(files: ModelFiles) -> int:
    return sum(path.stat().st_size for path in files.folder.glob("*.safetensors"))


def _choose_dtype(device: str) -> str:
    import torch

    if device != "cpu":
        return "bfloat16"
    able = torch.cpu.get_capabilities()
    fast = any(able.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    return "bfloat16" if fast else "float32"


def _load(files: ModelFiles, dtype: str, device: str) -> Any:
    import torch

    with quiet():
        from transformers import AutoModelForCausalLM

        try:
            model, report = AutoModelForCausalLM.from_pretrained(
                files.folder,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **({"device_map": "auto"} if device == "auto" else {}),
            )
        except (MissingModelError, MemoryError):
            raise
        except Exception as error:
            raise model_files.load_error(files, error) from error
    missing = report["missing_keys"]
    if missing:
        # They would be initialised at random, which nobody would notice before reading the replies.
        raise EngineError(f"The weights of {files.name} lack {len(missing)} tensors, {min(missing)} among them.")
    return model.eval() if device == "auto" else model.eval().to(device)
