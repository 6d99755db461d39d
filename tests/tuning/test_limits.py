"""Tests of limits: what does not fit is refused before the tuning starts, with an alternative."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest

from map_core.errors import EngineError, InputError
from map_core.models.files import ModelFiles
from map_core.tuning import estimate, request
from map_core.tuning.policy import Policy, ReplyBatch
from map_core.tuning.settings import TuningMethod, TuningSettings
from tests.lazy import requires
from tests.tuning.toy_policy import BASE, END, REWARDS, WEIGHTS, examples, toy_policy

pytestmark = requires("requirements-tune.txt", "trl", "peft")


@pytest.fixture
def files(tmp_path) -> ModelFiles:
    (tmp_path / "model.safetensors").write_bytes(b"0" * 2000)  # a thousand weights of 16 bits
    return ModelFiles("big", tmp_path, "0" * 64, "a test")


@pytest.mark.parametrize(
    ("free", "rank", "message"),
    [
        (3_999, 8, r"tuning an adapter takes at least 4 kB of memory, and 4 kB are free. Take a smaller model"),
        (
            19_999,
            0,
            r"tuning all of them takes at least 20 kB of memory, .* Tune an adapter \(--rank 8\), or a machine",
        ),
        (3_999, 0, r"Take a smaller model, or a machine"),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_an_alternative(
    files: ModelFiles, monkeypatch: pytest.MonkeyPatch, free: int, rank: int, message: str
):
    monkeypatch.setattr(estimate, "_memory", lambda: free)
    with pytest.raises(InputError, match=message):
        estimate.check_memory(files, TuningSettings(rank=rank))
    monkeypatch.setattr(estimate, "_memory", lambda: free + 1)
    if free + 1 >= 4000 * (1 if rank else 5):
        estimate.check_memory(files, TuningSettings(rank=rank))


def test_a_disk_without_space_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch):
    policy = Policy(toy_policy(BASE), toy_policy(BASE), (END,), 1.0)
    base_examples = examples(REWARDS @ WEIGHTS)
    measured = estimate.measure(
        policy, [base_examples], TuningSettings(steps=10, prompts=3, replies=8, rank=0), merged=False
    )
    assert measured.seconds == pytest.approx(10 * measured.step_seconds)
    assert measured.tuned == sum(p.numel() for p in policy.model.parameters() if p.requires_grad)
    assert measured.result_bytes == 4 * measured.tuned
    assert all(p.grad is None for p in policy.model.parameters())
    assert "a step takes" in estimate.estimate_sentence(measured)
    without_steps = replace(measured, step_seconds=None)
    assert "reading the replies takes" in estimate.estimate_sentence(without_steps)
    assert "has read the replies" in estimate.estimate_sentence(replace(without_steps, seconds=0.0))
    needed = measured.checkpoint_bytes + measured.result_bytes
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda folder: usage(0, 0, needed))
    measured.check_disk(tmp_path)
    monkeypatch.setattr(estimate.shutil, "disk_usage", lambda folder: usage(0, 0, needed - 1))
    with pytest.raises(InputError, match="Make room, choose another --out, or tune a smaller --rank"):
        measured.check_disk(tmp_path)


def test_without_the_libraries_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(request.importlib.util, "find_spec", lambda name: None if name in ("peft", "trl") else object())
    with pytest.raises(EngineError, match=r"needs peft, trl, .* pip install -r requirements-tune.txt"):
        request.require_libraries()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("steps", 0), ("prompts", 0), ("replies", 1), ("learning_rate", 0.0), ("rank", -1), ("seed", -1)],
)
def test_settings_outside_their_range_are_refused(setting: str, value: float):
    with pytest.raises(InputError, match=f"{setting} is {value!r}; expected"):
        TuningSettings(**{setting: value})
    with pytest.raises(InputError, match="There is no tuning method 'ppo'; there are advantage, distill, pairs, dpo"):
        TuningMethod("ppo")


def test_log_ratios_do_not_depend_on_the_batch_size(monkeypatch: pytest.MonkeyPatch):
    from map_core.tuning import policy as policy_module

    base_examples = examples(REWARDS @ WEIGHTS)
    policy = Policy(toy_policy(BASE[::-1].copy()), toy_policy(BASE), (END,), 1.0)
    ratios = policy.log_ratios(base_examples)
    monkeypatch.setattr(policy_module, "_TOKENS_PER_PASS", 7)
    assert policy.log_ratios(base_examples) == pytest.approx(ratios, abs=1e-6)
    assert policy.log_ratios(base_examples, [3, 40]) == pytest.approx(ratios[[3, 40]], abs=1e-6)
    batch = ReplyBatch.of(base_examples, range(64))
    assert np.abs(ratios).max() > 0.1
    assert not policy.base_log_probs(batch).requires_grad
