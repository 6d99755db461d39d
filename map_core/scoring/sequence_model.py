"""Run a sequence classifier or reward model of transformers: texts in, one row of outputs per text.

Constraint: torch and transformers load when a model is opened, never when this module is imported; safetensors only,
and a model's own code is never run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from map_core.errors import EngineError, InputError, MissingModelError
from map_core.models import files as model_files
from map_core.models.conversion import read_config
from map_core.models.files import ModelFiles
from map_core.models.positions import usable_positions

#: Tokens of a batch, padding included.
TOKENS_AT_ONCE = 4096
# Two texts whose outputs, together and alone, show on which side a model's texts can be padded.
_SHORT, _LONG = "No.", "The cat sat on the mat, and the dog sat beside it."
_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1}  # of the largest output
_KEPT = 8  # lists of texts whose outputs are cached, as several values may use one model


@dataclass(frozen=True)
class Text:
    """A text as a model reads it.

    Args:
        first: the text, or the first of a pair.
        second: of a pair; None without one.
        special: the tokenizer adds its special tokens; False for a text that has them, such as a rendered chat.
    """

    first: str
    second: str | None = None
    special: bool = True


class SequenceModel:
    """A model with one row of outputs per text.

    Args:
        files: a transformers folder.
        head: the name of a linear head's weights (output, hidden) in the model's files, read at the last token, for
            reward models whose own class is not part of transformers; None for a class that is.
        device: None takes a GPU where there is one.
        longest: most tokens of a text; the model's own limit when None or beyond it.

    Raises:
        InputError: the model needs code of its own, or has no such head.
        EngineError: torch is not installed, or the files cannot be loaded.
    """

    def __init__(
        self, files: ModelFiles, head: str | None = None, device: str | None = None, longest: int | None = None
    ) -> None:
        refuse_own_code(files, head)
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
        # None if the tokenizer's configuration has no side: transformers' default does not depend on where replies end.
        self._truncation_side = self.tokenizer.init_kwargs.get("truncation_side")
        config = self._body.config
        # If the model names its padding token, transformers reads a decoder's output before trailing tokens of that
        # kind; otherwise at the last token, so that a token that is in no text is used for padding.
        padding = config.get_text_config().pad_token_id
        self._padding: int | None = padding if padding is not None and 0 <= padding < _vocabulary(self._body) else None
        limits = (longest, usable_positions(self._body), self.tokenizer.model_max_length)
        self.longest = int(min(limit for limit in limits if limit and limit > 0))
        self.labels = {int(i): str(name) for i, name in (config.id2label or {}).items()} if head is None else {}
        self._kept: OrderedDict[tuple[Any, ...], tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def outputs(self, texts: Sequence[Text], cut_start: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Return the model's outputs for texts.

        Args:
            texts: any number.
            cut_start: cut texts of more than :attr:`longest` tokens at their start and not at their end; the
                tokenizer's own ``truncation_side`` takes precedence.

        Returns:
            Outputs (text, output) float64, and whether each text was cut (text,).
        """
        key = (cut_start, *texts)
        if key not in self._kept:
            self._kept[key] = self._outputs(texts, cut_start)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def probabilities(self, outputs: np.ndarray, activation: str | None = None) -> np.ndarray:
        """Return outputs as probabilities, (text, output).

        Args:
            outputs: (text, output) as of :meth:`outputs`.
            activation: "softmax" or "sigmoid"; by default the one that transformers' own text-classification pipeline
                applies to this model.

        Raises:
            InputError: the model's outputs are no probabilities, and no activation is named.
        """
        activation = activation or activation_of(self._body.config.problem_type, outputs.shape[1])
        if activation == "none":
            raise InputError(
                f"{self.files.name} is trained for regression, so its outputs are no probabilities. Take scale = "
                '"logit", or name an activation: softmax or sigmoid.'
            )
        if activation == "sigmoid":
            return np.asarray(np.exp(-np.logaddexp(0.0, -outputs)))
        return np.asarray(np.exp(outputs - np.logaddexp.reduce(outputs, axis=1, keepdims=True)))

    def text(self, text: str) -> Text:
        """Return a text; special tokens are not added if it begins with the tokenizer's first one."""
        start = self.tokenizer.bos_token or self.tokenizer.cls_token
        return Text(text, special=not (start and text.startswith(start)))

    def chat(self, prompt: str, reply: str) -> Text:
        """Return prompt and reply in the model's chat template, which writes the special tokens.

        Raises:
            InputError: the model has no chat template.
        """
        if not self.tokenizer.chat_template:
            raise InputError(f"{self.files.name} has no chat template. Give another template: pair, reply or a text.")
        messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": reply}]
        return Text(str(self.tokenizer.apply_chat_template(messages, tokenize=False)), special=False)

    def _outputs(self, texts: Sequence[Text], cut_start: bool) -> tuple[np.ndarray, np.ndarray]:
        import torch

        rows = [self._tokens(text, cut_start) for text in texts]
        lengths = [len(ids) for ids, _, _ in rows]
        rows_of_outputs: list[np.ndarray] = [np.zeros(0)] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: lengths[i])
        side = self._padding_side if len(set(lengths)) > 1 else "right"
        with torch.inference_mode():
            while order:
                # From the longest downwards: texts of similar length share a batch, which limits padding.
                count = max(1, TOKENS_AT_ONCE // lengths[order[-1]])
                batch = [i for i in order[-count:] if side or lengths[i] == lengths[order[-1]]]
                order = order[: -len(batch)]
                given = self._padded([rows[i] for i in batch], side or "right")
                for i, output in zip(batch, self._read(given), strict=True):
                    rows_of_outputs[i] = output
        cut = np.array([was_cut for _, _, was_cut in rows], dtype=bool)
        return (np.vstack(rows_of_outputs) if rows_of_outputs else np.zeros((0, 1))), cut

    @cached_property
    def _padding_side(self) -> str | None:
        """The side on which padding does not change outputs; None if texts of different lengths cannot share a batch.

        Most models ignore padding on the right. XLNet reads its output at the last position, so that its padding has to
        be on the left; ConvBERT, FNet and Nystromformer mix padding into every position.
        """
        import torch

        short, long = self._tokens(Text(_SHORT), False), self._tokens(Text(_LONG), False)
        if len(short[0]) == len(long[0]):
            return None
        dtype = str(next(self._body.parameters()).dtype).removeprefix("torch.")
        with torch.inference_mode():
            alone = self._read(self._padded([short], "right"))[0]
            for side in ("right", "left"):
                try:
                    padded = self._read(self._padded([long, short], side))
                except (RuntimeError, ValueError):  # BART, where the two have different numbers of end tokens
                    continue
                if np.abs(padded[1] - alone).max() <= _TOLERANCE.get(dtype, 0.1) * np.abs(padded).max():
                    return side
        return None

    def _tokens(self, text: Text, cut_start: bool) -> tuple[list[int], list[int] | None, bool]:
        self.tokenizer.truncation_side = self._truncation_side or ("left" if cut_start else "right")
        given = {"text": text.first, "text_pair": text.second, "add_special_tokens": text.special}
        tokens = self.tokenizer(**given, truncation=False, verbose=False)
        cut = len(tokens["input_ids"]) > self.longest
        if cut:
            tokens = self.tokenizer(**given, truncation="longest_first", max_length=self.longest)
        kinds = tokens.get("token_type_ids")
        if not tokens["input_ids"]:  # an empty text, to which the tokenizer adds nothing
            return [self._empty()], [0] if kinds is not None else None, False
        return list(tokens["input_ids"]), list(kinds) if kinds is not None else None, cut

    def _empty(self) -> int:
        """Return the token that represents a text without tokens."""
        ids = (self.tokenizer.eos_token_id, self.tokenizer.pad_token_id, self._padding, 0)
        return int(next(number for number in ids if number is not None))

    def _padded(self, rows: Sequence[tuple[list[int], list[int] | None, bool]], side: str) -> Mapping[str, Any]:
        """Return texts as tensors for the model, the shorter ones padded on this side."""
        import torch

        longest = max(len(ids) for ids, _, _ in rows)
        padding = self._padding
        if padding is None:
            used = {number for ids, _, _ in rows for number in ids}
            padding = next(number for number in range(len(used) + 1) if number not in used)
            self._body.config.get_text_config().pad_token_id = padding
        ids = torch.full((len(rows), longest), padding)
        mask, kinds = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, (own, kind, _) in enumerate(rows):
            span = slice(None, len(own)) if side == "right" else slice(longest - len(own), None)
            ids[row, span], mask[row, span] = torch.tensor(own), 1
            if kind is not None:
                kinds[row, span] = torch.tensor(kind)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if rows[0][1] is not None:
            inputs["token_type_ids"] = kinds
        return {name: tensor.to(self.device) for name, tensor in inputs.items()}

    def _read(self, given: Mapping[str, Any]) -> np.ndarray:
        import torch

        if self._head is None:
            logits = self._body(**given).logits
        else:
            states = self._body(**given).last_hidden_state
            mask = given["attention_mask"]
            last = (mask * torch.arange(mask.shape[1], device=mask.device)).argmax(dim=1)
            logits = states[torch.arange(len(last)), last].float() @ self._head.T
        return np.asarray(logits.double().cpu().numpy())


def _vocabulary(model: Any) -> int:
    """Return the number of a model's token embeddings."""
    return int(model.get_input_embeddings().num_embeddings)


def open_sequence_model(
    name: str, head: str | None = None, device: str | None = None, longest: int | None = None
) -> SequenceModel:
    """Load a model from this machine.

    Raises:
        MissingModelError: its weights are not on this machine; it has the command that fetches them.
        InputError: as for :class:`SequenceModel`.
        EngineError: as for :class:`SequenceModel`.
    """
    return SequenceModel(model_files.locate(name), head, device, longest)


def labels_of(config: Mapping[str, Any]) -> dict[int, str]:
    """Return the names of a classifier's outputs by index, from its ``config.json``."""
    named = {int(number): str(name) for number, name in (config.get("id2label") or {}).items()}
    return named or {number: f"LABEL_{number}" for number in range(int(config.get("num_labels", 2)))}


def activation_of(problem_type: str | None, outputs: int) -> str:
    """Return the activation that transformers' text-classification pipeline applies to a model's outputs.

    Args:
        problem_type: of the model's ``config.json``, or None.
        outputs: their number.

    Returns:
        "sigmoid", "softmax" or "none".

    Source: ``TextClassificationPipeline.postprocess`` of transformers 5.
    """
    if problem_type == "regression":
        return "none"
    if problem_type == "multi_label_classification" or outputs == 1:
        return "sigmoid"
    return "softmax"


def refuse_own_code(files: ModelFiles, head: str | None) -> None:
    """Refuse a model whose class is not part of transformers.

    Raises:
        InputError: it needs code of its own, and no head is named.
    """
    if read_config(files.folder).get("auto_map") and head is None:
        raise InputError(
            f"{files.name} needs code that comes with it, and such code is never run here (trust_remote_code is off). "
            'Name the weights of a linear head with head = "...", serve the model (family = "served"), or take one '
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
    missing = report["missing_keys"]
    if missing:
        # They would be initialised at random, which makes rewards meaningless.
        raise EngineError(f"The weights of {files.name} lack {len(missing)} tensors, {min(missing)} among them.")
    weights = None if head is None else _tensor(files, head).to(device)
    return model.eval().to(device), weights


def _tensor(files: ModelFiles, name: str) -> Any:
    from safetensors import safe_open

    for path in sorted(Path(files.folder).glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            if name in file.keys():  # noqa: SIM118 (the file is no mapping)
                return file.get_tensor(name).float()
    raise InputError(f"The weights of {files.name} hold no {name!r}, which head names.")
