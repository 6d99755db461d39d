"""Tests of reports: the document contains the computed figures."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
import subprocess
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from map_core import report as reports
from map_core.core.types import Form, Verdict
from map_core.custom_values import ValueScores, add_columns
from map_core.data.reward_table import RewardTable
from map_core.errors import InputError
from map_core.feasibility import assess
from map_core.oracle import MemoryOracle
from map_core.palettes.beside import Beside
from map_core.palettes.palette import Palette, Target
from map_core.report import ReportOptions, compute_report
from map_core.report.figures import figures
from map_core.report.snippets import palette_json
from map_core.scoring import Definition, Specification, read_values_file
from map_core.scoring.validation import Label
from map_core.studies.delivery import fingerprint
from map_core.text.wording import PLAIN
from tests.report.reports_made import MADE, QUICK, report_of, strict, words_of
from tests.tables import make_table


def two_replies() -> RewardTable:
    """Return one value and two prompts with the replies 0 and 1: lambda gives the level 1 / (1 + exp(-lambda))."""
    return RewardTable(
        values=("humor",),
        rewards=np.array([[0.0], [1.0], [0.0], [1.0]]),
        offsets=np.array([0, 2, 4]),
        prompt_ids=("a", "b"),
        prompts=("First?", "Second?"),
        use_cases=("All prompts", "All prompts"),
        replies=("dull", "funny", "flat", "witty"),
    )


def test_report_of_two_replies_by_hand():
    """Target 0.75: lambda = log 3, KL = log 2 - entropy of (3/4, 1/4), base 0.5, s 0.5."""
    report = report_of(two_replies(), {"humor": Target(75.0, level=0.75)})
    data = reports.as_dict(report)
    kl = math.log(2) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    assert data["weights"]["humor"] == pytest.approx(math.log(3), abs=1e-9)
    assert data["cost"]["kl_nats"] == pytest.approx(kl, abs=1e-9)
    assert data["cost"]["most_nats"] == pytest.approx(math.log(2))
    assert data["cost"]["bottleneck"] == "humor"
    (row,) = data["values"]
    assert row["base"] == 0.5
    assert row["realised"] == pytest.approx(0.75, abs=1e-9)
    assert row["highest"] == pytest.approx(1.0)
    assert row["price_nats_per_reward"] == pytest.approx(math.log(3), abs=1e-9)
    assert row["share_of_price"] == 1.0
    for sample in data["samples"]:
        assert sample["aligned_reply"] in ("funny", "witty")
        assert sample["probability"] == pytest.approx(0.75, abs=1e-9)
    # A single value has no frontier; its own price is swept.
    assert data["frontier"] == []
    assert data["sensitivity"]["value"] == "humor"
    words = words_of(report)
    # Four replies have too small an effective sample size, and the document says so.
    assert report.verdict is Verdict.ON_PAPER
    for figure in (
        "Possible, but not reliable",
        f"{kl:.3f} nats",
        "1.10",
        "0.750",
        "of 0.69 at the most",
        "likeliest reply: 75%",
    ):
        assert figure in words, figure


def test_document_contains_the_computed_figures(table):
    report = report_of(table, {"helpfulness": 62.0, "humor": 58.0, "positivity": Target(50.0, keep=True)}, name="Calm")
    oracle = MemoryOracle.of(table)
    assessment = assess(oracle, report.assessment.targets)
    assert report.verdict is Verdict.REACHABLE
    assert report.solution.kl == assessment.solution.kl
    words, data = words_of(report), reports.as_dict(report)
    assert "Calm" in words
    assert "25 November 2026" in words
    assert f"{assessment.solution.kl:.3f} nats" in words
    for name, row in zip(table.values, data["values"], strict=True):
        j = table.index(name)
        assert row["realised"] == pytest.approx(oracle.rewards_at(assessment.solution.levels)[j])
        assert row["weight"] == pytest.approx(assessment.solution.weights[j] / oracle.scale[j])
        assert row["realised_low"] < row["realised"] < row["realised_high"]
        assert f"p{row['realised_percentile']:.0f}" in words
    assert [row["mode"] for row in data["values"]] == ["at_least", "free", "at_least", "keep"]
    assert report.confidence is not None
    assert data["confidence"]["probability"]["reachable"] == report.confidence.probability[Verdict.REACHABLE]
    assert fingerprint(table) in words
    assert sum(data["confidence"]["probability"].values()) == pytest.approx(1.0)


def test_promise_is_stated_where_prompts_are_held_out(table):
    assert report_of(table, {"humor": 58.0}).certificate is None
    held_out_table = replace(make_table(prompts=120, candidates=16), held_out=np.arange(120) % 3 == 0)
    report = report_of(held_out_table, {"humor": 58.0})
    assert "Kept on new prompts, 95% sure" in words_of(report)
    promised = reports.as_dict(report)["promise"]
    assert promised["outcome"] == "certified"
    assert promised["promised"]["humor"] == pytest.approx(reports.as_dict(report)["values"][2]["target"])


def test_report_out_of_reach_names_the_conflict_and_the_nearest_palette(table):
    report = report_of(table, {"helpfulness": 88.0, "harmlessness": 88.0, "humor": 50.0})
    data, words = reports.as_dict(report), words_of(report)
    assert report.verdict is Verdict.OUT_OF_REACH
    assert report.stands_in
    assert data["conflict"]["values"] == ["helpfulness", "harmlessness"]
    assert "The fewest targets that are not possible together: helpfulness and harmlessness." in words
    assert "the nearest palette that is possible" in words
    assert "in place of p88" in words
    # The nearest palette is attainable, and its weights reach it.
    nearest = report.assessment.nearest
    assert np.all(report.solution.levels[:2] >= nearest.targets[:2] - 1e-7)
    np.testing.assert_allclose(report.solution.weights, nearest.solution.weights, atol=1e-5)
    assert data["margin"] < 0
    assert f"by {-data['margin']:.3f} standard deviations" in words
    assert data["weights"]
    assert data["confidence"]["probability"]["out_of_reach"] > 0.9


def test_unattainable_locked_targets_leave_no_weights(table):
    report = report_of(table, {"helpfulness": Target(99.0, locked=True), "harmlessness": Target(99.0, locked=True)})
    data, words = reports.as_dict(report), words_of(report)
    assert report.solution is None
    assert data["weights"] == {}
    assert data["nearest"] is None
    assert [snippet.name for snippet in reports.snippets(report)] == ["solve", "report"]
    assert "Nothing near it is possible while the locked targets stay" in words
    assert "at least, locked" in words
    assert "--lock helpfulness" in reports.as_dict(report)["snippets"]["report"]


def test_value_added_in_the_app_is_exported_with_a_table(table, tmp_path):
    """The commands name a copy of the table with the value, and its scorer is a readable file."""
    nurse = Specification.of(Definition("calm_nurse", "Calm nurse", more=("it's a calm nurse",), less=("a salesman",)))
    rng = np.random.default_rng(3)
    entry = {"name": "calm_nurse", **nurse.as_dict(), "version": "1"}
    extended = add_columns(table, [ValueScores(rng.normal(size=len(table.rewards)), entry)])
    plain = reports.as_dict(report_of(extended, {"humor": 60.0}))["snippets"]
    assert "values" not in plain
    assert "with-values" not in plain["solve"]
    report = report_of(extended, {"humor": 60.0, "calm_nurse": 60.0}, shown_table="mine.parquet")
    snippets = reports.as_dict(report)["snippets"]
    assert list(snippets) == ["values", "solve", "generate", "serve", "trainer", "weights", "report"]
    write, build = snippets["values"].split("> values.json\n")
    (tmp_path / "values.json").write_bytes(subprocess.run(["sh", "-c", write], capture_output=True, check=True).stdout)
    specifications = read_values_file(tmp_path / "values.json")
    assert {name: (specification.family, specification.settings) for name, specification in specifications.items()} == {
        "calm_nurse": (nurse.family, nurse.settings)
    }
    assert shlex.split(build.replace("\\\n", "")) == shlex.split(
        "python -m map_core build --extend mine.parquet --values-file values.json --values calm_nurse "
        "--out with-values.parquet"
    )
    for name in ("solve", "serve", "report"):
        assert "with-values.parquet" in snippets[name]
        assert "mine.parquet" not in snippets[name]
    assert "--values-file values.json" in snippets["generate"]
    assert "--weights calm_nurse=" in snippets["generate"].replace("\\\n  ", "")
    assert "TABLE = vp.load_table('with-values.parquet')" in snippets["trainer"]
    assert "vp.reward_functions(WEIGHTS, table=TABLE, model=MODEL)" in snippets["trainer"]
    compile(snippets["trainer"], "trainer", "exec")
    assert "assets/default.parquet" in reports.as_dict(report_of(extended, {"calm_nurse": 60.0}))["snippets"]["values"]


def test_on_paper_states_the_effective_sample_size(table):
    highest = report_of(table, {"helpfulness": 60.0}).highest[0]
    oracle = MemoryOracle.of(table)
    level = float(oracle.base[0] + 0.97 * highest * oracle.scale[0])
    report = report_of(table, {"helpfulness": Target(90.0, level=level)})
    assert report.verdict is Verdict.ON_PAPER
    words = words_of(report)
    assert "Possible, but not reliable" in words
    assert "below" in words
    assert "is not to be trusted" in words


def test_without_targets_the_report_is_of_the_base_model(table):
    report = report_of(table, {})
    data, words = reports.as_dict(report), words_of(report)
    assert data["cost"]["kl_nats"] == 0
    assert data["cost"]["bottleneck"] is None
    assert "No value has a target" in words
    assert "price" not in figures(report)


@pytest.mark.parametrize("form", list(Form))
def test_pooled_tables_and_forms(table, form):
    report = report_of(table, {"humor": 60.0}, form=form)
    assert report.oracle.form is form
    data = reports.as_dict(report)
    assert data["form"] == form.value
    assert ("--form pooled" in data["snippets"]["solve"].replace("\\\n  ", "")) == (form is Form.POOLED)
    assert ("Weights are found over all replies together" in words_of(report)) == (form is Form.POOLED)


def test_one_reply_per_prompt(table):
    single = RewardTable(
        values=table.values,
        rewards=table.rewards[::8],
        offsets=np.arange(len(table.rewards[::8]) + 1),
        prompt_ids=tuple(map(str, range(80))),
        prompts=tuple(f"Prompt {k}" for k in range(80)),
        use_cases=("All prompts",) * 80,
        replies=tuple(f"reply {k}" for k in range(80)),
    )
    report = report_of(single, {"humor": 55.0})
    assert report.oracle.form is Form.POOLED
    assert report.samples == ()
    # A generator has to draw more than one candidate.
    assert json.loads(reports.as_dict(report)["snippets"]["weights"])["candidates"] == 16
    assert "one reply per prompt, so there is nothing to choose between" in words_of(report)
    strict(reports.as_json(report))


def test_table_without_metadata_and_with_one_prompt(table):
    bare = RewardTable(
        values=("a", "b"),
        rewards=table.rewards[:32, :2],
        offsets=np.array([0, 32]),
        prompt_ids=("p",),
        prompts=("Only?",),
        use_cases=("All prompts",),
    )
    report = report_of(bare, {"a": 60.0})
    words = words_of(report)
    assert report.confidence is None
    assert "The table has one prompt" in words
    assert "The table does not say how this value was scored" in words
    assert "the table does not say" in words
    assert "holds no texts of replies" in words
    assert reports.as_dict(report)["confidence"] is None


@pytest.mark.parametrize("targets", [{}, {"helpfulness": 60.0}, {"helpfulness": 97.0, "harmlessness": 97.0}])
def test_a_constant_value_and_numbers_of_all_sizes(table, targets):
    rewards = table.rewards * np.array([1e6, 1e-6, 1.0, 0.0])
    odd = RewardTable(
        values=table.values,
        rewards=rewards,
        offsets=table.offsets,
        prompt_ids=table.prompt_ids,
        prompts=table.prompts,
        use_cases=table.use_cases,
        replies=table.replies,
        metadata={"seed": math.nan, "model": "plain text", "sampling": {"temperature": 0.5}},
    )
    report = report_of(odd, targets)
    data = strict(reports.as_json(report))
    assert data["source"]["metadata"]["seed"] is None
    assert "positivity is the same for every reply" in words_of(report)
    assert "plain text" in words_of(report)


def test_report_as_csv_tables(table):
    report = report_of(table, {"humor": 60.0, "helpfulness": 55.0})
    files = reports.csv_files(report)
    assert set(files) == {"palette.csv", "frontier.csv", "sensitivity.csv", "replies.csv", "about.csv"}
    rows = list(csv.DictReader(io.StringIO(files["palette.csv"])))
    data = reports.as_dict(report)
    assert [row["value"] for row in rows] == list(table.values)
    assert [float(row["weight"]) for row in rows] == [row["weight"] for row in data["values"]]
    assert len(list(csv.reader(io.StringIO(files["frontier.csv"])))) == len(data["frontier"]) + 1
    assert len(list(csv.reader(io.StringIO(files["replies.csv"])))) == 4
    with zipfile.ZipFile(io.BytesIO(reports.zipped(report))) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == files
    assert reports.zipped(report) == reports.zipped(report)
    strict(reports.as_json(report))


def test_report_is_deterministic(table):
    first, second = (report_of(table, {"humor": 60.0, "kindness": 40.0}) for _ in range(2))
    assert reports.html(first) == reports.html(second)
    assert reports.as_json(first) == reports.as_json(second)


def test_samples_cover_use_cases_and_come_from_the_table(table):
    report = report_of(table, {"humor": 65.0}, wanted=ReportOptions(draws=0, samples=4))
    assert [sample.use_case for sample in report.samples] == ["Customer support", "Stories"] * 2
    for sample in report.samples:
        i = table.prompts.index(sample.example.prompt)
        rows = table.rows(i)
        pull = report.oracle.standardise(table.rewards[rows]) @ report.solution.weights
        share = np.exp(pull - pull.max()) / np.exp(pull - pull.max()).sum()
        best = int(share.argmax())
        assert sample.example.aligned == table.replies[rows][best]
        assert sample.example.probability == pytest.approx(float(share[best]))
    assert len({sample.example.prompt for sample in report.samples}) == 4
    assert len(report_of(table, {"humor": 65.0}, use_case="Stories", wanted=ReportOptions(0, 99)).samples) == 10


def test_study_is_used_only_for_its_own_table(table):
    class Study:
        def __init__(self, of: str) -> None:
            self.made = {"table": of}

    report = report_of(table, {"humor": 60.0}, study=Study("another"))
    assert report.study is None
    assert "there is no study of delivery of this table" in words_of(report)
    own = Study(fingerprint(table))
    assert report_of(table, {"humor": 60.0}, study=own).study is own


def test_bad_options_are_refused(table):
    with pytest.raises(InputError, match="Unknown use case"):
        report_of(table, {"humor": 60.0}, use_case="Nowhere")
    with pytest.raises(InputError, match="draws"):
        report_of(table, {"humor": 60.0}, wanted=ReportOptions(draws=3))


def test_steps_are_reported_and_can_cancel_the_work(table):
    stages = []
    report_of(table, {"humor": 60.0}, tell=stages.append)
    assert stages == ["Solving", "Error bars", "Frontier", "Sensitivity", "Replies"]

    class Stopped(Exception):
        pass

    def stop(what: str) -> None:
        if what == "Frontier":
            raise Stopped

    with pytest.raises(Stopped):
        report_of(table, {"humor": 60.0}, tell=stop)


def test_demands_beyond_averages_have_a_section_with_figures(table):
    columns = {"positivity>=p20@*": 0.9, f"humor@{table.use_case_names[0]}": "p50"}
    beside = Beside(no_worse_tail=("humor",), no_cohort_below_base="use_case")
    palette = Palette(targets={"helpfulness": Target(60.0)}, columns=columns, beside=beside)
    report = compute_report(table, palette, date=MADE, wanted=QUICK)
    assert report.solution is not None
    rows = reports.as_dict(report)
    assert [row["value"] for row in rows["values"]] == list(table.values)
    requested = rows["beyond_averages"]["asked"]
    assert (
        requested[0]
        == "At least 90 of 100 replies no worse on positivity than the base model's weakest fifth, in every use case."
    )
    assert requested[2:] == [
        "Never at the cost of the worst replies on humor.",
        "No use case below its original level.",
    ]
    shares = [column for column in rows["beyond_averages"]["columns"] if column["name"].startswith("positivity>=p20@")]
    assert len(shares) == len(table.use_case_names)
    assert min(column["realised"] for column in shares) >= 0.9 - 1e-6
    for text in (reports.html(report), reports.html(report, PLAIN)):
        assert "Beyond averages" in text
        assert "in every use case." in text
        assert "p90" not in text.partition("Beyond averages")[2].partition("</table>")[0]
    snippets = {snippet.name: snippet.text for snippet in reports.snippets(report)}
    assert "trainer" not in snippets
    assert "--target 'positivity>=p20@*=0.9'" in snippets["report"]
    assert "--no-worse-tail humor" in snippets["solve"]
    assert json.loads(palette_json(report))["no_cohort_below_base"] == "use_case"


def test_unattainable_demand_beyond_averages_is_named_as_one_target(table):
    palette = Palette(targets={"helpfulness": Target(95.0)}, columns={"positivity>=p60@*": 1.0})
    report = compute_report(table, palette, date=MADE, wanted=QUICK)
    assert report.verdict is Verdict.OUT_OF_REACH
    assert reports.html(report).count("(the lowest: ") <= 1


def test_levels_in_peoples_units_are_stated_where_replies_are_labelled(table):
    rng = np.random.default_rng(0)
    j, each = table.index("humor"), int(table.candidates[0])
    labels = [
        Label(table.prompt_ids[row // each], row % each, {"humor": int(table.rewards[row, j] > rng.normal(2, 1))})
        for row in range(0, len(table.rewards), 3)
    ]
    assert "Measured by people" not in reports.html(report_of(table, {"humor": 58.0}))
    report = report_of(table, {"humor": 58.0}, labels=labels)
    humor = reports.as_dict(report)["people"]["humor"]
    assert humor["palette"]["low"] < humor["palette"]["share"] < humor["palette"]["high"]
    assert humor["palette"]["share"] > humor["base"]["share"]
    assert "Measured by people" in reports.html(report)
