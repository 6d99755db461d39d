"""Tests of the trainer snippet: its text runs in the real trainer, whose advantages are those of the palette's tilt."""

from __future__ import annotations

import json
import subprocess
import textwrap
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from map_core import report as reports
from map_core.core.types import Reply, SamplingSettings
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import load, save
from map_core.palettes.palette import ALL, Palette, Target
from map_core.report import Report, ReportOptions, compute_report
from tests.environments import library_path, python_environment
from tests.tables import make_table
from tests.tiny_model import make_tiny_model

TRL = ("trl==1.16.0", "datasets==5.2.0")
#: Changes to the snippet: few prompts, one step per prompt, a learning rate for a tiny model, an output folder.
CHANGES = {
    "        logging_steps=1,\n": "        logging_steps=1,\n        learning_rate=0.05,\n        max_steps=3,\n"
    "        use_cpu=True,\n        bf16=False,\n        report_to='none',\n        disable_tqdm=True,\n"
    "        output_dir='out',\n",
}
#: Settings of the trainer in the test of its fixed point.
STEPS = 150
#: Code around the snippet that records what the trainer computes at each step and writes it at the end.
BEFORE = """
import json, sys
import torch
from trl import RLOOTrainer
STEPS = []
generate = RLOOTrainer._generate_and_score_completions
def kept(self, inputs):
    output = generate(self, inputs)
    STEPS.append({name: output[name].tolist() for name in output if hasattr(output[name], "tolist")})
    STEPS[-1]["prompt"] = [row["prompt"] for row in inputs]
    STEPS[-1]["rewards"] = {name: list(rewards)[-len(inputs):] for name, rewards in self._logs["rewards"].items()}
    STEPS[-1]["completion"] = list(self._logs["completion"])[-len(inputs):]
    return output
RLOOTrainer._generate_and_score_completions = kept
"""
AFTER = """
logged = [row for row in trainer.state.log_history if "reward" in row]
summary = {"beta": trainer.beta, "weights": trainer.reward_weights.tolist(), "logged": logged, "steps": STEPS}
summary["names"] = trainer.reward_func_names
with open("summary.json", "w") as file:
    json.dump(summary, file)
"""


def reported(table: RewardTable, where: Path, targets: dict[str, float]) -> Report:
    """Save a table, and return the report of a palette of it."""
    save(table, where)
    palette = Palette(ALL, {name: Target(level) for name, level in targets.items()})
    wanted = ReportOptions(draws=0, samples=0, figures=False)
    return compute_report(load(where), palette, date=datetime.now(UTC), shown_table=str(where), wanted=wanted)


def text_of(report: Report) -> str:
    (text,) = (snippet.text for snippet in reports.snippets(report) if snippet.name == "trainer")
    return text


def note_of(report: Report) -> str:
    (note,) = (snippet.note for snippet in reports.snippets(report) if snippet.name == "trainer")
    return note


def table_of(model: str, sampling: dict, values: tuple[str, ...], **metadata) -> RewardTable:
    table = make_table(prompts=4, candidates=12, values=values, seed=2)
    engine = {"dtype": "float32"}  # otherwise a processor that multiplies in bfloat16 rounds the compared values
    return replace(table, metadata={"model": {"name": model}, "sampling": sampling, "engine": engine, **metadata})


@pytest.mark.slow
@pytest.mark.external
@pytest.mark.timeout(600)
@pytest.mark.parametrize("values", [("diversity", "positivity"), ("familiarity", "plain_language")])
def test_snippet_runs_in_the_real_trainer_with_the_advantages_of_the_tilt(tmp_path: Path, values: tuple[str, ...]):
    programs = python_environment("trl", *TRL)
    model = make_tiny_model(tmp_path / "tiny")
    sampling = SamplingSettings(temperature=0.7, max_new_tokens=10).as_dict()
    report = reported(table_of(str(model), sampling, values), tmp_path / "t.parquet", dict.fromkeys(values, 60.0))
    weights = reports.as_dict(report)["weights"]
    text = text_of(report)
    for old, new in CHANGES.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    run(programs, tmp_path, text)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["beta"] == 1.0
    assert summary["names"] == list(weights) == list(values)
    assert summary["weights"] == pytest.approx(list(weights.values()), rel=1e-6)
    assert len(summary["logged"]) == len(summary["steps"]) == 3
    for row, step in zip(summary["logged"], summary["steps"], strict=True):
        for name in values:
            assert row[f"rewards/{name}/mean"] == pytest.approx(np.mean(step["rewards"][name]), rel=1e-5)
        assert row["reward"] == pytest.approx(
            sum(weights[name] * row[f"rewards/{name}/mean"] for name in values), rel=1e-4, abs=1e-5
        )
        check_step(step, weights, model, sampling["temperature"])
    # The policy has moved by then, so the comparison includes the divergence.
    assert abs(summary["logged"][-1]["kl"]) > 1e-3
    assert (tmp_path / "tuned" / "model.safetensors").is_file()


