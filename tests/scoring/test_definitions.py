"""Tests of custom values: checks of definitions, round trips, scores, laws, generation and bad input."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from map_core import scoring
from map_core.analysis.generation_weights import GenerationWeightsSolver
from map_core.cli import main
from map_core.core.types import SamplingSettings
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError, MissingModelError
from map_core.generation.request import GenerationRequest
from map_core.models.files import locate
from map_core.scoring import (
    DEFAULT_EMBEDDER,
    Definition,
    DefinitionKind,
    ScoringModels,
    Specification,
    embedding_covariance,
    name_from,
)
from map_core.scoring.contrast import Contrast
from map_core.server.errors import Refusal, RequestLimits
from map_core.server.prompt_tokens import PromptTokens
from map_core.server.request_parser import RequestParser
from map_core.server.steering import Steering
from map_core.service.messages import from_json, to_json
from map_core.service.service import GenerationService
from map_core.service.snapshot import Phase
from map_core.testing.scorer_laws import check_scorer, reply
from tests.scoring.word_embedder import WordEmbedder
from tests.tiny_model import make_tiny_model

NURSE = Definition(
    "calm_nurse", "Calm nurse", ("sounds like a calm nurse",), ("sounds like a salesman",), colour="#2a7f62"
)
EXAMPLES = Definition(
    "brisk",
    "Brisk",
    ("Done. Next.", "Yes. Monday."),
    ("Well, let me think about that for a while.",),
    DefinitionKind.EXAMPLES,
)


def models() -> ScoringModels:
    return ScoringModels("words", WordEmbedder())


# By hand


def test_a_contrast_points_from_less_to_more() -> None:
    """Examples "kind" against "rude": the axis is (kind - rude) / |kind - rude|, and a reward is ten times along it."""
    contrast = Contrast(Definition("k", "K", ("kind",), ("rude",), DefinitionKind.EXAMPLES), models())
    kind, rude, cat = WordEmbedder().embed(["kind", "rude", "cat"])
    axis = (kind - rude) / np.linalg.norm(kind - rude)
    rewards = contrast.score("Hi", [reply("kind"), reply("rude"), reply("cat"), reply("")])
    np.testing.assert_allclose(rewards, [*(10 * np.array([kind, rude, cat]) @ axis), 0.0])
    assert rewards[0] > rewards[2] > rewards[1]


def test_swapping_the_sides_negates_the_rewards() -> None:
    turned = replace(NURSE, more=NURSE.less, less=NURSE.more)
    replies = [reply("take a slow breath"), reply("buy now and save"), reply("the nurse is calm")]
    rewards, swapped_rewards = (Contrast(definition, models()).score("Hi", replies) for definition in (NURSE, turned))
    np.testing.assert_allclose(rewards, -swapped_rewards)


def test_spread_by_hand(tmp_path: Path) -> None:
    """Squares of 1 + 1 in the first place, 4 + 4 in the second, over one degree of freedom for each of two prompts."""
    vectors = np.array([[[1.0, 5.0], [3.0, 5.0]], [[7.0, 0.0], [7.0, 4.0]]])
    covariance = embedding_covariance.measure(vectors)
    np.testing.assert_allclose(covariance, [[1.0, 0.0], [0.0, 4.0]])
    embedding_covariance.save(covariance, tmp_path / "spread.npy")
    np.testing.assert_allclose(embedding_covariance.load(tmp_path / "spread.npy"), covariance, rtol=1e-3)


def test_the_spread_of_the_embedded_table_is_a_covariance() -> None:
    covariance = embedding_covariance.load()
    assert covariance.shape == (384, 384)
    np.testing.assert_array_equal(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > -1e-6 * covariance.max()
    assert np.trace(covariance) < 1.0  # embeddings have length 1


# Laws


@pytest.mark.parametrize("definition", [NURSE, EXAMPLES], ids=lambda definition: definition.kind)
def test_contrasts_keep_the_laws(definition: Definition) -> None:
    check_scorer(Contrast(definition, models()))


def test_name_and_colour_do_not_change_the_scores() -> None:
    renamed = replace(NURSE, name="nurse", title="Nurse", colour=None)
    assert renamed.key == NURSE.key
    assert (
        len(
            {
                NURSE.key,
                replace(NURSE, more=("sounds like a doctor",)).key,
                replace(NURSE, kind=DefinitionKind.EXAMPLES).key,
            }
        )
        == 3
    )
    first, second = (Contrast(definition, models()) for definition in (NURSE, renamed))
    assert first.version == second.version
    np.testing.assert_array_equal(first.score("Hi", [reply("a nurse")]), second.score("Hi", [reply("a nurse")]))


def test_definition_round_trips_as_data() -> None:
    for definition in (NURSE, EXAMPLES, replace(NURSE, title="Ruhige Pflege ☺", more=("klingt ruhig", "هادئ"))):
        assert Definition.from_json(definition.to_json()) == definition
        assert pickle.loads(pickle.dumps(definition)) == definition
        assert Specification(**json.loads(json.dumps(Specification.of(definition).as_dict()))) == Specification.of(
            definition
        )


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Calm nurse!", "calm_nurse"),
        ("  3 words ", "value_3_words"),
        ("Größe", "gr_e"),
        ("الهدوء", "value_669f2471"),
        ("x" * 200, "x" * 36),
    ],
)
def test_names_from_titles(title: str, name: str) -> None:
    assert name_from(title) == name
    assert name_from(title, [name]) == f"{name}_2"
    Definition(name_from(title, [name]), "T", ("a",), ("b",))


# Recreated from a table or a file


def test_a_table_says_how_to_score_it_again() -> None:
    scorers = scoring.resolve(["calm_nurse", "humor"], [NURSE], models())
    specifications = scoring.from_metadata({"scorers": [scorer.entry() for scorer in scorers]})
    resolved = scoring.resolve(["humor", "calm_nurse"], specifications, models())
    assert [scorer.name for scorer in resolved] == ["humor", "calm_nurse"]
    assert resolved[1].version == scorers[0].version
    assert scoring.scorable_values(specifications) == (*scoring.DEFAULT_VALUES, "calm_nurse")
    np.testing.assert_array_equal(resolved[1].score("Hi", [reply("calm")]), scorers[0].score("Hi", [reply("calm")]))


def test_third_party_metadata_is_ignored_safely() -> None:
    broken = [None, 3, {"name": 4}, {"name": "a", "settings": 5}, {"name": "b", "family": []}]
    assert scoring.from_metadata({"scorers": broken}) == {}
    assert scoring.from_metadata({}) == {}


def test_a_values_file_names_values(tmp_path: Path) -> None:
    path = tmp_path / "values.toml"
    path.write_text(
        '[calm_nurse]\nmore = "sounds like a calm nurse"\nless = ["sounds like a salesman"]\n\n'
        '[brisk]\nfamily = "contrast"\nkind = "examples"\nmore = ["Done. Next."]\nless = ["Well, let me think."]\n'
    )
    own = scoring.read_values_file(path)
    nurse, brisk = scoring.resolve(tuple(own), own, models())
    assert (nurse.card.title, brisk.name) == ("Calm nurse", "brisk")
    assert nurse.version == Contrast(NURSE, models()).version
    as_json = tmp_path / "values.json"
    as_json.write_text(
        json.dumps({"calm_nurse": {"more": ["sounds like a calm nurse"], "less": ["sounds like a salesman"]}})
    )
    assert scoring.resolve(["calm_nurse"], scoring.read_values_file(as_json), models())[0].version == nurse.version


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "names no value"),
        ("[a", "not understood"),
        ("a = 3", "'a' in .* is 3; expected a table"),
        ('[a]\nmore = "x"', "names no family"),
        ('[a]\nfamily = "oracle"', "of the family 'oracle'; there are"),
        ('[a]\nmore = "x"\nless = "y"\nweight = 2', "unknown field 'weight'"),
        ('[humor]\nmore = "x"\nless = "y"', "'humor' is a built-in value"),
        ('[Calm]\nmore = "x"\nless = "y"', "The name of a value is 'Calm'"),
    ],
)
def test_bad_values_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "values.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        scoring.resolve(None, scoring.read_values_file(path), models())
    with pytest.raises(InputError, match="cannot be read"):
        scoring.read_values_file(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Calm nurse"}, "name of a value is 'Calm nurse'"),
        ({"name": "x" * 41}, "at most 40"),
        ({"title": " "}, "title is ''; expected at least one word"),
        ({"more": ()}, "'more' has 0 texts; expected 1 to 20"),
        ({"more": ("...",)}, "expected at least one word"),
        ({"more": tuple(f"text {i}" for i in range(21))}, "has 21 texts"),
        ({"less": ("x" * 1001,)}, "1,001 characters; expected at most 1,000"),
        ({"less": ("\ud800 a",)}, "not valid text at character 1"),
        ({"less": (3,)}, "holds 3; expected text"),
        ({"less": ("  Sounds like a  CALM nurse. ",)}, "stands on both sides"),
        ({"kind": "wish"}, "kind is 'wish'; expected description or examples"),
        ({"colour": "green"}, "The colour is 'green'"),
    ],
)
def test_bad_definitions_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(NURSE, **change)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"name": "a"}', '{"name": "a", "more": ["x"], "less": ["y"], "z": 1}']
)
def test_invalid_definition_data_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="definition"):
        Definition.from_json(text)


def test_taken_names_are_refused() -> None:
    with pytest.raises(InputError, match="'calm_nurse' is defined twice"):
        scoring.resolve(["calm_nurse"], [NURSE, NURSE])
    with pytest.raises(InputError, match=r"Unknown value 'wit'; there are .*calm_nurse"):
        scoring.resolve(["wit"], [NURSE])


# Generation


def test_a_request_carries_what_it_needs() -> None:
    specifications = (Specification.of(NURSE), Specification.of(EXAMPLES))
    request = GenerationRequest("Hi", {"calm_nurse": 2.0}, ("humor",), own=specifications)
    over = from_json(GenerationRequest, json.loads(json.dumps(to_json(request.with_used_values()))))
    assert over == replace(request, own=specifications[:1])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a tiny real model that writes; skip the test where the default embedding model is missing."""
    try:
        locate(DEFAULT_EMBEDDER)
    except MissingModelError as error:
        pytest.skip(str(error))
    return str(make_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.mark.slow
@pytest.mark.model
def test_model_process_scores_a_custom_value(tiny: str) -> None:
    """The definition travels with each request, and other words under the same name are another value."""
    settings = SamplingSettings(max_new_tokens=12)
    request = GenerationRequest("How are you?", {"calm_nurse": 1.5}, (), 4, settings, own=(Specification.of(NURSE),))
    turned = Specification.of(replace(NURSE, more=NURSE.less, less=NURSE.more))
    with GenerationService(tiny, "openvino", "float32") as service:
        service.start(["calm_nurse", "diversity"], request.own)
        done, with_turned = (service.submit(wanted).wait(90) for wanted in (request, replace(request, own=(turned,))))
        unknown = service.submit(replace(request, own=())).wait(90)
    assert (done.phase, with_turned.phase) == (Phase.DONE, Phase.DONE), done.error
    rewards = [candidate.rewards["calm_nurse"] for candidate in done.candidates]
    local_rewards = Contrast(NURSE, ScoringModels()).score(
        "How are you?", [reply(candidate.text) for candidate in done.candidates]
    )
    np.testing.assert_allclose(rewards, local_rewards, atol=1e-4)
    np.testing.assert_allclose(
        [candidate.rewards["calm_nurse"] for candidate in with_turned.candidates], -local_rewards, atol=1e-4
    )
    assert unknown.phase is Phase.FAILED
    assert "Unknown value 'calm_nurse'" in unknown.error


@pytest.mark.slow
@pytest.mark.model
def test_generate_uses_a_value_that_the_table_defines(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prompts.jsonl").write_text(
        "".join(json.dumps({"id": f"p{i}", "use_case": "u", "prompt": text}) + "\n" for i, text in enumerate("abcd"))
    )
    (tmp_path / "values.toml").write_text('[calm_nurse]\nmore = ["a calm nurse"]\nless = ["a salesman"]\n')
    table, small = str(tmp_path / "t.parquet"), ["--max-new-tokens", "8", "--engine", "torch"]
    own = ["--values", "calm_nurse,diversity", "--values-file", str(tmp_path / "values.toml")]
    build_command = [
        "build",
        "--prompts",
        str(tmp_path / "prompts.jsonl"),
        "--out",
        table,
        "--model",
        tiny,
        "--candidates",
        "6",
    ]
    assert main([*build_command, *own, *small, "--quiet"]) == 0
    generate_command = [
        "generate",
        "--prompt",
        "How are you?",
        "--table",
        table,
        "--model",
        tiny,
        "--candidates",
        "4",
        "--json",
    ]
    capsys.readouterr()
    assert main([*generate_command, "--target", "calm_nurse=p60", *small]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["weights"].keys() == {"calm_nurse"}
    assert all(
        set(candidate["rewards"]) == {*scoring.DEFAULT_VALUES, "calm_nurse"} for candidate in answer["candidates"]
    )
    assert main([*generate_command, "--weights", "calm_nurse=2", "--values", "none", *small]) == 0
    assert json.loads(capsys.readouterr().out)["weights"] == {"calm_nurse": 2.0}


def test_server_accepts_weights_of_a_value_that_its_table_defines() -> None:
    scorers = scoring.resolve(["calm_nurse"], [NURSE], models())
    table = RewardTable(
        values=("calm_nurse",),
        rewards=np.array([[0.0], [1.0], [0.5], [2.0]]),
        offsets=np.array([0, 2, 4]),
        prompt_ids=("a", "b"),
        prompts=("A", "B"),
        use_cases=("u", "u"),
        replies=("w", "x", "y", "z"),
        metadata={"scorers": [scorers[0].entry()]},
    )
    own = scoring.from_metadata(table.metadata)
    solver = GenerationWeightsSolver(table, scored=scoring.scorable_values(own))
    parser = RequestParser(
        Steering("m", solver, {"calm": np.array([1.0])}, own),
        SamplingSettings(),
        None,
        PromptTokens(None),
        RequestLimits(),
        2,
    )
    chat: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
    (request,) = parser.chat(json.dumps(chat | {"weights": {"calm_nurse": 2.0}}).encode()).requests
    assert request.own == (own["calm_nurse"],)
    (request,) = parser.chat(json.dumps(chat | {"palette": "calm"}).encode()).requests
    assert request.weights.keys() == {"calm_nurse"}
    with pytest.raises(Refusal, match=r"weights names 'wit'; there are .*, calm_nurse"):
        parser.chat(json.dumps(chat | {"weights": {"wit": 2.0}}).encode())
    # A request body never defines how values are scored.
    with pytest.raises(Refusal):
        parser.chat(json.dumps(chat | {"own": [own["calm_nurse"].as_dict()], "weights": {"brisk": 1.0}}).encode())


@pytest.mark.model
def test_real_embedding_model_separates_nurses_and_keeps_the_laws(tiny: str) -> None:
    """With its spread known, a reward is in standard deviations of replies to one prompt."""
    contrast = Contrast(NURSE, ScoringModels())
    check_scorer(contrast, tolerance=1e-4)
    calm, pushy, plain = contrast.score(
        "My child has a fever.",
        [
            reply("Take a slow breath. I am here, and we will check the temperature together."),
            reply("Buy our fever pack today and save 50%! This offer ends at midnight."),
            reply("The report is due on Tuesday."),
        ],
    )
    assert calm > plain > pushy
    assert calm - pushy > 2.0
