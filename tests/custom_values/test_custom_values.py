"""Tests of custom values on a table: scored once, resumed after a stop, added as columns, offered as targets."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from map_core.core.jobs import JobStatus
from map_core.custom_values import ValueScores, add_columns, jobs, read_scores, replies_key, score_cache
from map_core.custom_values import agreement as agreements
from map_core.custom_values.active import clear_cache, offered_values
from map_core.custom_values.embedding_cache import CachedEmbedder
from map_core.custom_values.score_table import PROMPTS, score_table
from map_core.data import table_format
from map_core.errors import InputError
from map_core.scoring import DEFAULT_EMBEDDER, Definition, scorers
from map_core.scoring.head_weights import HeadComparison, HeadEvidence, HeadWeights
from map_core.scoring.pairwise import PairAnswer, PairJudgement, choose_pairs, judgement_agreement
from map_core.store import SETTING, custom_values, database, table_key
from tests.lazy import needs_models
from tests.tables import make_table

NURSE = Definition("calm_nurse", "Calm nurse", ("sounds like a calm nurse",), ("sounds like a salesman",))
TABLE = make_table(prompts=10, candidates=4)


(PLAIN,) = scorers(["plain_language"])


@pytest.fixture(autouse=True)
def own_database(tmp_path, monkeypatch):
    monkeypatch.setenv(SETTING, f"sqlite:///{tmp_path / 'kept.sqlite'}")
    clear_cache()
    yield
    clear_cache()


def scores_of(table=TABLE, definition=NURSE, seed=0) -> ValueScores:
    """Store scores in the cache, and return them as read."""
    rewards = np.random.default_rng(seed).normal(size=len(table.rewards))
    path = score_cache.score_path(replies_key(table), definition)
    path.parent.mkdir(parents=True, exist_ok=True)
    score_cache.write_scores(path, rewards, {})
    scores = read_scores(replies_key(table), definition)
    assert scores is not None
    assert (scores.rewards == rewards).all()
    return scores


def test_a_table_is_scored_reply_by_reply(tmp_path):
    progress = []
    score_table(TABLE, PLAIN, tmp_path / "out.parquet", lambda done, total: progress.append((done, total)))
    column = score_cache._column(str(tmp_path / "out.parquet"))
    assert column.shape == (40,)
    assert column[:4] == pytest.approx(PLAIN.score(TABLE.prompts[0], _replies(0)))
    assert progress[0] == (0, 10)
    assert progress[-1] == (10, 10)
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert {path.suffix for path in tmp_path.iterdir()} == {".parquet", ".lock"}


def _replies(prompt: int):
    from map_core.core.types import Reply

    return [Reply(text, ()) for text in TABLE.replies[TABLE.rows(prompt)]]


def test_scores_before_a_stop_are_not_recomputed(tmp_path):
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == PROMPTS:
            raise Stopped

    with pytest.raises(Stopped):
        score_table(TABLE, PLAIN, tmp_path / "out.parquet", stop)
    assert not (tmp_path / "out.parquet").exists()
    np.save(
        tmp_path / "out.parts" / "00000000.npy", np.full(16, 7.0)
    )  # a sentinel: this part is loaded and not recomputed
    progress = []
    score_table(TABLE, PLAIN, tmp_path / "out.parquet", lambda done, total: progress.append(done))
    assert progress[0] == PROMPTS
    assert (score_cache._column(str(tmp_path / "out.parquet"))[:16] == 7.0).all()
    assert not (tmp_path / "out.parts").exists()


def test_damaged_scores_are_reported(tmp_path):
    (tmp_path / "out.parts").mkdir()
    (tmp_path / "out.parts" / "00000004.npy").write_bytes(b"half a file")
    with pytest.raises(InputError, match=r"00000004\.npy cannot be read .* Remove it and start again"):
        score_table(TABLE, PLAIN, tmp_path / "out.parquet", lambda done, total: None)


def test_concurrent_scorings_of_one_value_share_the_work(tmp_path):
    out, progress = tmp_path / "out.parquet", []
    threads = [
        threading.Thread(target=score_table, args=(TABLE, PLAIN, out, lambda done, total: progress.append(done)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert progress.count(0) == 1
    assert out.is_file()


def test_a_table_without_texts_is_refused(tmp_path):
    with pytest.raises(InputError, match="no texts of replies"):
        score_table(replace(TABLE, replies=()), PLAIN, tmp_path / "out.parquet", lambda done, total: None)


def test_scores_belong_to_a_definition_and_the_replies():
    key = replies_key(TABLE)
    renamed = replace(NURSE, title="Nurse", colour="#112233")
    other_words = replace(NURSE, more=("sounds like a pirate",))
    assert score_cache.score_path(key, NURSE) == score_cache.score_path(key, renamed)
    assert score_cache.score_path(key, NURSE) != score_cache.score_path(key, other_words)
    assert replies_key(make_table(prompts=10, candidates=4, seed=9)) == key  # the same replies, other rewards
    assert replies_key(make_table(prompts=9, candidates=4)) != key
    assert read_scores(key, NURSE) is None
    scores_of()
    assert read_scores(key, renamed).entry["title"] == "Nurse"


def test_unreadable_scores_are_reported():
    path = score_cache.score_path(replies_key(TABLE), NURSE)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no Parquet")
    with pytest.raises(InputError, match="cannot be read"):
        read_scores(replies_key(TABLE), NURSE)


def test_a_column_is_added_with_all_that_generation_needs():
    extended = add_columns(TABLE, [scores_of()])
    assert extended.values == (*TABLE.values, "calm_nurse")
    assert (extended.rewards[:, :-1] == TABLE.rewards).all()
    assert table_key(extended) == table_key(TABLE)  # palettes that people saved with the table stay valid
    assert table_key(extended.select("Stories")) == table_key(TABLE)
    entry = json.loads(json.dumps(extended.metadata["scorers"][-1]))
    assert entry["name"] == "calm_nurse"
    assert Definition.from_dict({"name": "calm_nurse", **entry["settings"]}) == NURSE
    assert add_columns(TABLE, []) is TABLE


def test_taken_names_and_mismatched_scores_are_refused():
    scores = scores_of()
    with pytest.raises(InputError, match="'calm_nurse' already"):
        add_columns(TABLE, [scores, scores])
    with pytest.raises(InputError, match="40 scores; this table has 36 replies"):
        add_columns(make_table(prompts=9, candidates=4), [scores])


def test_only_values_in_use_and_scored_on_the_table_are_offered():
    value = custom_values.define(database(), NURSE)
    scores = scores_of()
    assert offered_values(TABLE) == ()
    custom_values.use(database(), value.id, 1)
    assert offered_values(TABLE) == ()  # remembered for a moment
    clear_cache()
    (offer,) = offered_values(TABLE)
    assert offer.definition == NURSE
    assert "Not judged yet" in offer.trust
    assert offered_values(make_table(prompts=9, candidates=4)) == ()  # not scored on that table
    assert offered_values(add_columns(TABLE, [scores])) == ()  # the table has the value already
    custom_values.use(database(), value.id, 0)
    clear_cache()
    assert offered_values(TABLE) == ()


def judge_all(id: int, rewards: np.ndarray, table=TABLE) -> None:
    """Judge fifteen pairs in agreement with these rewards."""
    for pair in choose_pairs(table, rewards, 15):
        answer = PairAnswer.FIRST if rewards[pair.first] > rewards[pair.second] else PairAnswer.SECOND
        custom_values.judge(database(), id, 1, replies_key(table), agreements.replies_of(table, pair), answer)


def test_judgements_are_stated_wherever_the_value_is_offered():
    value, scores = custom_values.define(database(), NURSE), scores_of()
    judge_all(value.id, scores.rewards)
    custom_values.use(database(), value.id, 1)
    (offer,) = offered_values(TABLE)
    assert offer.trust.startswith("Reliable: puts 15 of 15 judged pairs")
    assert not offer.unusable


def test_value_contradicted_by_judgements_is_offered_as_unreliable():
    defined, scores = custom_values.define(database(), NURSE), scores_of()
    judge_all(defined.id, -scores.rewards)
    custom_values.use(database(), defined.id, 1)
    (offered,) = offered_values(TABLE)
    assert offered.unusable
    assert offered.trust.startswith("Not to be used: puts 0 of 15 judged pairs")


def test_judgements_are_matched_by_prompt_and_candidate():
    value, scores = custom_values.define(database(), NURSE), scores_of()
    judge_all(value.id, scores.rewards)
    kept_ones = agreements.kept_judgements(database(), TABLE, value.id, 1)
    turned = TABLE.take(range(9, -1, -1))
    rewards = np.concatenate([scores.rewards[TABLE.rows(i)] for i in range(9, -1, -1)])
    assert agreements.scorer_agreement(turned, rewards, kept_ones) == agreements.scorer_agreement(
        TABLE, scores.rewards, kept_ones
    )
    assert agreements.scorer_agreement(TABLE, -scores.rewards, kept_ones).reversed
    some = TABLE.take(range(3))  # most of the judged replies are not in this table
    assert len(agreements.judgement_rows(some, kept_ones)) < 15


@pytest.mark.parametrize(
    ("agreed", "of", "sentence", "then"),
    [
        (5, 5, "Puts 5 of 5 judged pairs", "Judge at least 5 more"),
        (15, 15, "Reliable", "to set targets on"),
        (12, 15, "Rough", "leans the right way"),
        (10, 15, "Not to be used", "do not rule out a coin"),
        (20, 40, "Not to be used", "Change its definition"),
        (1, 15, "Not to be used", "wrong way round"),
    ],
)
def test_words_and_advice_follow_the_judgements(agreed, of, sentence, then):
    pairs = [PairJudgement(0, 1, PairAnswer.FIRST)] * agreed + [PairJudgement(0, 1, PairAnswer.SECOND)] * (of - agreed)
    measured = judgement_agreement(np.array([1.0, 0.0]), pairs)
    assert agreements.trust_sentence(measured).startswith(sentence)
    assert then in agreements.advice(measured)


def test_a_trained_version_rests_on_its_cross_validation_until_it_is_judged_anew():
    defined, scores = custom_values.define(database(), NURSE), scores_of()
    judge_all(defined.id, scores.rewards)
    comparison = HeadComparison(0.8, 0.7, 0.9, 40, 30, 0.6, 0.1, 0.3)
    head = HeadWeights((0.0,) * 3, 0.0, 1.0, DEFAULT_EMBEDDER, HeadEvidence("pairs", 40, comparison))
    trained = replace(NURSE, head=head)
    kept_ones = agreements.kept_judgements(database(), TABLE, defined.id, 1)
    for judged in ((), kept_ones[:9]):
        measured = agreements.value_agreement(TABLE, scores.rewards, judged, trained)
        assert (measured.agreed, measured.decided, measured.low, measured.cross_validated) == (32.0, 40, 0.7, True)
        assert "They are those that it was trained on" in agreements.trust_sentence(measured)
    measured = agreements.value_agreement(TABLE, scores.rewards, kept_ones, trained)
    assert (measured.decided, measured.cross_validated) == (15, False)
    assert agreements.value_agreement(TABLE, scores.rewards, (), NURSE) is None


def test_training_takes_the_decided_pairs_of_all_versions_with_the_same_words():
    """Version 2 has another definition; version 3 has the first again, with one pair judged differently."""
    defined = custom_values.define(database(), NURSE)
    other_words = replace(NURSE, more=("sounds like a pirate",))

    def judged(version: int, first: int, second: int, answer: PairAnswer) -> None:
        pair = (("p00", first), ("p00", second))
        custom_values.judge(database(), defined.id, version, replies_key(TABLE), pair, answer)

    judged(1, 0, 1, PairAnswer.FIRST)
    judged(1, 0, 2, PairAnswer.NEITHER)
    judged(1, 1, 2, PairAnswer.SECOND)
    custom_values.revise(database(), defined.id, other_words)
    judged(2, 2, 3, PairAnswer.FIRST)
    value = custom_values.revise(database(), defined.id, NURSE)
    judged(3, 1, 0, PairAnswer.FIRST)
    assert agreements.training_pairs(database(), TABLE, value) == [(2, 1), (1, 0)]


@needs_models(DEFAULT_EMBEDDER)
def test_the_process_trains_on_judged_pairs(tmp_path):
    """The judged pairs prefer replies with "a joke"; a head on the real embedding model learns that."""
    table = make_table(prompts=12, candidates=8)
    table_format.save(table, tmp_path / "table.parquet")
    jokes = np.array(["a joke" in text for text in table.replies])
    pairs = []
    for prompt in range(12):
        rows = np.arange(table.rows(prompt).start, table.rows(prompt).stop)
        pairs += list(zip(rows[jokes[rows]], rows[~jokes[rows]][:2], strict=False))
    pairs = [(int(better), int(worse)) for better, worse in pairs]
    assert len(pairs) >= 20
    key = replies_key(table_format.load(tmp_path / "table.parquet"))
    job = jobs.start_training(tmp_path / "table.parquet", key, NURSE, pairs, value=1)
    assert job.wait(300)
    assert (job.status, job.error) == (JobStatus.DONE, None)
    assert jobs.training_job(key, NURSE, pairs[::-1], value=1) is job
    evidence = job.result.evidence
    assert (evidence.judgements, evidence.overall.prompts) == (len(pairs), 12)
    assert evidence.overall.head > 0.8
    too_few = jobs.start_training(tmp_path / "table.parquet", key, NURSE, pairs[:12], value=1)
    assert too_few.wait(300)
    assert (too_few.status, "12 decided pairs; a head needs 20" in too_few.error) == (JobStatus.FAILED, True)


def test_training_cancelled_for_one_value_continues_for_another(monkeypatch):
    begun = threading.Event()

    def wait_until_cancelled(job, *arguments):
        begun.set()
        while True:
            job.check()
            time.sleep(0.01)

    monkeypatch.setattr(jobs, "_run_process", wait_until_cancelled)
    training = ("replies", NURSE, [(1, 2)])
    first, second = (jobs.start_training(Path(), *training, value=value) for value in (1, 2))
    assert first is second
    assert begun.wait(10)
    jobs.stop_training(*training, value=1)
    assert jobs.training_job(*training, value=1) is None
    assert jobs.training_job(*training, value=2) is second
    assert not second.wait(0.1)
    jobs.stop_training(*training, value=2)
    assert second.wait(10)
    assert second.status is JobStatus.CANCELLED


def test_embeddings_are_computed_once_and_cached(tmp_path):
    batches = []

    class Lengths:
        def embed(self, texts):
            batches.append(list(texts))
            return np.array([[len(text), 1.0] for text in texts])

    first = CachedEmbedder("one", tmp_path, Lengths)
    assert first.embed(["a", "bb"]).tolist() == [[1.0, 1.0], [2.0, 1.0]]
    reopened = CachedEmbedder("one", tmp_path, Lengths)
    assert reopened.embed(["a", "bb"]).tolist() == [[1.0, 1.0], [2.0, 1.0]]
    assert batches == [["a", "bb"]]
    CachedEmbedder("two", tmp_path, Lengths).embed(["a", "bb"])  # embeddings of another model are separate
    assert len(batches) == 2
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:20])  # a full disk
    assert CachedEmbedder("one", tmp_path, Lengths).embed(["a", "bb"]).tolist() == [[1.0, 1.0], [2.0, 1.0]]


@needs_models(DEFAULT_EMBEDDER)
def test_scoring_process_can_be_stopped_or_killed_and_resumes(tmp_path):
    table = make_table(prompts=60, candidates=8)
    table_format.save(table, tmp_path / "table.parquet")
    key = replies_key(table_format.load(tmp_path / "table.parquet"))
    for stop in (lambda job: jobs.stop(key, NURSE, value=1), _kill_the_process):
        job = jobs.start(tmp_path / "table.parquet", key, NURSE, value=1)
        _wait_for_some(job)
        stop(job)
        assert job.wait(30)
        assert job.status in (JobStatus.CANCELLED, JobStatus.FAILED)
        assert read_scores(key, NURSE) is None
    job = jobs.start(tmp_path / "table.parquet", key, NURSE, value=1)
    assert job.wait(60)
    assert (job.status, job.error) == (JobStatus.DONE, None)
    scores = read_scores(key, NURSE)
    assert np.isfinite(scores.rewards).all()
    assert np.ptp(scores.rewards) > 0
    assert not _processes_of(tmp_path)


def _wait_for_some(job) -> None:
    until = time.monotonic() + 60
    while job.partial is None or job.partial.done == 0:
        assert time.monotonic() < until
        assert not job.ended, job.error
        time.sleep(0.01)


def _processes_of(folder) -> list[int]:
    """Return the processes that were started on a table in this folder, including their forks."""
    ids = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and any(str(folder) in word for word in process.cmdline()):
                ids.append(process.pid)
    return ids


def _kill_the_process(job) -> None:
    for child in psutil.Process().children():
        if child.status() != psutil.STATUS_ZOMBIE and "map_core.custom_values" in child.cmdline():
            os.kill(child.pid, signal.SIGKILL)


def test_error_of_the_process_is_reported_in_words(tmp_path):
    job = jobs.start(tmp_path / "not_there.parquet", "none", NURSE, value=1)
    assert job.wait(60)
    assert job.status is JobStatus.FAILED
    assert "There is no table at" in job.error
