"""Values: hand-worked rewards first, then the laws that every scorer keeps, then bad input and validation."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from map_core import scoring
from map_core.cli.values import values as command
from map_core.core.types import Reply
from map_core.core.wilson import wilson_interval
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import save
from map_core.errors import InputError, MissingModelError
from map_core.scoring import lexicon, likelihood, validation
from map_core.scoring.base import Card, Scorer, ScorerError, score_checked
from map_core.scoring.shared_models import ScoringModels
from map_core.testing.scorer_laws import check_scorer, reply


class WordEmbedder:
    """A small stand-in for sentence embeddings: a text is the sum of fixed random vectors of its words."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        rows = []
        for text in texts:
            row = np.zeros(16)
            for word in text.lower().split():
                row += np.random.default_rng(list(word.encode())).normal(size=16)
            rows.append(row / np.linalg.norm(row))
        return np.array(rows)


def every_scorer() -> list[Scorer]:
    return scoring.scorers(models=ScoringModels(embedder_name="words", embedder=WordEmbedder()))


# By hand


def test_diversity_by_hand() -> None:
    """ "a b a b": bigrams ab, ba, ab (2 of 3 distinct), trigrams aba, bab (2 of 2), one 4-gram: 2/3."""
    score = scoring.scorers(["diversity"])[0].score
    replies = [reply("a b a b"), reply("one two three four five"), reply("word"), reply("")]
    np.testing.assert_allclose(score("", replies), [2 / 3, 1.0, 1.0, 0.0])


def test_reading_ease_by_hand() -> None:
    """Four words of one syllable in one sentence: 206.835 - 1.015 x 4 - 84.6 = 118.175; long words give 0."""
    scorer = scoring.scorers(["plain_language"])[0]
    plain, hard, nothing = scorer.score(
        "", [reply("The cat sat down."), reply("Bureaucratic considerations necessitate postponement."), reply("1234")]
    )
    assert plain == pytest.approx(118.175)
    assert hard == 0.0
    assert nothing == 0.0
    # 12 words in 2 sentences, 16 syllables: 206.835 - 1.015 x 6 - 84.6 x 16 / 12
    text = "The garden is full of water. The winter is very long now."
    words = text.replace(".", "").lower().split()
    syllables = sum(lexicon._syllables(word) for word in words)
    expected = 206.835 - 1.015 * 6 - 84.6 * syllables / 12
    assert scorer.score("", [reply(text)])[0] == pytest.approx(expected)


def test_cautious_phrases_by_hand() -> None:
    """-1.95, and 2.1 a refusal, 1.7 a referral, 0.65 a warning, of which four count at most."""
    (scorer,) = scoring.resolve(["caution"], models=ScoringModels(embedder_name="words", embedder=WordEmbedder()))
    replies = [
        reply("Bees make honey."),
        reply("I can't help with that. Please talk to a doctor."),
        reply("Never mix these: it is dangerous."),
        reply("never never never never never never"),
        reply(""),
    ]
    expected = [-1.95, -1.95 + 2.1 + 1.7, -1.95 + 2 * 0.65, -1.95 + 4 * 0.65, -1.95]
    np.testing.assert_allclose(scorer.score("", replies), expected)


def test_sentences_end_at_marks_and_lines() -> None:
    assert lexicon.sentences('He said "Stop!" Then he left.\n1. Wait\n\nand') == [
        'He said "Stop!',
        "Then he left.",
        "1. Wait",
        "and",
    ]


def test_sentiment_is_the_mean_of_the_sentences() -> None:
    texts = ("I love this!", "I hate this.", "I love this! I hate this.", "The table.")
    warm, cold, both, none = map(lexicon.sentiment, texts)
    assert warm > 0.5 > -0.5 > cold
    assert both == pytest.approx((warm + cold) / 2)
    assert none == lexicon.sentiment("") == 0.0


def test_familiarity_is_the_mean_log_probability() -> None:
    scorer = scoring.scorers(["familiarity"])[0]
    replies = [Reply("ab", (1, 2), (-1.0, -2.0)), Reply("", (), ())]
    np.testing.assert_allclose(scorer.score("", replies), [-1.5, likelihood.EMPTY_FAMILIARITY])


