"""Tests of sequence classifiers and reward models: by hand, the laws, notes on truncation, and refused models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from map_core import scoring
from map_core.cli import main
from map_core.errors import EngineError, InputError, MissingModelError
from map_core.generation.reward_cache import RewardCache, Scoring
from map_core.scoring import Scorer, ScoringModels, Specification
from map_core.scoring.classifier import Classifier
from map_core.scoring.known_classifiers import KNOWN_CLASSIFIERS
from map_core.scoring.transforms import Transform, Transformed, Unit
from map_core.testing.scorer_laws import check_scorer, reply
from tests.tiny_classifier import CONTEXT, make_classifier, make_reward_model

REPLIES = [reply("The cat sat on the mat."), reply("Thank you for your message."), reply("")]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_classifier(tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_reward_model(tmp_path_factory.mktemp("llama")))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_reward_model(tmp_path_factory.mktemp("several"), heads=3))


@pytest.fixture(scope="module")
def models() -> ScoringModels:
    return ScoringModels()


def scorer(models: ScoringModels, **settings: Any) -> Scorer:
    (classifier,) = scoring.resolve(["wit"], [Specification("wit", "classifier", settings)], models)
    return classifier


# By hand


def test_scores_equal_those_of_transformers(bert: str, models: ScoringModels) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(bert)
    model = AutoModelForSequenceClassification.from_pretrained(bert).eval()
    with torch.inference_mode():
        rows = [
            model(**tokenizer("Hi", reply.text, return_tensors="pt")).logits[0].double().numpy() for reply in REPLIES
        ]
    rewards = scorer(models, model=bert, output="funny", template="pair").score("Hi", REPLIES)
    np.testing.assert_allclose(rewards, [row[1] for row in rows], atol=1e-5)
    less = scorer(models, model=bert, output=1, sign=-1).score("Hi", REPLIES)
    np.testing.assert_allclose(less, -rewards, atol=1e-6)
    share = scorer(models, model=bert, output="funny", scale="probability").score("Hi", REPLIES)
    np.testing.assert_allclose(share, [np.exp(row[1]) / np.exp(row).sum() for row in rows], atol=1e-5)


def test_a_single_output_is_a_reward_or_its_logistic(llama: str, models: ScoringModels) -> None:
    logit = scorer(models, model=llama, template="chat").score("Hi", REPLIES)
    share = scorer(models, model=llama, template="chat", scale="probability").score("Hi", REPLIES)
    np.testing.assert_allclose(share, 1 / (1 + np.exp(-logit)))
    assert len(set(logit)) == 3


def test_templates_decide_what_the_model_reads(llama: str, models: ScoringModels) -> None:
    alone = scorer(models, model=llama, template="reply")
    as_text = scorer(models, model=llama, template="{prompt} / {reply} / {prompt}")
    same = scorer(models, model=llama, template="reply").score("", [reply("Hi / a {prompt} b / Hi")])
    np.testing.assert_allclose(as_text.score("Hi", [reply("a {prompt} b")]), same)
    np.testing.assert_array_equal(alone.score("Hi", REPLIES), alone.score("Another prompt", REPLIES))


def test_heads_of_custom_classes_are_read_without_their_code(several: str, models: ScoringModels) -> None:
    """The same weights in transformers' own class: output k is the k-th row of the head."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, LlamaModel

    settings = {"model": several, "template": "chat", "head": "regression_layer.weight"}
    rewards = [scorer(models, **settings, output=k).score("Hi", REPLIES[:1])[0] for k in range(3)]
    tokenizer = AutoTokenizer.from_pretrained(several)
    text = models.shared((several, "regression_layer.weight", None, None), list).chat("Hi", REPLIES[0].text)  # type: ignore[attr-defined]
    with torch.inference_mode():
        inputs = tokenizer(text.first, add_special_tokens=text.special, return_tensors="pt")
        states = LlamaModel.from_pretrained(several)(**inputs).last_hidden_state[0, -1]
    head = load_file(f"{several}/model.safetensors")["regression_layer.weight"]
    np.testing.assert_allclose(rewards, (head @ states).double().numpy(), atol=1e-5)


