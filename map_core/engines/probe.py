"""Check a model that a person names, a folder, a name or NAME@URL, before any work begins.

Constraint: it takes seconds at most: weights are neither hashed nor loaded, and a server is asked for a few tokens,
which only a model that is there can give.
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

#: Parts of the names of architectures that generate text, as config.json has them.
GENERATIVE = ("CausalLM", "LMHead", "DoubleHeads", "ConditionalGeneration")
#: Seconds to wait for a server; it may have to load the model.
SECONDS = 30.0


@dataclass(frozen=True)
class ProbedModel:
    """A model that replies can be drawn from.

    Args:
        model: as commands take it; a folder by its whole path.
        description: what was found, as a sentence.
        log_probs: replies come with their log-probabilities.
    """

    model: str
    description: str
    log_probs: bool


def probe_model(model: str, seconds: float = SECONDS) -> ProbedModel:
    """Check that a model is there.

    Only for a name that a person who may name any model typed: its server is called.

    Args:
        model: a folder with config.json and safetensors, a name from ``models list`` or of a hub model on this
            machine, or NAME@URL for one on a server that speaks OpenAI's chat completions.
        seconds: to wait for a server.

    Raises:
        InputError: nothing is named, a folder or a name that is no model that writes, or a server that has not got it.
        MissingModelError: it is not on this machine.
        EngineError: the server cannot be reached, wants a key, or does not answer.
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
    """Describe what a model folder holds.

    Raises:
        InputError: its config.json cannot be read, or names only architectures that write nothing.
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
        f" It refuses to be told {', '.join(probe.unknown)}, so whether it leaves out unlikely words is not known."
        if probe.unknown
        else ""
    )
    return ProbedModel(model, f"The server answers with this model, and {how}.{cuts}", probe.log_probs)