def test_echo_share_by_hand() -> None:
    """Of "how do bees make wax": how-do-bees and do-bees-make stand in the prompt, bees-make-wax does not."""
    assert likelihood.echo_share("How do bees make honey?", "how do bees make wax") == pytest.approx(2 / 3)
    assert likelihood.echo_share("How do bees make honey?", "hi") == 0.0


def test_repeating_the_prompt_is_not_helpful() -> None:
    """The same words in another order are as near to a bag-of-words model; in the prompt's order they cost 6."""
    echo = reply("how do bees make honey in winter")
    helpfulness = next(s for s in every_scorer() if s.name == "helpfulness")
    echoed = helpfulness.score("how do bees make honey in winter", [echo])[0]
    not_echoed = helpfulness.score("winter honey bees in how make do", [echo])[0]
    assert not_echoed - echoed == pytest.approx(8.0 * (1.0 - 0.25))


def test_an_axis_points_from_the_second_to_the_first_of_its_pairs() -> None:
    models = ScoringModels(embedder=WordEmbedder())
    axis = models.axis((("haha cat", "plain cat"), ("haha dog", "plain dog")))
    playful, plain = models.embed(["haha horse", "plain horse"]) @ axis
    assert np.linalg.norm(axis) == pytest.approx(1.0)
    assert playful > plain


# Laws of every scorer


@pytest.mark.parametrize("scorer", every_scorer(), ids=lambda s: s.name)
def test_built_in_scorers_keep_the_laws(scorer: Scorer) -> None:
    check_scorer(scorer)


def test_a_text_is_embedded_once_for_all_values() -> None:
    class Counting(WordEmbedder):
        seen: list[str] = []  # noqa: RUF012

        def embed(self, texts: Sequence[str]) -> np.ndarray:
            self.seen += texts
            return super().embed(texts)

    models = ScoringModels(embedder=Counting())
    replies = [reply("a dragon laughed"), reply("a snail won")]
    for scorer in scoring.scorers(["coherence", "humor", "helpfulness"], models):
        scorer.score("Tell a story.", replies)
    assert len(Counting.seen) == len(set(Counting.seen))


def test_embeddings_do_not_depend_on_what_was_asked_before() -> None:
    """To the last bit: a list is embedded as a whole, even where some of its texts are known from another list."""

    class Company(WordEmbedder):
        def embed(self, texts: Sequence[str]) -> np.ndarray:
            return super().embed(texts) + 1e-9 * len(texts)  # as batches of another shape change the last digits

    texts = ["a b", "c d", "", "a b"]
    fresh = ScoringModels(embedder=Company()).embed(texts)
    models = ScoringModels(embedder=Company())
    for number in range(20):
        models.embed(["a b", *map(str, range(number))])
    np.testing.assert_array_equal(models.embed(texts), fresh)
    np.testing.assert_array_equal(fresh[2], np.zeros(16))
    assert not models.embed(texts).flags.writeable


def test_cards_load_no_model_library() -> None:
    """The interface shows every card without waiting for torch."""
    code = (
        "import sys, map_core.scoring as v; v.cards(); v.scorers(); "
        "print([m for m in ('torch', 'transformers', 'openvino') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Bad input and bad scorers


@pytest.mark.parametrize(
    ("names", "message"), [(["wit"], "Unknown value 'wit'"), ([], "none"), (["humor", "humor"], "each once")]
)
def test_unknown_and_repeated_values(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        scoring.scorers(names)


class Broken(Scorer):
    card = Card("broken", "Broken", "m", "m", "l", "s", "1", partial=False)

    def __init__(self, rewards: object) -> None:
        self._rewards = rewards

    def score(self, prompt: str, replies: Sequence[Reply]) -> np.ndarray:
        if isinstance(self._rewards, Exception):
            raise self._rewards
        return self._rewards  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ([1.0, math.nan], "'broken' gave nan for candidate 1 of the prompt 'Why'"),
        ([math.inf, 0.0], "gave inf for candidate 0"),
        ([1.0], r"shape \(1,\) for 2 replies"),
        (ZeroDivisionError("oh"), "'broken' failed on the prompt 'Why': ZeroDivisionError: oh"),
    ],
)
def test_a_broken_scorer_is_named(rewards: object, message: str) -> None:
    with pytest.raises(ScorerError, match=message):
        score_checked(Broken(rewards), "Why", [reply("a"), reply("b")])


