"""Tests of a tuning from the table to the folder: evidence, card, interruption, resumption and refusals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from map_core.building.progress import Progress
from map_core.cli import main
from map_core.core.file_lock import lock
from map_core.core.types import SamplingSettings
from map_core.data.reward_table import RewardTable
from map_core.engines.factory import open_engine
from map_core.errors import InputError
from map_core.models.files import drop_merged, locate
from map_core.scoring import resolve
from map_core.tuning import losses
from map_core.tuning.folder import CHECKPOINTS, UNREAD_RATIOS, read_record
from map_core.tuning.request import TuningRequest
from map_core.tuning.run import tune
from map_core.tuning.settings import TuningMethod
from tests import ROOT
from tests.lazy import LazyModule, requires
from tests.tuning.tiny_runs import QUICK, VALUES, pairs_command, request, weights_in

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore"), requires("requirements-tune.txt", "trl", "peft")]

checkpoints = LazyModule("map_core.tuning.checkpoints")


def test_no_model_library_loads_before_a_model_is_tuned():
    modules = "map_core.cli.tune, map_core.cli.verify_tuned, map_core.tuning.run, map_core.tuning.check"
    heavy = "{'torch', 'transformers', 'peft', 'trl', 'datasets'}"
    code = f"import sys, {modules}\nprint(*{heavy} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


@pytest.mark.parametrize("method", [method for method in TuningMethod if method is not TuningMethod.NATURAL])
def test_every_method_gives_a_model_with_card_and_evidence(method: TuningMethod, table: RewardTable, tmp_path: Path):
    steps, sentences = [], []
    record = tune(
        request(table, tmp_path / "out", settings=replace(QUICK, method=method), merged=method is TuningMethod.PAIRS),
        steps.append,
        sentences.append,
    )
    assert record == read_record(tmp_path / "out")
    assert [step.done for step in steps if step.stage == "tuning"] == [0, 1, 2, 3, 4]
    assert "a step takes" in " ".join(sentences)
    assert record["evidence"]["prompts"] == 2
    assert set(record["evidence"]["levels"]) == set(VALUES)
    assert record["held_out"] == ["p6", "p7"]
    assert len(record["history"]) == 4
    assert any(np.abs(array).max() > 0 for name, array in weights_in(tmp_path / "out").items() if "lora_B" in name)
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nbase_model: ")
    assert f"| {record['forecast']['diversity']:.4g} | 2 |" in card
    assert record["forecast"]["diversity"] > record["base"]["diversity"]
    assert not (tmp_path / "out" / CHECKPOINTS).exists()
    assert (tmp_path / "out" / "merged" / "model.safetensors").is_file() == (method is TuningMethod.PAIRS)
    if method is TuningMethod.RLOO:
        # Rewards are recorded as the scorer gives them, not centred as for the trainer.
        assert all(0.0 <= row["rewards/diversity/mean"] <= 1.0 for row in record["history"])
        assert all(row["rewards/diversity/mean"] > 0.5 for row in record["history"])


def test_an_output_layer_is_solved_and_replies_are_read_once_for_all_palettes_of_a_table(
    table: RewardTable, path: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from map_core.models.language_model import LanguageModel
    from map_core.tuning import natural

    monkeypatch.setattr(natural, "cache_folder", lambda: tmp_path / "cache")
    settings = replace(QUICK, method=TuningMethod.NATURAL, beginnings=2, value_replies=8)
    options = {"settings": settings, "table_hash": "a" * 64}
    reports: list[Progress] = []
    record = tune(request(table, tmp_path / "one", **options), reports.append)
    assert record["solved"]["replies"] == 48
    readings = [progress for progress in reports if progress.stage == "reading"]
    assert len(readings) == 6
    stages = list(dict.fromkeys(progress.stage for progress in reports))
    assert stages == ["reading", "solving", "checking"]
    assert readings[0].figures["estimate"] == record["estimate"]
    assert record["estimate"]["step_seconds"] is None
    assert record["estimate"]["seconds"] > 0
    assert set(record["evidence"]["levels"]) == set(VALUES)
    assert not (tmp_path / "one" / UNREAD_RATIOS).exists()  # only rounds need them
    assert set(weights_in(tmp_path / "one")) == {f"base_model.model.lm_head.lora_{side}.weight" for side in ("A", "B")}
    # Another palette of the same table reads no replies.
    monkeypatch.setattr(natural.ReplyReader, "read", lambda *arguments: pytest.fail("read again"))
    second = tune(replace(request(table, tmp_path / "two", **options), weights={"positivity": 1.0}))
    assert second["solved"]["correlation"] != record["solved"]["correlation"]
    assert second["estimate"]["seconds"] == 0
    # The merged model differs from the base model only in its output layer, which is no longer tied to the embeddings.
    base, merged = (LanguageModel(locate(str(folder)), dtype="float32").model for folder in (model, tmp_path / "one"))
    changed = [
        name
        for (name, before), (_, after) in zip(base.state_dict().items(), merged.state_dict().items(), strict=True)
        if not np.allclose(before.numpy(), after.numpy())
    ]
    assert changed == ["lm_head.weight"]


def test_the_adapter_opens_in_the_engines_equals_the_merged_model_and_is_removed_from_the_cache(
    table: RewardTable, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from map_core.engines.draw_request import DrawRequest

    tune(request(table, tmp_path / "out", settings=replace(QUICK, learning_rate=0.05), merged=True))
    files = locate(str(tmp_path / "out"))
    assert locate(str(tmp_path / "out")) == files
    assert files.sha256 != locate(str(model)).sha256
    draw = DrawRequest("Hi", settings=SamplingSettings(temperature=0.8, max_new_tokens=8))
    engines = [open_engine(str(name), "torch") for name in (model, tmp_path / "out", tmp_path / "out" / "merged")]
    (reply,) = engines[0].complete(draw)
    scores = [engine.reply_scores(draw, [reply])[0].log_prob for engine in engines]
    assert scores[1] == pytest.approx(scores[2], abs=1e-3)
    for folder in (tmp_path / "out", tmp_path / "out" / "merged"):
        config = json.loads((folder / "generation_config.json").read_text())
        assert (config["do_sample"], config["temperature"], config["top_p"], config["top_k"]) == (True, 0.8, 1.0, 0)
    assert abs(scores[0] - scores[1]) > 1e-3
    graph = tmp_path / "graph"
    graph.mkdir()
    monkeypatch.setattr(
        "map_core.models.files.graph_folder", lambda merged: graph if merged.sha256 == files.sha256 else None
    )
    drop_merged(tmp_path / "out")
    assert not files.folder.exists()
    assert not graph.exists()
    drop_merged(tmp_path / "out" / "merged")  # not an adapter: the cache has nothing of it
    assert (tmp_path / "out" / "merged" / "model.safetensors").is_file()


def test_all_weights_can_be_tuned(table: RewardTable, tmp_path: Path):
    record = tune(request(table, tmp_path / "out", settings=replace(QUICK, rank=0, learning_rate=1e-3)))
    assert record["settings"]["rank"] == 0
    assert "library_name: transformers" in (tmp_path / "out" / "README.md").read_text()
    assert open_engine(str(tmp_path / "out"), "torch").info.model == str(tmp_path / "out")


def test_an_interrupted_run_is_resumed_with_the_same_result(
    table: RewardTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("map_core.tuning.checkpoints.INTERVAL", 0.0)
    tune(request(table, tmp_path / "whole"))

    def stop(progress) -> None:
        if progress.stage == "tuning" and progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(request(table, tmp_path / "out"), stop)
    # An incomplete checkpoint of a killed run is ignored.
    (tmp_path / "out" / CHECKPOINTS / "checkpoint-9").mkdir()
    steps = []
    tune(request(table, tmp_path / "out"), steps.append)
    assert [step.done for step in steps if step.stage == "tuning"] == [2, 3, 4]
    complete, resumed = weights_in(tmp_path / "whole"), weights_in(tmp_path / "out")
    for name, array in complete.items():
        assert resumed[name] == pytest.approx(array, abs=1e-6)
    sentences = []
    tune(request(table, tmp_path / "out"), None, sentences.append)
    assert "finished already" in sentences[0]


def test_a_killed_run_is_resumed_with_the_same_result(path: Path, tmp_path: Path):
    def arguments(out: str) -> list[str]:
        quick = ["--steps", "5", "--prompts", "1", "--quiet", "--evidence", "0"]
        return [*pairs_command(path, tmp_path / out, "--weights", "diversity=2", "--replies", "4"), *quick]

    def run(out: str, killed_at: int) -> int:
        code = f"""
