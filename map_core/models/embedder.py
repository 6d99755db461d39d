"""Compute sentence embeddings: a BERT encoder with mean pooling, normalised to length 1.

The encoder is built as an OpenVINO graph over the model's own weights: it loads in under a second and needs neither
torch nor transformers, whose import alone takes several times as long as the work. Constraint: float32 everywhere, so
that a reward is the same on every machine up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from map_core.errors import EngineError, InputError
from map_core.models import files as model_files
from map_core.models import telemetry
from map_core.models.conversion import read_config, read_safetensors, weight_files
from map_core.models.files import ModelFiles
from map_core.models.packaged import DEFAULT_EMBEDDER

telemetry.disable()

_MAX_TOKENS = 256  # of a text, as the model was trained
_TOKENS_PER_BATCH = 2048


class BertEmbedder:
    """A BERT sentence-embedding model on the CPU.

    Args:
        files: a BERT model folder.

    Raises:
        InputError: the model is of another family.
        EngineError: OpenVINO is not installed, or the weights cannot be read.
    """

    def __init__(self, files: ModelFiles) -> None:
        from tokenizers import Tokenizer

        self.files = files
        config = read_config(files.folder)
        if config.get("model_type") != "bert":
            raise InputError(f"{files.name} is of the family {config.get('model_type')}; expected a BERT model.")
        self.dimension = int(config["hidden_size"])
        self._tokenizer = Tokenizer.from_file(str(files.folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(_MAX_TOKENS, config["max_position_embeddings"]))
        self._padding = int(config.get("pad_token_id") or 0)
        try:
            import openvino

            weights = {n: a for path in weight_files(files.folder) for n, a in read_safetensors(path)}
            settings = {"INFERENCE_PRECISION_HINT": "f32"}
            self._graph = openvino.Core().compile_model(_encoder(weights, config), "CPU", settings)
        except ImportError as error:
            raise EngineError("openvino is not installed. Run: pip install openvino-genai") from error
        except InputError:
            raise
        except (KeyError, ValueError, RuntimeError) as error:
            raise model_files.load_error(files, error) from error

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return the embeddings of texts, vectors of length 1.

        Args:
            texts: any number; each is truncated to its first 256 tokens.

        Returns:
            Float64 (text, dimension); zeros for a text without a token.
        """
        result = np.zeros((len(texts), self.dimension))
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        order = sorted((i for i in range(len(texts)) if tokens[i]), key=lambda i: len(tokens[i]))
        while order:
            # From the longest downwards: texts of similar length share a batch, which limits padding.
            count = max(1, _TOKENS_PER_BATCH // len(tokens[order[-1]]))
            batch, order = order[-count:], order[:-count]
            length = len(tokens[batch[-1]])
            ids = np.full((len(batch), length), self._padding, dtype=np.int64)
            mask = np.zeros((len(batch), length), dtype=np.float32)
            for row, i in enumerate(batch):
                ids[row, : len(tokens[i])] = tokens[i]
                mask[row, : len(tokens[i])] = 1.0
            result[batch] = self._graph([ids, mask])[0]
        return result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-12)


def open_embedder(name: str = DEFAULT_EMBEDDER) -> BertEmbedder:
    """Load a sentence-embedding model.

    Raises:
        MissingModelError: its weights are not on this machine.
        InputError: it is not a BERT model.
    """
    return BertEmbedder(model_files.locate(name))


def _encoder(weights: dict[str, np.ndarray], config: dict[str, Any]) -> Any:
    """Build the graph (ids, mask) -> mean of the last layer's states over a text's own tokens.

    Source: Devlin et al., BERT, NAACL 2019; Reimers and Gurevych, Sentence-BERT, EMNLP 2019 (the pooling)
    """
    import openvino
    from openvino import opset13 as op

    heads, epsilon = config["num_attention_heads"], float(config["layer_norm_eps"])
    prefix = "bert." if any(name.startswith("bert.") for name in weights) else ""

    def weight(name: str) -> Any:
        return op.constant(np.ascontiguousarray(weights[prefix + name], dtype=np.float32))

    def integers(*values: int) -> Any:
        return op.constant(np.array(values, dtype=np.int64))

    def dense(x: Any, name: str) -> Any:
        return op.add(op.matmul(x, weight(f"{name}.weight"), False, True), weight(f"{name}.bias"))

    def normalised(x: Any, name: str) -> Any:
        centred = op.mvn(x, integers(-1), True, epsilon, "inside_sqrt")
        return op.add(op.multiply(centred, weight(f"{name}.weight")), weight(f"{name}.bias"))

    def split(x: Any) -> Any:
        return op.transpose(op.reshape(x, integers(0, 0, heads, -1), True), integers(0, 2, 1, 3))

    ids = op.parameter([-1, -1], dtype=np.int64, name="ids")
    mask = op.parameter([-1, -1], dtype=np.float32, name="mask")
    length = op.gather(op.shape_of(ids), integers(1), integers(0))
    positions = op.slice(weight("embeddings.position_embeddings.weight"), integers(0), length, integers(1), integers(0))
    words = op.gather(weight("embeddings.word_embeddings.weight"), ids, integers(0))
    kind = op.constant(weights[prefix + "embeddings.token_type_embeddings.weight"][:1].astype(np.float32))
    x = normalised(op.add(op.add(words, positions), kind), "embeddings.LayerNorm")
    hidden = op.multiply(op.subtract(mask, op.constant(np.float32(1))), op.constant(np.float32(1e9)))
    bias = op.unsqueeze(hidden, integers(1, 2))
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        query, key, value = (split(dense(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
        attention = op.transpose(op.scaled_dot_product_attention(query, key, value, bias), integers(0, 2, 1, 3))
        attention = dense(op.reshape(attention, integers(0, 0, -1), True), f"{name}.attention.output.dense")
        x = normalised(op.add(x, attention), f"{name}.attention.output.LayerNorm")
        wide = op.gelu(dense(x, f"{name}.intermediate.dense"), "erf")
        x = normalised(op.add(x, dense(wide, f"{name}.output.dense")), f"{name}.output.LayerNorm")
    own = op.unsqueeze(mask, integers(2))
    total = op.reduce_sum(op.multiply(x, own), integers(1), False)
    mean = op.divide(total, op.reduce_sum(own, integers(1), False))
    return openvino.Model([mean], [ids, mask], "sentence embeddings")
