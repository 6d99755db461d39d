"""``python -m map_core generate`` from the command line to its JSON, with a tiny real transformer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from map_core.command_line import main
from map_core.command_line.generate import read_weights, sampling_settings
from map_core.glossary import SamplingSettings
from tests.tiny_model import make_tiny_model

WORDS = "positivity,plain_language,diversity"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    import torch

    torch.set_num_threads(1)
    return str(make_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def arguments(folder: str) -> list[str]:
    words = f"generate --model {folder} --engine torch --candidates 4 --max-new-tokens 12 --seed 3 --values {WORDS}"
    return [*words.split(), "--prompt", "How are you?"]


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} in JSON")


def run_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main([*arguments, "--json"]) == 0
    answer: dict[str, object] = json.loads(capsys.readouterr().out, parse_constant=refuse)
    return answer


def test_the_json_tells_everything(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    answer = run_json([*arguments, "--weights", "positivity=2", "--weights", "diversity=1.5"], capsys)
    candidates = answer["candidates"]
    assert isinstance(candidates, list)
    assert len(candidates) == 4
    assert sum(c["probability"] for c in candidates) == pytest.approx(1.0)
    assert all(set(c["rewards"]) == set(WORDS.split(",")) for c in candidates)
    assert answer["base"] == candidates[answer["base_candidate"]]["reply"]  # type: ignore[call-overload]
    assert answer["aligned"] == candidates[answer["aligned_candidate"]]["reply"]  # type: ignore[call-overload]
    assert answer["weights"] == {"positivity": 2.0, "diversity": 1.5}
    assert answer["seed"] == 3
    assert isinstance(answer["tokens"], int)
    assert 4 <= answer["tokens"] <= 48
    assert {"seconds", "ess", "kl", "log_z", "model", "engine", "sampling"} <= set(answer)


def test_the_same_seed_the_same_replies(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    one = run_json([*arguments, "--weights", "positivity=2", "diversity=1"], capsys)
    two = run_json([*arguments, "--weights", "positivity=2,diversity=1"], capsys)
    other = run_json([*arguments, "--weights", "positivity=2,diversity=1", "--seed", "4"], capsys)
    assert one["candidates"] == two["candidates"]
    assert one["candidates"] != other["candidates"]


def test_without_weights_it_is_the_base_model(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    answer = run_json(arguments, capsys)
    assert answer["kl"] == 0.0
    assert answer["ess"] == 4.0


def test_text_streams_both_replies(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    answer = run_json([*arguments, "--weights", "positivity=2"], capsys)
    assert main([*arguments, "--weights", "positivity=2"]) == 0
    text = capsys.readouterr().out
    assert str(answer["base"]) in text
    assert str(answer["aligned"]) in text
    assert "Base reply" in text
    assert "drawn with probability" in text
    assert "plain_language" in text


@pytest.mark.parametrize(
    ("extra", "code", "says"),
    [
        (["--weights", "humor"], 2, "expected NAME=W"),
        (["--weights", "humor=much"], 2, "expected NAME=W"),
        (["--weights", "humor=nan"], 2, "expected NAME=W"),
        (["--weights", "positivity=1", "--weights", "positivity=2"], 2, "given twice"),
        (["--weights", "wit=1"], 2, "wit"),
        (["--prompt", " "], 2, "prompt is empty"),
        (["--prompt", "word " * 900], 1, "context"),
        (["--temperature", "0"], 2, "temperature"),
        (["--candidates", "0"], 2, "0"),
        (["--model", "/no/such/folder"], 1, "no folder"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], extra: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *extra, "--json"]) == code
    streams = capsys.readouterr()
    assert streams.out == ""
    assert says in streams.err
    assert "Traceback" not in streams.err


def test_missing_weights_name_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VALUE_PALETTE_CACHE", str(tmp_path))
    assert main(["generate", "--prompt", "Hi", "--values", "none"]) == 1
    assert "python -m map_core models get smollm2-135m-instruct" in capsys.readouterr().err


def test_weights_by_hand() -> None:
    assert read_weights(("humor=2", "kindness=0.5,positivity=1e-3")) == {
        "humor": 2.0,
        "kindness": 0.5,
        "positivity": 0.001,
    }


def test_settings_asked_for_stand_before_the_tables() -> None:
    asked = {"temperature": 0.5, "top_k": 7, "top_p": 0.9, "max_new_tokens": 3}
    assert sampling_settings(asked) == SamplingSettings(0.5, 7, 0.9, 3)
    kept = sampling_settings(dict.fromkeys(asked))
    assert sampling_settings({"top_k": 3}) == SamplingSettings(kept.temperature, 3, kept.top_p, kept.max_new_tokens)