# Laws


@pytest.mark.parametrize("template", ["reply", "pair", "\n\nHuman: {prompt}\n\nAssistant: {reply}"])
def test_classifiers_keep_the_laws(bert: str, models: ScoringModels, template: str) -> None:
    check_scorer(scorer(models, model=bert, output="funny", template=template), tolerance=1e-5)


@pytest.mark.parametrize("template", ["chat", "reply"])
def test_reward_models_keep_the_laws(llama: str, models: ScoringModels, template: str) -> None:
    check_scorer(scorer(models, model=llama, template=template), tolerance=1e-5)


def test_heads_keep_the_laws(several: str, models: ScoringModels) -> None:
    settings = {"model": several, "template": "chat", "head": "regression_layer.weight", "output": 2}
    check_scorer(scorer(models, **settings), tolerance=1e-5)


def test_two_values_of_one_model_load_and_run_it_once(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from map_core.scoring.sequence_model import SequenceModel

    passes = []
    real = SequenceModel._read
    monkeypatch.setattr(
        SequenceModel, "_read", lambda self, inputs: passes.append(len(inputs["input_ids"])) or real(self, inputs)
    )
    models = ScoringModels()
    funny, dull = (scorer(models, model=bert, output=name) for name in ("funny", "dull"))
    funny.score("Ho", REPLIES)  # the first texts are also read to find how texts can share a batch
    passes.clear()
    assert not np.array_equal(funny.score("Hi", REPLIES), dull.score("Hi", REPLIES))
    assert sum(passes) == len(REPLIES)


# Notes on truncation


def test_truncated_replies_are_counted_and_reported(
    llama: str, models: ScoringModels, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = scorer(models, model=llama, template="{prompt}{reply}")
    classifier.score("Hi", REPLIES)
    assert classifier.notes == ()
    long = reply("The cat sat on the mat. " * 40)
    first = classifier.score("Hi", [*REPLIES, long])
    assert classifier.notes == (
        f"1 of {len(REPLIES) + 1} replies were longer than {llama} reads; wit was scored without the rest.",
    )
    assert caplog.messages == [*classifier.notes]
    # The end of prompt and reply is kept, as much as the model reads.
    assert classifier.score("Another prompt", [long])[0] == pytest.approx(first[-1], abs=1e-6)
    assert classifier._opened().longest == CONTEXT  # type: ignore[attr-defined]


def test_reread_replies_count_once_and_equal_replies_separately(llama: str, models: ScoringModels) -> None:
    """A failing batch is halved and read again; the number of replies is unchanged."""
    long = reply("The cat sat on the mat. " * 40)
    classifier = scorer(models, model=llama, template="{prompt}{reply}")
    batch = [long, long, *REPLIES]
    for part in (batch, batch[:2], batch[:1], batch[1:2], batch[2:]):
        classifier.score("Hi", part)
    note = f"replies were longer than {llama} reads; wit was scored without the rest."
    assert classifier.notes == (f"2 of {len(batch)} {note}",)
    classifier.score("Ho", [long])
    assert classifier.notes == (f"3 of {len(batch) + 1} {note}",)
    classifier.forget_notes()
    assert classifier.notes == ()


def test_a_note_on_a_request_is_on_its_own_replies(llama: str, models: ScoringModels) -> None:
    classifier = scorer(models, model=llama, template="{prompt}{reply}")
    transformed = Transformed(classifier, Transform(Unit.PROBABILITY))
    long = reply("The cat sat on the mat. " * 40)
    cache = RewardCache()
    for replies, cut in (([long, *REPLIES], 1), (REPLIES, 0), ([long], 1)):
        for each_scorer in (classifier, transformed):
            request = Scoring({"wit": each_scorer}, ["wit"], "Hi", cache=cache)
            request.rewards("wit", replies, complete=True)
            note = f"{cut} of {len(replies)} replies were longer than {llama} reads; wit was scored without the rest."
            assert request.failures == ((note,) if cut else ())


# Refusals


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs either model or ready"),
        ({"model": "a", "ready": "helpful"}, "needs either model or ready"),
        ({"ready": "best"}, "ready of 'wit' is 'best'; there are helpful"),
        ({"ready": "urm"}, "URM-LLaMa-3.1-8B cannot be used: its head .*trust_remote_code is off"),
        ({"model": "a", "sign": 2}, "sign of 'wit' is 2"),
        ({"model": "a", "sign": True}, "sign of the value 'wit' is True"),
        ({"model": "a", "scale": "odds"}, "expected logit or probability"),
        ({"model": "a", "template": "{prompt} only"}, "expected reply, pair, chat"),
        ({"model": "a", "longest": 0}, "longest of 'wit' is 0"),
        ({"model": 3}, "model of the value 'wit' is 3; expected the model's name"),
        ({"model": "a", "weight": 1}, "unknown setting 'weight'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        scorer(ScoringModels(), **settings)


def test_unusable_models_are_refused(
    bert: str, llama: str, several: str, models: ScoringModels, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has 2 outputs; say which one is 'wit': output = 'dull' or 'funny'"):
        scorer(models, model=bert).score("Hi", REPLIES)
    with pytest.raises(InputError, match=r"output of 'wit' is 'sad'; .* has 'dull', 'funny'"):
        scorer(models, model=bert, output="sad").score("Hi", REPLIES)
    with pytest.raises(InputError, match=r"needs code that comes with it, .*trust_remote_code is off"):
        scorer(models, model=several).score("Hi", REPLIES)
    with pytest.raises(InputError, match="hold no 'other'"):
        scorer(models, model=llama, head="other").score("Hi", REPLIES)
    (Path(bert) / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="has no chat template"):
        scorer(ScoringModels(), model=bert, output=0, template="chat").score("Hi", REPLIES)
    with pytest.raises(MissingModelError, match="owner/nothing is not on this machine"):
        scorer(models, model="owner/nothing").score("Hi", REPLIES)
    with pytest.raises(InputError, match=r"no model folder: expected config\.json"):
        scorer(models, model=str(tmp_path)).score("Hi", REPLIES)


def test_missing_tensors_are_refused(llama: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = make_reward_model(tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EngineError, match=r"lack 1 tensors, score\.weight among them"):
        scorer(ScoringModels(), model=str(folder)).score("Hi", REPLIES)


def test_ready_entries_make_scorers_without_loading_anything() -> None:
    for name, entry in KNOWN_CLASSIFIERS.items():
        if not entry.refused:
            classifier = Classifier("wit", {"ready": name, "output": 0}, ScoringModels())
            assert classifier.card.source == entry.model
            assert classifier.card.measures == entry.measures
            assert classifier.card.licence
            assert entry.gigabytes > 0
    assert len(KNOWN_CLASSIFIERS["armo"].outputs) == 19


def test_models_of_a_values_file_are_checked_before_scoring(
    bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.toml"
    file.write_text(
        f"""[wit]
family = "classifier"
model = "{bert}"
output = "hilarious"
[calm]
family = "classifier"
model = "nobody/has-this-model"
"""
    )
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Hi")
    for command in (
        ["values", "--values-file", str(file)],
        ["build", "--prompts", str(prompts), "--out", str(tmp_path / "t.parquet"), "--values-file", str(file)],
    ):
        assert main(command) == 1
        error = capsys.readouterr().err
        assert "output of 'wit' is 'hilarious'" in error
        assert "has 'dull', 'funny'" in error
        assert "nobody/has-this-model" in error
    assert not list(tmp_path.glob("t.parquet*"))


def test_matching_model_passes_the_check(bert: str, llama: str, several: str, models: ScoringModels) -> None:
    for settings in (
        {"model": bert, "output": "funny", "transform": "probability"},
        {"model": llama, "template": "chat"},
        {"model": several, "head": "regression_layer.weight", "output": 2},
    ):
        scoring.check_scorers([scorer(models, **settings)])
    with pytest.raises(InputError, match="has 2 outputs; say which one"):
        scoring.check_scorers([scorer(models, model=bert)])
    with pytest.raises(InputError, match="needs code that comes with it"):
        scoring.check_scorers([scorer(models, model=several)])
