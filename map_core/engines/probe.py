"""Check a model that the user names, a folder, a name or NAME@URL, before any work begins.

Constraint: a check takes seconds at most: weights are neither hashed nor loaded, and a server is asked for a few
tokens, which proves that it has the model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from map_core.core.types import SamplingSettings
from map_core.engines.remote_engine import RemoteEngine
from map_core.errors import InputError
from map_core.models import files
from map_core.models.endpoint import Address, address_of

#: Parts of the names of architectures in config.json that generate text.
GENERATIVE = ("CausalLM", "LMHead", "DoubleHeads", "ConditionalGeneration")
#: Seconds to wait for a server; it may have to load the model.
SECONDS = 30.0


@dataclass(frozen=True)
class ProbedModel:
    """A model from which replies can be drawn.

    Args:
        model: its name for commands; the absolute path of a folder.
        description: a sentence about it.
        log_probs: whether replies have log-probabilities.
    """

    model: str
    description: str
    log_probs: bool


def probe_model(model: str, seconds: float = SECONDS) -> ProbedModel:
    """Check that a model exists and generates text.

    Only for a name that was entered by a user who may name any model, since its server is called.

    Args:
        model: a folder with config.json and safetensors, a name from ``models list`` or of a hub model on this
            machine, or NAME@URL for one on a server with OpenAI's chat completions.
        seconds: time limit for a server.

    Raises:
        InputError: no name, a model that does not generate text, or a server that does not have the model.
        MissingModelError: it is not on this machine.
        EngineError: the server cannot be reached, requires a key, or does not answer.
    """
    model = model.strip()
    if not model:
        raise InputError("No model is named; expected a folder, or NAME@http://HOST:PORT/v1.")
    if (address := address_of(model)) is not None:
        return _on_server(address, seconds)
    if not files.is_path(model):
        return ProbedModel(model, _writer(model, files.locate(model).folder), True)
    folder = Path(model).expanduser().absolute()
    files.weights_in(model, folder)
    return ProbedModel(str(folder), _writer(model, folder), True)


def _writer(model: str, folder: Path) -> str:
    """Describe the model in a folder.

    Raises:
        InputError: its config.json cannot be read, or names no architecture that generates text.
    """
    try:
        architectures = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("architectures") or []
        kinds = [str(architecture) for architecture in architectures]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"The config.json of {model} cannot be read ({error}). Save the model again.") from error
    if kinds and not any(part in kind for kind in kinds for part in GENERATIVE):
        raise InputError(
            f"{model} holds a {kinds[0]}, which writes no replies; expected a causal language model, such as a "
            "LlamaForCausalLM."
        )
    return f"The folder holds a model that writes replies{f' ({kinds[0]})' if kinds else ''}."


def _on_server(address: Address, seconds: float) -> ProbedModel:
    """Draw a few tokens of the model from its server."""
    model = str(address)
    engine = RemoteEngine(model, retries=0, timeout=seconds, trusted=True)
    probe = engine.probe(SamplingSettings())
    how = "tells how likely its words are" if probe.log_probs else "does not tell how likely its words are"
    cuts = (
        f" It does not accept {', '.join(probe.unknown)}, so whether it leaves out unlikely words is not known."
        if probe.unknown
        else ""
    )
    return ProbedModel(model, f"The server answers with this model, and {how}.{cuts}", probe.log_probs)