def run(programs: Path, folder: Path, text: str) -> None:
    """Run a snippet in a folder, wrapped in code that records its steps."""
    (folder / "tune.py").write_text(BEFORE + text + AFTER, encoding="utf-8")
    answer = subprocess.run(
        [str(programs / "python"), "tune.py"],
        cwd=folder,
        env=library_path() | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]


def check_step(step: dict, weights: dict[str, float], folder: Path, temperature: float) -> None:
    """Compare one step's rewards with our scorers, and its advantages with lambda . r minus the divergence, centred.

    The base model's log-probabilities are those of transformers' own call.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from map_core.models.language_model import open_language_model
    from map_core.scoring import scorers

    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    language_model = open_language_model(str(folder), dtype="float32")
    rewards = np.zeros(len(step["prompt"]))
    for row, (chat, completion) in enumerate(zip(step["prompt"], step["completion"], strict=True)):
        prompt = [i for i, mask in zip(step["prompt_ids"][row], step["prompt_mask"][row], strict=True) if mask]
        ids = [i for i, mask in zip(step["completion_ids"][row], step["completion_mask"][row], strict=True) if mask]
        assert prompt == language_model.tokenizer.render(chat)  # the trainer's p0 equals the table's
        with torch.inference_mode():
            logits = base(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        at_temperature = torch.log_softmax(logits / temperature, -1)[range(len(ids)), ids].sum().item()
        plain = torch.log_softmax(logits, -1)[range(len(ids)), ids].tolist()
        reply_ids = ids[:-1] if ids[-1] in language_model.tokenizer.stop_tokens else ids
        reply = Reply(completion[0]["content"], tuple(reply_ids), tuple(plain[: len(reply_ids)]))
        for scorer in scorers(list(weights)):
            (reward,) = scorer.score(chat[-1]["content"], [reply])
            assert step["rewards"][scorer.name][row] == pytest.approx(reward, abs=1e-4)
            rewards[row] += weights[scorer.name] * reward
        rewards[row] -= step["old_logps"][row] - at_temperature
    others = (rewards.sum() - rewards) / (len(rewards) - 1)
    assert step["advantages"] == pytest.approx(rewards - others, abs=2e-3)


def test_unsuitable_sampling_settings_are_reported_with_a_remedy(tmp_path: Path):
    values = ("diversity", "positivity")
    shared = reported(
        table_of("m", {"temperature": 0.8, "top_p": 1.0, "top_k": 0}, values), tmp_path / "a.parquet", {values[0]: 60.0}
    )
    assert "drawn at" not in text_of(shared) + note_of(shared)
    assert "temperature=0.8," in text_of(shared)
    for sampling, words in (
        ({"temperature": 0.8, "top_p": 0.95, "top_k": 0}, "The table was drawn at top_p 0.95; a trainer's p0"),
        ({"temperature": 1.0, "top_p": 0.9, "top_k": 50}, "drawn at top_p 0.9 and top_k 50;"),
        ({"temperature": 1.0, "top_p": 1.0, "top_k": None}, "does not say at which top_k its replies"),
        ({}, "does not say at which temperature, top_p, top_k its replies"),
    ):
        report = reported(table_of("m", sampling, values), tmp_path / "b.parquet", {values[0]: 60.0})
        assert words in note_of(report)
        assert words in text_of(report)
        assert "--top-p 1 --top-k 0" in text_of(report)
        assert "top_p=1.0," in text_of(report)
        compile(text_of(report), "trainer.py", "exec")


def test_prompts_are_formatted_as_in_the_table(tmp_path: Path):
    values = ("diversity", "positivity")
    chat = reported(table_of("m", {}, values, system='Be "kind".'), tmp_path / "a.parquet", {values[0]: 60.0})
    assert """[{"role": "system", "content": 'Be "kind".'}, {"role": "user", "content": prompt}]""" in text_of(chat)
    plain = reported(table_of("m", {}, values, engine={"preamble": ""}), tmp_path / "b.parquet", {values[0]: 60.0})
    assert '[{"prompt": prompt} for prompt in' in text_of(plain)


def test_prompts_count_by_their_weights_and_held_out_ones_never(tmp_path: Path):
    values = ("diversity", "positivity")
    table = table_of("m", {}, values)
    held_out = np.array([False, True, False, False])
    for weights, counts in ((np.empty(0), [1, 0, 1, 1]), (np.array([1.0, 1.0, 7.0, 2.0]), [4, 0, 28, 8])):
        counted = replace(table, weights=weights, held_out=held_out)
        text = text_of(reported(counted, tmp_path / "a.parquet", {values[0]: 60.0}))
        scope: dict = {"__name__": "snippet"}
        exec(compile(text, "trainer.py", "exec"), scope)
        body = text[text.index("from trl") :]
        start, end = body.index("    )\n") + len("    )\n"), body.index("    dataset =")
        exec(compile(textwrap.dedent(body[start:end]), "prompts.py", "exec"), scope)
        drawn = [scope["prompts"].count(prompt) for prompt in table.prompts]
        assert drawn == pytest.approx(counts, abs=0 if not weights.size else 8)
        assert drawn[1] == 0


def test_custom_values_are_scored_from_the_table_and_judges_from_their_file(tmp_path: Path):
    nurse = {"name": "calm_nurse", "family": "contrast", "settings": {"more": ["a calm nurse"], "less": ["a salesman"]}}
    judged = {"name": "tact", "family": "judge", "settings": {}}
    table = table_of("m", {}, ("calm_nurse", "tact"), scorers=[nurse, judged])
    report = reported(table, tmp_path / "a.parquet", {"calm_nurse": 60.0})
    assert "vp.reward_functions(WEIGHTS, table=TABLE, model=MODEL)" in text_of(report)
    report = reported(table, tmp_path / "a.parquet", {"calm_nurse": 60.0, "tact": 60.0})
    assert "vp.reward_functions(WEIGHTS, table=TABLE, values_file='values.json', model=MODEL)" in text_of(report)


@pytest.mark.slow
@pytest.mark.external
@pytest.mark.timeout(600)
def test_tuned_policy_converges_to_the_tilt(tmp_path: Path):
    """For replies of one token the tilt is explicit: p0 exp(lambda . r) / Z over the whole vocabulary."""
    programs = python_environment("trl", *TRL)
    model = make_tiny_model(tmp_path / "tiny")
    sampling = SamplingSettings(temperature=0.8, max_new_tokens=1).as_dict()
    table = table_of(str(model), sampling, ("familiarity", "diversity"))
    report = reported(table, tmp_path / "t.parquet", {"familiarity": 60.0})
    text = text_of(report)
    (old, new), *_ = CHANGES.items()
    text = text.replace(
        old, new.replace("learning_rate=0.05", "learning_rate=0.003").replace("steps=3", f"steps={STEPS}")
    )
    # More replies per step reduce the noise.
    assert text.count("=16,") == 2
    text = text.replace("=16,", "=64,")
    # A weight that moves the policy measurably.
    weight = reports.as_dict(report)["weights"]["familiarity"]
    assert text.count(repr(weight)) == 1
    text = text.replace(repr(weight), "0.75")
    run(programs, tmp_path, text)
    divergences = {name: divergence_from_tilt(model, tmp_path / name, 0.75, 0.8) for name in ("tiny", "tuned")}
    assert divergences["tuned"] < 0.1 * divergences["tiny"], divergences


def divergence_from_tilt(base: Path, folder: Path, weight: float, temperature: float) -> float:
    """Return KL(p || tilt) of a model's first token in nats, the mean over the table's prompts."""
    import torch
    from transformers import AutoModelForCausalLM

    from map_core.models.language_model import open_language_model
    from map_core.scoring.likelihood import EMPTY_FAMILIARITY

    tokenizer = open_language_model(str(base)).tokenizer
    models = [AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).eval() for name in (base, folder)]
    divergences = []
    for prompt in make_table(prompts=4, candidates=12, values=("familiarity", "diversity"), seed=2).prompts:
        ids = torch.tensor([tokenizer.render([{"role": "user", "content": prompt}])])
        with torch.inference_mode():
            before, after = (model(ids).logits[0, -1].double() for model in models)
        rewards = torch.log_softmax(before, -1)
        rewards[list(tokenizer.stop_tokens)] = EMPTY_FAMILIARITY  # the empty reply
        tilt = torch.log_softmax(torch.log_softmax(before / temperature, -1) + weight * rewards, -1)
        policy = torch.log_softmax(after / temperature, -1)
        divergences.append((policy.exp() * (policy - tilt)).sum().item())
    return float(np.mean(divergences))
