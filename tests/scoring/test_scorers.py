"""Tests of the built-in values: rewards by hand, the laws of scorers, and bad input."""

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

from map_core import scoring
from map_core.cli.values import values as command
from map_core.core.types import Reply
from map_core.errors import InputError, MissingModelError
from map_core.scoring import lexicon, likelihood
from map_core.scoring.base import Card, Scorer, ScorerError, score_checked
from map_core.scoring.shared_models import ScoringModels
from map_core.testing.scorer_laws import check_scorer, reply
from tests.scoring.word_embedder import WordEmbedder


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
    warm, cold, mixed, none = map(lexicon.sentiment, texts)
    assert warm > 0.5 > -0.5 > cold
    assert mixed == pytest.approx((warm + cold) / 2)
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
    """For a bag-of-words model other orders are as similar; the prompt's own order costs 6."""
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
        embedded: list[str] = []  # noqa: RUF012

        def embed(self, texts: Sequence[str]) -> np.ndarray:
            self.embedded += texts
            return super().embed(texts)

    models = ScoringModels(embedder=Counting())
    replies = [reply("a dragon laughed"), reply("a snail won")]
    for scorer in scoring.scorers(["coherence", "humor", "helpfulness"], models):
        scorer.score("Tell a story.", replies)
    assert len(Counting.embedded) == len(set(Counting.embedded))


def test_embeddings_do_not_depend_on_earlier_requests() -> None:
    """To the last bit: a list is embedded as a whole, even where some texts were embedded before."""

    class Company(WordEmbedder):
        def embed(self, texts: Sequence[str]) -> np.ndarray:
            return super().embed(texts) + 1e-9 * len(texts)  # as batches of other shapes change the last digits

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
def test_unknown_and_repeated_values_are_refused(names: list[str], message: str) -> None:
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
def test_broken_scorer_is_named(rewards: object, message: str) -> None:
    with pytest.raises(ScorerError, match=message):
        score_checked(Broken(rewards), "Why", [reply("a"), reply("b")])


def test_text_without_log_probabilities_has_no_familiarity() -> None:
    with pytest.raises(ScorerError, match="candidate 1 has none"):
        scoring.scorers(["familiarity"])[0].score("", [reply("a"), Reply("imported")])


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
@pytest.mark.parametrize(("value", "prompt", "higher", "lower"), CASES)
def test_real_scorers_separate_plain_cases(
    real_scorers: dict[str, Scorer], value: str, prompt: str, higher: str, lower: str
) -> None:
    high, low = real_scorers[value].score(prompt, [reply(higher), reply(lower)])
    assert high > low


@pytest.mark.slow
@pytest.mark.model
def test_real_scorers_keep_the_laws(real_scorers: dict[str, Scorer]) -> None:
    for scorer in real_scorers.values():
        check_scorer(scorer, tolerance=1e-4)


def test_command_shows_values_of_a_file_and_missing_requirements(tmp_path: Path) -> None:
    path = tmp_path / "values.toml"
    path.write_text(
        '[calm_nurse]\nmore = "a calm nurse"\nless = "a salesman"\n[wit]\nfamily = "classifier"\nready = "humor"\n'
    )
    done = CliRunner().invoke(command, ["--values-file", str(path)])
    text = done.output
    assert isinstance(done.exception, MissingModelError)  # after the cards: missing requirements
    assert 'measures  Whether the reply is more like "a calm nurse" than like "a salesman".' in text
    assert "needs     the model mohameddhiab/humor-no-humor on this machine" in text
    objects = CliRunner().invoke(command, ["--values-file", str(path), "--json"]).output
    assert [json.loads(line)["card"]["family"] for line in objects.splitlines()] == ["contrast", "classifier"]
    ready = CliRunner().invoke(command, ["--ready"], catch_exceptions=False).output
    assert "RLHFlow/ArmoRM-Llama3-8B-v0.1" in ready
    assert "refused   its head gives a mean and a spread" in ready
    help_text = CliRunner().invoke(command, ["--help"], catch_exceptions=False).output
    assert "[calm_nurse]" in help_text
