"""Tests of mixtures and soups of models tuned to one value each, on a model whose replies can be enumerated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from map_core.core.softmax import softmax
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.tuning.folder import RATIOS, is_of_table, keep_ratios, read_ratios
from map_core.tuning.mixtures import SingleTuned, held_out_of, mixture, mixture_weights, soup_path

VALUES = ("humor", "kindness")
#: Rewards of four replies to each of three prompts.
REWARDS = np.array([[0.0, 1.0], [1.0, 0.3], [-0.5, 0.8], [2.0, -0.4]])
SHIFTS = (0.0, 0.7, -1.1)
LAM = np.array([0.8, 0.6])
WEIGHTS = dict(zip(VALUES, LAM.tolist(), strict=True))


def table() -> RewardTable:
    rows = [REWARDS * [1.0 + shift, 1.0 - 0.5 * shift] for shift in SHIFTS]
    return RewardTable(
        values=VALUES,
        rewards=np.concatenate(rows),
        offsets=np.arange(4) * 4,
        prompt_ids=("a", "b", "c"),
        prompts=("A?", "B?", "C?"),
        use_cases=("X",) * 3,
        metadata={"model": {"name": "tiny"}},
    )


def single_tuned(name: str, value: str, ratios: list[np.ndarray], held_out: str = "abc") -> SingleTuned:
    by_prompt = dict(zip("abc", ratios, strict=True))
    return SingleTuned(name, value, Path(name), frozenset(held_out), by_prompt)


def exact_ratios(value: int, strength: float) -> list[np.ndarray]:
    """Return the log-ratios of the exact tilt of one value, log q - log p0 = strength . r - log Z."""
    gains = [table().rewards[table().rows(i)][:, value] * strength for i in range(3)]
    return [row - softmax(row).log_mean for row in gains]


def test_the_mixture_of_exact_single_tilts_is_exact_decoding():
    models = [
        single_tuned("funny", "humor", exact_ratios(0, 1.3)),
        single_tuned("kind", "kindness", exact_ratios(1, 0.4)),
    ]
    mixed = mixture(table(), WEIGHTS, models)
    assert mixed.prompts == ("a", "b", "c")
    assert list(mixed.weights.values()) == pytest.approx([0.8 / 1.3, 0.6 / 0.4], rel=1e-6)
    assert mixed.levels.tuned == pytest.approx(mixed.levels.forecast, abs=1e-8)
    assert mixed.levels.kl == pytest.approx(mixed.levels.kl_forecast, abs=1e-8)
    assert mixed.levels.share_of_way == pytest.approx(1.0)
    assert mixed.shares == {"funny": 0.29, "kind": 0.71}


def test_no_other_weights_are_nearer_to_the_palette():
    rng = np.random.default_rng(0)
    ratios = [
        np.column_stack([a, b]) + rng.normal(0, 0.6, (4, 2))
        for a, b in zip(exact_ratios(0, 1.0), exact_ratios(1, 1.0), strict=True)
    ]
    gains = [table().rewards[table().rows(i)] @ LAM for i in range(3)]
    solved = mixture_weights(ratios, gains)
    assert (solved > 0).all()

    def distance(weights: np.ndarray) -> float:
        """Return KL(tilt | mixture), summed over prompts, up to a term that does not depend on the weights."""
        return sum(
            softmax(rows @ weights).log_mean - softmax(row).probabilities @ (rows @ weights)
            for row, rows in zip(gains, ratios, strict=True)
        )

    for change in rng.normal(0, 0.05, (40, 2)):
        assert distance(solved) <= distance(np.maximum(solved + change, 0.0))


def test_a_model_tuned_the_opposite_way_or_not_at_all_has_no_weight():
    opposite = [-row for row in exact_ratios(1, 1.0)]
    models = [single_tuned("funny", "humor", exact_ratios(0, 1.0)), single_tuned("unkind", "kindness", opposite)]
    first_only = mixture(table(), {"humor": 0.8, "kindness": 0.3}, models)
    assert first_only.weights["unkind"] == 0.0
    assert first_only.shares == {"funny": 1.0}
    untuned = mixture(table(), WEIGHTS, [single_tuned("same", "humor", [np.zeros(4)] * 3)] * 2)
    assert untuned.shares == {}
    assert untuned.levels.share_of_way == pytest.approx(0.0)


def test_only_prompts_that_no_model_was_tuned_on_are_used():
    models = [
        single_tuned("funny", "humor", exact_ratios(0, 1.0)),
        single_tuned("kind", "kindness", exact_ratios(1, 1.0), held_out="ac"),
    ]
    assert mixture(table(), WEIGHTS, models).prompts == ("a", "c")
    models[1] = replace(models[1], held_out=frozenset("a"))
    with pytest.raises(InputError, match="on 1 prompts"):
        mixture(table(), WEIGHTS, models)
    with pytest.raises(InputError, match="held out"):  # the palette is solved on the other prompts
        held_out_of(table(), models)
    without_common = [replace(model, held_out=frozenset("b")) for model in models]
    assert held_out_of(table(), without_common).counted.tolist() == [True, False, True]


def test_ratios_are_stored_by_prompt_and_more_replies_replace_fewer(tmp_path: Path):
    path = tmp_path / RATIOS
    assert read_ratios(path) == {}
    keep_ratios(path, {"a": np.array([0.1, 0.2]), "b": np.array([0.5])})
    keep_ratios(path, {"a": np.array([0.3]), "b": np.array([0.6, 0.7])})
    assert {name: row.tolist() for name, row in read_ratios(path).items()} == {"a": [0.1, 0.2], "b": [0.6, 0.7]}
    path.write_text("[1]")
    assert read_ratios(path) == {}


def test_the_smallest_number_of_replies_is_compared():
    short = [row[:3] for row in exact_ratios(0, 1.0)]
    mixed = mixture(
        table(),
        WEIGHTS,
        [single_tuned("funny", "humor", short), single_tuned("kind", "kindness", exact_ratios(1, 1.0))],
    )
    assert mixed.levels.replies == 3


@pytest.mark.parametrize(
    ("change", "belongs"),
    [
        ({}, True),
        ({"held_out": ["a", "z"]}, False),
        ({"values": ["humor", "wit"]}, False),
        ({"model": {"name": "x"}}, False),
    ],
)
def test_a_model_belongs_to_a_table_with_its_prompts_and_values(change, belongs):
    record = {"held_out": ["a"], "values": ["humor", "kindness>=0.25"], "model": {"name": "tiny"}, **change}
    assert is_of_table(record, table()) is belongs


def test_a_soup_is_identified_by_its_adapters_and_shares_and_not_by_names(tmp_path: Path):
    models = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_model.safetensors").write_bytes(name.encode())
        models.append(SingleTuned(name, name, tmp_path / name, frozenset(), {}))
    path = soup_path(models, {"one": 0.25, "two": 0.75})
    assert path.parent.parent == tmp_path
    assert soup_path(models[::-1], {"two": 0.75, "one": 0.25}) == path
    assert soup_path(models, {"one": 0.26, "two": 0.74}) != path
    assert soup_path(models, {"two": 1.0}).parent == tmp_path / "two"
    (tmp_path / "two" / "adapter_model.safetensors").write_bytes(b"tuned anew")
    assert soup_path(models, {"one": 0.25, "two": 0.75}) != path


def test_a_folder_of_several_values_or_of_a_whole_model_is_no_single_tuned(tmp_path: Path):
    record = {"weights": {"humor": 1.0}, "held_out": ["a"]}
    assert SingleTuned.of("x", tmp_path, record) is None  # no adapter
    (tmp_path / "adapter_config.json").write_text("{}")
    assert SingleTuned.of("x", tmp_path, record).value == "humor"
    assert SingleTuned.of("x", tmp_path, {**record, "weights": WEIGHTS}) is None


@pytest.mark.filterwarnings("ignore")  # peft's own, of transformers
def test_log_ratios_of_a_soup_are_those_of_the_average_of_the_weights(tmp_path: Path):
    """Each adapter turns the toy's last layer into that of a tilt; their average is computed directly."""
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft", reason="needs requirements-tune.txt")
    from map_core.tuning.policy import Policy
    from map_core.tuning.soup import TunedAdapters
    from tests.tuning.toy_policy import BASE, END, REWARDS, WORDS, examples, tilted, toy_policy

    base = toy_policy(BASE)
    tilted_layers = {f"model.{j}": toy_policy(tilted(REWARDS[:, j])).lm_head.weight for j in range(2)}
    folders = {}
    for name, layer in tilted_layers.items():
        config = peft.LoraConfig(r=WORDS, lora_alpha=2 * WORDS, target_modules=["lm_head"], task_type="CAUSAL_LM")
        adapted = peft.get_peft_model(toy_policy(BASE), config)
        adapted_layer = adapted.base_model.model.lm_head
        with torch.no_grad():  # 2 B A = what the tilt changes
            adapted_layer.lora_A["default"].weight.copy_((layer - base.lm_head.weight) / 2)
            adapted_layer.lora_B["default"].weight.copy_(torch.eye(WORDS))
        folders[name] = tmp_path / name.replace(".", "-")
        adapted.save_pretrained(folders[name], save_embedding_layers=False)
    adapters = TunedAdapters(toy_policy(BASE), folders, (END,), 1.0)
    replies = examples(REWARDS[:, 0])
    shares = {"model.0": 0.3, "model.1": 0.7}
    adapters.add_soup("soup", shares)
    averaged = toy_policy(BASE)
    with torch.no_grad():
        averaged.lm_head.weight.copy_(sum(share * tilted_layers[name] for name, share in shares.items()))
    for name, model in (("soup", averaged), ("model.1", toy_policy(tilted(REWARDS[:, 1])))):
        actual = dict(adapters.log_ratios(name, [replies], 64))["hi"]
        expected = Policy(model, base, (END,), 1.0).log_ratios(replies)
        assert actual == pytest.approx(expected, abs=1e-4)
    # On the same replies the mixture of the exact tilts has the palette's weights.
    ratios = {name: dict(adapters.log_ratios(name, [replies], 64))["hi"] for name in shares}
    solution = mixture_weights([np.column_stack(list(ratios.values()))], [replies.rewards @ LAM])
    assert solution == pytest.approx(LAM, abs=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_mixes_adapters_and_reads_each_reply_once(tmp_path, capsys):
    pytest.importorskip("trl", reason="needs requirements-tune.txt")
    from map_core.building import build
    from map_core.cli import main
    from map_core.core.types import SamplingSettings
    from map_core.data.prompts import Prompt
    from map_core.engines.factory import open_engine
    from map_core.scoring import resolve
    from tests.tiny_model import make_tiny_model

    model = make_tiny_model(tmp_path / "tiny")
    settings = SamplingSettings(temperature=0.8, max_new_tokens=8)
    prompts = [Prompt(f"p{i}", "A", f"Question number {i}?") for i in range(8)]
    path, values = tmp_path / "table.parquet", ("diversity", "familiarity")
    build(prompts, path, open_engine(str(model), "torch"), resolve(values, {}), candidates=8, settings=settings, seed=1)
    folders = [str(tmp_path / value) for value in values]
    for value, folder in zip(values, folders, strict=True):
        tune = [
            "tune",
            str(path),
            "--method",
            "pairs",
            "--weights",
            f"{value}=1.5",
            "--out",
            folder,
            "--steps",
            "2",
            "--replies",
            "4",
        ]
        assert main([*tune, "--learning-rate", "0.02", "--quiet"]) == 0
    # Tuning has stored the ratios of both on their held-out prompts, so only the soup reads replies.
    models = [argument for folder in folders for argument in ("--tuned", folder)]
    options = ["baselines", str(path), "--target", "diversity=+0.2sd", "--target", "familiarity=+0.1sd"]
    options += ["--count", "10", "--tuned-replies", "8"]
    command = [*options, *models]
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    output = capsys.readouterr()
    comparison = json.loads(output.out)["tuned"]
    assert "reading:" not in output.err
    assert comparison["mixture"]["prompts"] == 2
    assert set(comparison["mixture"]["weights"]) == set(folders)
    if comparison["soup"] is not None:
        assert sum(comparison["soup"]["shares"].values()) == pytest.approx(1.0, abs=0.011)
    assert main(command) == 0
    output = capsys.readouterr()
    assert "Weights of the mixture" in output.out
    assert output.err == ""
    # Without the stored ratios the replies are read again, with the same result.
    before = read_ratios(Path(folders[0]) / RATIOS)
    (Path(folders[0]) / RATIOS).unlink()
    assert main(command) == 0
    assert "reading: 2 of 2 prompts" in capsys.readouterr().err
    for name, row in read_ratios(Path(folders[0]) / RATIOS).items():
        assert row == pytest.approx(before[name], abs=1e-4)
    for arguments, message in (
        ([*command, "--tuned", folders[0]], "both tuned to diversity"),
        ([*options, "--tuned", folders[0]], "at least 2"),
        ([*command, "--tuned", str(model)], "is no tuned model"),
    ):
        assert main(arguments) == 1
        assert message in capsys.readouterr().err
    # Their palettes are scored as a set.
    verify = ["verify", str(path), "--candidates", "2", "--engine", "torch", "--json"]
    assert main([*verify, *(argument.replace("--tuned", "--model") for argument in models)]) == 0
    *checks, together = map(json.loads, capsys.readouterr().out.splitlines())
    assert [check["model"] for check in checks] == folders
    assert together["palettes"] == 2
    assert {"forecast", "tuned"} <= set(together["set"])
