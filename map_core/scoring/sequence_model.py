"""A sequence classifier or reward model of transformers: texts in, one row of outputs a text.

Constraint: torch and transformers load when a model is opened, never when this module is imported; safetensors only,
and no code that comes with a model is ever run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from map_core.errors import EngineError, InputError, MissingModelError
from map_core.models import files as model_files
from map_core.models.conversion import read_config
from map_core.models.files import ModelFiles

#: Tokens of a batch, padding included.
TOKENS_AT_ONCE = 4096
_KEPT = 8  # lists of texts whose outputs are remembered: several values may read one model
Text = tuple[str, str | None]
"""A text, or the first and second text of a pair."""


class SequenceModel:
    """A model that reads a text and gives some numbers.

    Args:
        files: a transformers folder.
        head: the name of a linear head's weights (output, hidden) in the model's files, read at the last token, for
            reward models whose own class is not part of transformers; None for a class that is.
        device: None takes a GPU where there is one.
        longest: tokens of a text that are read at most; the model's own limit when None or beyond it.

    Raises:
        InputError: the model needs code of its own, or has no such head.
        EngineError: torch is not installed, or the files cannot be loaded.
    """

    def __init__(
        self, files: ModelFiles, head: str | None = None, device: str | None = None, longest: int | None = None
    ) -> None:
        _refuse_own_code(files, head)
        try:
            import torch
            from transformers import AutoTokenizer
        except ImportError as error:
            raise EngineError("torch is not installed. Run: pip install -r requirements.txt") from error
        self.files = files
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(
                files.folder, local_files_only=True, trust_remote_code=False, use_fast=True
            )
            self._body, self._head = _opened(files, head, self.device)
        except (InputError, EngineError, MissingModelError, MemoryError):
            raise
        except Exception as error:  # the libraries below raise many kinds for damaged files
            raise model_files.load_error(files, error) from error
        config = self._body.config
        spare = self.tokenizer.eos_token_id if self.tokenizer.eos_token_id is not None else config.eos_token_id
        self._padding = int(
            next(i for i in (self.tokenizer.pad_token_id, config.pad_token_id, spare, 0) if i is not None)
        )
        config.pad_token_id = self._padding
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.convert_ids_to_tokens(self._padding)
        limits = (longest, getattr(config, "max_position_embeddings", None), self.tokenizer.model_max_length)
        self.longest = int(min(limit for limit in limits if limit))
        self.labels = {int(i): str(name) for i, name in (config.id2label or {}).items()} if head is None else {}
        self._kept: OrderedDict[tuple[Text, ...], tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def outputs(self, texts: Sequence[Text], cut_start: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return what the model gives for texts.

        Args:
            texts: any number.
            cut_start: of texts with more tokens than :attr:`longest` the beginning is left out, else the end.

        Returns:
            Outputs (text, output) float64, and whether each text was cut (text,).
        """
        key = (*texts, ("", str(cut_start)))
        if key not in self._kept:
            self._kept[key] = self._outputs(texts, cut_start)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def chat(self, prompt: str, reply: str) -> str:
        """Return prompt and reply in the model's own chat template.

        Raises:
            InputError: it has none.
        """
        if not self.tokenizer.chat_template:
            raise InputError(f"{self.files.name} has no chat template. Give another template: pair, reply or a text.")
        messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False))

    def _outputs(self, texts: Sequence[Text], cut_start: bool) -> tuple[np.ndarray, np.ndarray]:
        import torch

        rows = [self._tokens(text, cut_start) for text in texts]
        lengths = [len(ids) for ids, _, _ in rows]
        found: list[np.ndarray] = [np.zeros(0)] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: lengths[i])
        with torch.inference_mode():
            while order:
                # From the longest downwards: texts of like length share a batch, and little is padded.
                count = max(1, TOKENS_AT_ONCE // lengths[order[-1]])
                batch, order = order[-count:], order[:-count]
                given = self._padded([rows[i] for i in batch])
                for i, output in zip(batch, self._read(given), strict=True):
                    found[i] = output
        cut = np.array([was_cut for _, _, was_cut in rows], dtype=bool)
        return (np.vstack(found) if found else np.zeros((0, 1))), cut

    def _tokens(self, text: Text, cut_start: bool) -> tuple[list[int], list[int] | None, bool]:
        self.tokenizer.truncation_side = "left" if cut_start else "right"
        whole = self.tokenizer(*text, truncation=False, verbose=False)
        cut = len(whole["input_ids"]) > self.longest
        if cut:
            whole = self.tokenizer(*text, truncation="longest_first", max_length=self.longest)
        kinds = whole.get("token_type_ids")
        if not whole["input_ids"]:
            return [self._padding], [0] if kinds is not None else None, False
        return list(whole["input_ids"]), list(kinds) if kinds is not None else None, cut

    def _padded(self, rows: Sequence[tuple[list[int], list[int] | None, bool]]) -> Mapping[str, Any]:
        import torch

        longest = max(len(ids) for ids, _, _ in rows)
        ids = torch.full((len(rows), longest), self._padding)
        mask, kinds = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, (own, kind, _) in enumerate(rows):
            ids[row, : len(own)], mask[row, : len(own)] = torch.tensor(own), 1
            if kind is not None:
                kinds[row, : len(own)] = torch.tensor(kind)
        given = {"input_ids": ids, "attention_mask": mask}
        if rows[0][1] is not None:
            given["token_type_ids"] = kinds
        return {name: tensor.to(self.device) for name, tensor in given.items()}

    def _read(self, given: Mapping[str, Any]) -> np.ndarray:
        import torch

        if self._head is None:
            logits = self._body(**given).logits
        else:
            states = self._body(**given).last_hidden_state
            last = given["attention_mask"].sum(dim=1) - 1
            logits = states[torch.arange(len(last)), last].float() @ self._head.T
        return np.asarray(logits.double().cpu().numpy())


def open_sequence_model(
    name: str, head: str | None = None, device: str | None = None, longest: int | None = None
) -> SequenceModel:
    """Load a model from this machine.

    Raises:
        MissingModelError: its weights are not on this machine, with the command that brings them.
        InputError, EngineError: as :class:`SequenceModel`.
    """
    return SequenceModel(model_files.locate(name), head, device, longest)


def _refuse_own_code(files: ModelFiles, head: str | None) -> None:
    if read_config(files.folder).get("auto_map") and head is None:
        raise InputError(
            f"{files.name} needs code that comes with it, and such code is never run here (trust_remote_code is off). "
            'Name the weights of a linear head with head = "...", serve the model and use it as a judge, or take one '
            "whose class is part of transformers."
        )


def _opened(files: ModelFiles, head: str | None, device: str) -> tuple[Any, Any]:
    """Load the model, and its head where that is read separately."""
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    kind: Callable[..., Any] = (AutoModelForSequenceClassification if head is None else AutoModel).from_pretrained
    model, report = kind(
        files.folder,
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if lost := report["missing_keys"]:
        # Random weights in their place would give rewards that mean nothing.
        raise EngineError(f"The weights of {files.name} lack {len(lost)} tensors, {min(lost)} among them.")
    weights = None if head is None else _tensor(files, head).to(device)
    return model.eval().to(device), weights


def _tensor(files: ModelFiles, name: str) -> Any:
    from safetensors import safe_open

    for path in sorted(Path(files.folder).glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            if name in file.keys():  # noqa: SIM118 (the file is no mapping)
                return file.get_tensor(name).float()
    raise InputError(f"The weights of {files.name} hold no {name!r}, which head names.")