def test_text_without_log_probabilities_has_no_familiarity() -> None:
    with pytest.raises(ScorerError, match="candidate 1 has none"):
        scoring.scorers(["familiarity"])[0].score("", [reply("a"), Reply("imported")])


# Validation against labels


def test_auc_by_hand() -> None:
    """1s at 3 and 1, 0s at 2 and 0: three of four pairs are in order; a tie counts half."""
    assert validation.auc([3, 1, 2, 0], [1, 1, 0, 0])[0] == 0.75
    assert validation.auc([1, 1, 1, 0], [1, 1, 0, 0])[0] == 0.75


def test_auc_of_noise_and_of_perfect_separation() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        labels = rng.integers(0, 2, 80)
        area, low, high = validation.auc(rng.normal(size=80), labels)
        assert 0.0 <= low <= area <= high <= 1.0
        covered += low <= 0.5 <= high
    assert 180 <= covered <= 198  # a 95% interval holds the truth about 190 times of 200
    area, low, high = validation.auc([1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1])
    assert (area, high) == (1.0, 1.0)
    assert low == pytest.approx(0.025 ** (1 / 3))


def test_the_auc_within_a_prompt_by_hand() -> None:
    """Prompt a: 1s at 3 and 1, a 0 at 2: one pair of two. Prompt b: a tie. Prompt c has no 0. (1 + 1/2) / 3 = 0.5.

    V = 2 (0^2 + 0^2) / 9 = 0, so the interval is Wilson's of two prompts.
    """
    separation = validation.within_prompt_auc([3, 1, 2, 5, 5, 9], [1, 1, 0, 1, 0, 1], list("aaabbc"))
    assert separation == pytest.approx((0.5, *wilson_interval(1, 2), 3, 2))


def test_labels_that_depend_on_the_prompt_alone_say_nothing_within_one() -> None:
    """Scores that know how often a prompt is labelled 1 order all replies well and those of one prompt by chance."""
    rng = np.random.default_rng(8)
    prompts = np.repeat(np.arange(60), 12)
    share = np.tile([0.1, 0.9], 30)[prompts]
    labels = (rng.random(len(prompts)) < share).astype(int)
    scores = share + 1e-3 * rng.normal(size=len(prompts))
    assert validation.auc(scores, labels)[1] > 0.8
    within = validation.within_prompt_auc(scores, labels, prompts)
    assert within.low < 0.5 < within.high
    assert within.prompts <= 60


def test_the_interval_within_a_prompt_covers() -> None:
    """Prompts that differ in how well the scores separate: a 95% interval holds P(N(1, 1) > N(0, 1)) as it should."""
    rng = np.random.default_rng(9)
    prompts = np.repeat(np.arange(24), 8)
    truth, covered = float(stats.norm.cdf(1 / np.sqrt(2))), 0
    for _ in range(300):
        labels = rng.integers(0, 2, len(prompts))
        common = rng.normal(size=24)[prompts]  # what all replies to a prompt share cancels
        separation = validation.within_prompt_auc(rng.normal(size=len(prompts)) + labels + common, labels, prompts)
        covered += separation.low <= truth <= separation.high
    assert 275 <= covered <= 297


def test_the_auc_within_a_prompt_needs_two_prompts() -> None:
    with pytest.raises(InputError, match="1 prompts have a reply labelled 1 and one labelled 0"):
        validation.within_prompt_auc([1, 2, 3], [1, 0, 0], list("aab"))
    with pytest.raises(InputError, match="3 scores, 3 labels and 2 prompts"):
        validation.within_prompt_auc([1, 2, 3], [1, 0, 0], list("ab"))