import os, signal
from map_core.cli import main
from map_core.tuning import checkpoints
checkpoints.INTERVAL = 0.0
tell = checkpoints.ClockedCheckpoints._tell
def kill(self, state):
    if state.global_step == {killed_at}:
        os.kill(os.getpid(), signal.SIGKILL)
    tell(self, state)
checkpoints.ClockedCheckpoints._tell = kill
raise SystemExit(main({arguments(out)!r}))
"""
        return subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL, timeout=200).returncode

    assert main(arguments("whole")) == 0
    assert run("out", killed_at=3) == -signal.SIGKILL
    assert checkpoints.last_checkpoint(tmp_path / "out" / CHECKPOINTS).name == "checkpoint-2"
    assert not (tmp_path / "out" / "tuning.json").exists()
    assert main(arguments("out")) == 0
    complete, resumed = weights_in(tmp_path / "whole"), weights_in(tmp_path / "out")
    for name, array in complete.items():
        assert resumed[name] == pytest.approx(array, abs=1e-6)


def test_a_learning_rate_that_is_too_high_is_reported(table: RewardTable, tmp_path: Path):
    sentences: list[str] = []
    too_high = replace(QUICK, steps=8, learning_rate=0.3)
    tune(request(table, tmp_path / "wild", settings=too_high, evidence_prompts=0), None, sentences.append)
    assert "where nothing is tuned: what was learnt is mostly noise" in sentences[-1]
    sentences.clear()
    low = replace(QUICK, steps=8, learning_rate=1e-5)
    tune(request(table, tmp_path / "calm", settings=low, evidence_prompts=0), None, sentences.append)
    assert not any("nothing is tuned" in sentence for sentence in sentences)


def test_a_loss_that_is_nan_raises_and_names_the_prompt(
    table: RewardTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("map_core.tuning.checkpoints.INTERVAL", 0.0)
    calls = []

    def nan_loss(log_probs, base, gains):
        calls.append(1)
        return losses.pair_regression(log_probs, base, gains) * (float("nan") if len(calls) > 5 else 1.0)

    monkeypatch.setitem(losses.LOSSES, TuningMethod.PAIRS, nan_loss)
    with pytest.raises(InputError, match=r"The loss of step 3 is nan, on the prompt 'p\d'"):
        tune(request(table, tmp_path / "out"))
    assert checkpoints.last_checkpoint(tmp_path / "out" / CHECKPOINTS).name == "checkpoint-2"


def test_a_folder_belongs_to_one_tuning(table: RewardTable, tmp_path: Path):
    out = tmp_path / "out"
    tune(request(table, out))
    with pytest.raises(InputError, match=r"holds another tuning \(other settings\)"):
        tune(request(table, out, settings=replace(QUICK, steps=5)))
    record = tune(request(table, out, settings=replace(QUICK, steps=5), fresh=True))
    assert record["settings"]["steps"] == 5
    with lock(out / "tuning.json", who="tuning"), pytest.raises(InputError, match="Another tuning"):
        tune(request(table, out))
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    (other_folder / "thesis.txt").write_text("mine")
    for fresh in (False, True):
        with pytest.raises(InputError, match=r"holds other files \(thesis.txt\)"):
            tune(request(table, other_folder, fresh=fresh))


def test_tables_that_no_model_can_be_tuned_on_are_refused(table: RewardTable, tmp_path: Path):
    out = tmp_path / "out"
    cases = {
        "no token ids": replace(table, tokens=()),
        "max_new_tokens": replace(table, metadata={**table.metadata, "sampling": {}}),
        "holds one of 8": replace(table, metadata={**table.metadata, "sampling": {"max_new_tokens": 4}}),
        "of another model": replace(
            table, metadata={**table.metadata, "model": {**table.metadata["model"], "sha256": "f" * 64}}
        ),
        "token id outside": replace(table, tokens=((10**6,), *table.tokens[1:])),
        "one reply": replace(
            table,
            rewards=table.rewards[:8],
            tokens=table.tokens[:8],
            replies=table.replies[:8],
            log_probs=table.log_probs[:8],
            offsets=np.arange(9),
        ),
        "has one reply": replace(  # only the held-out prompt has several
            table,
            rewards=table.rewards[:9],
            tokens=table.tokens[:9],
            replies=table.replies[:9],
            log_probs=table.log_probs[:9],
            offsets=np.array([0, 1, 2, 3, 4, 5, 6, 7, 9]),
            held_out=np.arange(8) == 7,
        ),
    }
    for message, unsuitable in cases.items():
        with pytest.raises(InputError, match=message):
            tune(request(unsuitable, out, fresh=True))
    with pytest.raises(InputError, match="Every weight is 0"):
        tune(TuningRequest(table, {"diversity": 0.0}, out, settings=QUICK))


def test_the_divergence_of_a_truncated_table_from_the_base_model_is_reported(
    table: RewardTable, path: Path, tmp_path: Path
):
    truncated = replace(table, metadata={**table.metadata, "sampling": {**table.metadata["sampling"], "top_p": 0.5}})
    sentences = []
    record = tune(request(truncated, tmp_path / "out"), None, sentences.append)
    assert "drawn at top_p 0.5" in sentences[0]
    assert record["p0"]["kl"] > 0.1


def test_the_model_process_draws_from_the_tuned_model(table: RewardTable, model: Path, tmp_path: Path):
    from map_core.generation.events import Finished
    from map_core.generation.request import GenerationRequest, Method
    from map_core.generation.sampler import generation_events
    from map_core.service.service import GenerationService
    from map_core.service.snapshot import Phase

    quick = replace(QUICK, learning_rate=0.05)
    tune(request(table, tmp_path / "out", settings=quick, evidence_prompts=0, merged=True))
    merged = str(tmp_path / "out" / "merged")
    generation_request = GenerationRequest(
        "Hi", {"diversity": 2.0}, candidates=4, settings=SamplingSettings(temperature=0.8, max_new_tokens=8), seed=3
    )
    base, tuned = (open_engine(str(name), "torch", "float32") for name in (model, merged))
    scorers = {scorer.name: scorer for scorer in resolve(("diversity",), {})}
    *_, direct = generation_events(base, scorers, generation_request, proposal=tuned)
    assert isinstance(direct, Finished)
    assert any(offset != 0 for offset in direct.log_offsets)
    with GenerationService(str(model), "torch", tuned=merged) as service:
        by_service = service.submit(generation_request).wait()
        assert by_service.phase is Phase.DONE
        assert [candidate.text for candidate in by_service.candidates] == [reply.text for reply in direct.replies]
        assert by_service.choice.probabilities == pytest.approx(direct.choice.probabilities, abs=1e-4)
        failed = service.submit(replace(generation_request, method=Method.BLOCKS)).wait()
        assert failed.phase is Phase.FAILED
        assert "whole replies" in failed.error