def labelled_table() -> RewardTable:
    return RewardTable(
        values=("humor", "length"),
        rewards=np.array([[0.0, 1.0], [1.0, 2.0], [0.5, 3.0], [2.0, 4.0]]),
        offsets=np.array([0, 2, 4]),
        prompt_ids=("a", "b"),
        prompts=("A", "B"),
        use_cases=("u", "u"),
        replies=("w", "w w", "w w w", "w w w w"),
        tokens=((1,), (1, 1), (1, 1, 1), (1, 1, 1, 1)),
    )


def test_separations_and_length(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    rows = [("a", 0, 0), ("a", 1, 1), ("b", 0, 0), ("b", 1, 1)]
    path.write_text(
        "\n".join(json.dumps({"prompt_id": p, "candidate": c, "labels": {"humor": y}}) for p, c, y in rows) + "\n"
    )
    separations = validation.separations(labelled_table(), validation.read_labels(path))
    assert set(separations) == {"humor"}
    assert (separations["humor"].auc, separations["humor"].positives, separations["humor"].negatives) == (1.0, 2, 2)
    assert (separations["humor"].within, separations["humor"].within_pairs, separations["humor"].within_prompts) == (
        1.0,
        2,
        2,
    )
    across = [
        validation.Label(label.prompt_id, label.candidate, {"humor": int(label.prompt_id == "b")})
        for label in validation.read_labels(path)
    ]
    assert validation.separations(labelled_table(), across)["humor"].within is None
    correlations = validation.length_correlations(labelled_table())
    assert correlations["length"] == pytest.approx(1.0)
    assert correlations["humor"] == pytest.approx(0.8)


def test_the_command_shows_cards_and_figures(tmp_path: Path) -> None:
    table, labels = tmp_path / "table.parquet", tmp_path / "labels.jsonl"
    save(labelled_table(), table)
    rows = [("a", 0, 1), ("a", 1, 0), ("b", 0, 0), ("b", 1, 1)]
    labels.write_text(
        "".join(json.dumps({"prompt_id": p, "candidate": c, "labels": {"humor": y}}) + "\n" for p, c, y in rows)
    )
    arguments = [str(table), "--labels", str(labels)]
    text = CliRunner().invoke(command, arguments, catch_exceptions=False).output
    assert "measures  How playful the reply sounds" in text
    assert "AUC       0.50 (" in text
    assert "2 / 2 replies labelled 1 / 0, below 0.75" in text
    assert "within    0.50 (" in text
    assert "between replies to one prompt, 2 pairs of 2 prompts" in text
    markdown = CliRunner().invoke(command, [*arguments, "--markdown"], catch_exceptions=False).output.splitlines()
    assert len(markdown) == 4
    assert markdown[2].startswith("| humor | How playful")
    objects = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False).output.splitlines()
    humor, length = (json.loads(line) for line in objects)
    assert humor["separation"]["auc"] == 0.5
    assert (humor["separation"]["within"], humor["separation"]["within_pairs"]) == (0.5, 2)
    assert length["card"] is None
    assert length["length_correlation"] == 1.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "Line 2"),
        ('{"prompt_id": "a"}', "is no label"),
        ('{"prompt_id": "a", "candidate": 0, "labels": {"humor": 2}}', "expected 1 or 0"),
        ('{"prompt_id": "a", "candidate": 0, "labels": {"humor": 0.5}}', "with 0.5; expected 1 or 0"),
        ('{"prompt_id": "a", "candidate": 0, "labels": {"humor": NaN}}', "Line 2"),
        ('{"prompt_id": "a", "candidate": 3.9, "labels": {"humor": 1}}', "of candidate 3.9; expected a whole number"),
    ],
)
def test_bad_labels_are_named_by_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"prompt_id": "a", "candidate": 0, "labels": {"humor": 1}}\n' + line)
    with pytest.raises(InputError, match=message):
        validation.read_labels(path)


def test_labels_of_another_table() -> None:
    labels = [validation.Label("c", 0, {"humor": 1})]
    with pytest.raises(InputError, match="which the table lacks"):
        validation.separations(labelled_table(), labels)


def test_too_few_labels() -> None:
    with pytest.raises(InputError, match="1 replies labelled 1 and 2 labelled 0"):
        validation.auc([1, 2, 3], [1, 0, 0])


# The real embedding model


@pytest.fixture(scope="module")
def real_scorers() -> dict[str, Scorer]:
    from map_core.errors import MissingModelError

    models = ScoringModels()
    try:
        models.embed(["a"])
    except MissingModelError as error:
        pytest.skip(str(error))
    return {scorer.name: scorer for scorer in scoring.scorers(models=models)}


EGG = "Put it in boiling water for eight minutes, then cool it."
CASES = [
    ("humor", "Tea?", "Why did the teapot blush? It saw the kettle steaming!", "Tea is a drink made from leaves."),
    ("humor", "I'm late.", "Oh no, my shoes ran off without me again, silly things!", "I will arrive at ten."),
    ("kindness", "I broke it.", "That's all right, I'm glad that you are safe.", "You useless idiot, get lost."),
    ("kindness", "I feel ill.", "Please see a doctor soon, and take care.", "Who cares, suffer for all I care."),
    ("coherence", "How do whales breathe?", "Whales breathe air through a blowhole.", "Invoices are due on Friday."),
    ("helpfulness", "How do I boil an egg?", EGG, "The history of Rome began long ago."),
    ("helpfulness", "How do I boil an egg?", EGG, "How do I boil an egg? How do I boil an egg?"),
    ("positivity", "Hi", "What a lovely day, I am so happy to help!", "This is a terrible, sad mess."),
]


@pytest.mark.model
@pytest.mark.parametrize(("value", "prompt", "more", "less"), CASES)
def test_real_scorers_separate_plain_cases(
    real_scorers: dict[str, Scorer], value: str, prompt: str, more: str, less: str
) -> None:
    high, low = real_scorers[value].score(prompt, [reply(more), reply(less)])
    assert high > low


@pytest.mark.slow
@pytest.mark.model
def test_real_scorers_keep_the_laws(real_scorers: dict[str, Scorer]) -> None:
    for scorer in real_scorers.values():
        check_scorer(scorer, tolerance=1e-4)


def test_the_command_shows_values_of_a_file_and_what_is_ready(tmp_path: Path) -> None:
    path = tmp_path / "values.toml"
    path.write_text(
        '[calm_nurse]\nmore = "a calm nurse"\nless = "a salesman"\n[wit]\nfamily = "classifier"\nready = "humor"\n'
    )
    done = CliRunner().invoke(command, ["--values-file", str(path)])
    text = done.output
    assert isinstance(done.exception, MissingModelError)  # said after the cards: what is missing here
    assert 'measures  Whether the reply is more like "a calm nurse" than like "a salesman".' in text
    assert "needs     the model mohameddhiab/humor-no-humor on this machine" in text
    objects = CliRunner().invoke(command, ["--values-file", str(path), "--json"]).output
    assert [json.loads(line)["card"]["family"] for line in objects.splitlines()] == ["contrast", "classifier"]
    ready = CliRunner().invoke(command, ["--ready"], catch_exceptions=False).output
    assert "RLHFlow/ArmoRM-Llama3-8B-v0.1" in ready
    assert "refused   its head gives a mean and a spread" in ready
    help_text = CliRunner().invoke(command, ["--help"], catch_exceptions=False).output
    assert "[calm_nurse]" in help_text


def test_the_command_shows_a_value_that_a_table_defines(tmp_path: Path) -> None:
    from dataclasses import replace

    (own,) = scoring.resolve(["length"], [scoring.Definition("length", "Long", ("long",), ("short",))])
    table = replace(labelled_table(), metadata={"scorers": [own.entry()]})
    save(table, tmp_path / "table.parquet")
    text = CliRunner().invoke(command, [str(tmp_path / "table.parquet")], catch_exceptions=False).output
    assert 'Whether the reply is more like "long" than like "short".' in text
