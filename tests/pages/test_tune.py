"""The page Tune: the command that it starts, and whose model it is."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from map_core import catalog
from map_core.access import Action, Kind, Role, Visibility, Visitor
from map_core.catalog import VisitorCatalog, jobs, processes
from map_core.catalog.jobs import TUNE, TableJobState
from map_core.cli.inputs import open_table, read_palettes
from map_core.cli.tune import tune as tune_options
from map_core.core import child_process
from map_core.core.types import Verdict
from map_core.data import table_format
from map_core.data.table_format import load
from map_core.errors import AccessError, InputError
from map_core.feasibility import assess
from map_core.feasibility.aim import aim, read_demands
from map_core.models.tuned import RECORD, find_tuned, tuned_folder
from map_core.oracle import MemoryOracle
from map_core.palettes.beside import Beside
from map_core.palettes.palette import Palette, Target
from map_core.tuning.settings import TuningMethod, TuningSettings
from pages.view.compare import generator
from pages.view.session import aimed_scene
from pages.view.session.palette_cache import AssessedPalette
from pages.view.session.scene import Scene
from pages.view.tune import form
from pages.view.tune.command import ESTIMATE, ROUNDS, asked_levels, refusal, tune_command
from tests.pages.app_script import APP
from tests.tables import make_table

ANN, BEN = Visitor("ann", "Ann", Role.MEMBER), Visitor("ben", "Ben", Role.MEMBER)
GUEST = Visitor("", "", Role.GUEST)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.SETTING, str(tmp_path / "kept"))


def asked(
    targets: np.ndarray | None = None, use_case: str | None = None, beside: Beside | None = None
) -> AssessedPalette:
    table = make_table(prompts=16, candidates=8, seed=5).select(use_case)
    oracle = MemoryOracle.of(table)
    scene = Scene(("made", 0.0, use_case, "per prompt"), table, oracle, table.values, table.values)
    wanted = np.full(len(table.values), np.nan)
    wanted[0] = 0.3
    wanted = wanted if targets is None else targets
    palette = Palette(
        targets={name: Target(60.0, free=j > 0) for j, name in enumerate(table.values)}, beside=beside or Beside()
    )
    return AssessedPalette(scene, palette, scene.assess(wanted))


def command(tmp_path: Path, palette: AssessedPalette, file_values: int | None = None, **settings):
    path = tmp_path / "table.parquet"
    whole = make_table(prompts=16, candidates=8, seed=5)
    kept = whole.values[:file_values]
    table_format.save(whole if file_values is None else replace(whole.reordered(kept)), path)
    return tune_command(palette, "what was set", path, whole, TuningSettings(**settings), "tiny")


def test_the_command_is_one_that_tune_takes(tmp_path: Path):
    wanted = command(tmp_path, asked(), method=TuningMethod.DISTILL, steps=7)
    assert wanted.arguments[0] == "tune"
    given = [argument.partition("=")[0] for argument in wanted.arguments[1:] if argument.startswith("--")]
    options = {name for option in tune_options.params for name in option.opts}
    assert set(given) <= options
    assert given[-1] == ESTIMATE
    assert {"--method=distill", "--steps=7"} <= set(wanted.arguments)
    targets = json.loads(wanted.inputs["targets.jsonl"])["targets"]
    name = asked().scene.table.values[0]
    assert targets == {name: pytest.approx(asked_levels(asked())[name])}
    grid = wanted.about["grids"][name]
    assert grid == sorted(grid)
    json.dumps(wanted.about)


def test_repeating_asks_for_rounds_where_there_are_targets_to_hold(tmp_path: Path):
    path = tmp_path / "table.parquet"
    whole = make_table(prompts=16, candidates=8, seed=5)
    table_format.save(whole, path)

    def given(palette: AssessedPalette, repeated: bool) -> list[str]:
        wanted = tune_command(palette, "what was set", path, whole, TuningSettings(), "tiny", repeated)
        return [argument for argument in wanted.arguments if argument.startswith("--rounds")]

    nothing = np.full(len(whole.values), np.nan)
    assert given(asked(), True) == [f"--rounds={ROUNDS}"]
    assert given(asked(), False) == given(asked(nothing), True) == []


def test_where_targets_are_out_of_reach_the_nearest_are_tuned(tmp_path: Path):
    far = np.full(len(asked().scene.table.values), np.nan)
    far[:2] = 50.0
    palette = asked(far)
    nearest = palette.scene.oracle.rewards_at(palette.assessment.nearest.targets)
    assert list(asked_levels(palette).values()) == pytest.approx(nearest[:2].tolist())


def test_the_nearest_targets_leave_further_scorers_room():
    table = make_table()
    free = Palette(targets={name: Target(50.0, free=True) for name in table.values})
    palette = replace(free.with_target("helpfulness", Target(95.0)), beside=Beside(every_scorer=("helpfulness=humor",)))
    scene = Scene(("made", 0.0, None, "per prompt"), table, MemoryOracle.of(table), table.values, table.values)
    counted = aimed_scene.counted(scene, palette)
    far = AssessedPalette(scene, palette, counted.assess(counted.aim.standardised(palette)))
    assert far.assessment.verdict is Verdict.OUT_OF_REACH
    level = asked_levels(far)["helpfulness"]
    assert level < scene.oracle.rewards_at(far.assessment.nearest.targets[:4])[0], "lowered for its scorers"
    taken = palette.with_target("helpfulness", Target(90.0, level))
    again = aim(table, scene.oracle, taken)
    assert assess(again.oracle, again.standardised(taken)).verdict is not Verdict.OUT_OF_REACH


def test_what_is_asked_beside_averages_is_tuned_too(tmp_path: Path):
    first, second = asked().scene.table.values[:2]
    beside = Beside((first,), (f"{second}:25%=p10",), 0.02, None, (f"{first}={second}",))
    palette = asked(beside=beside)
    wanted = command(tmp_path, palette)
    (tmp_path / "targets.jsonl").write_bytes(wanted.inputs["targets.jsonl"])
    opened = open_table(tmp_path / "table.parquet", None, None)
    _, (read,) = read_palettes(opened, (), tmp_path / "targets.jsonl")
    assert read.demands == read_demands(beside, opened.table, opened.oracle)
    assert read.demands.mix == 0.02
    assert refusal(palette) == ""
    # A value of one's own may be meant beside the averages alone; the file does not have it.
    copied = command(tmp_path, asked(beside=Beside(no_worse_tail=(second,))), file_values=1)
    copied.inputs["table.parquet"].unlink()


def test_what_holds_for_some_prompts_alone_is_refused_before_it_starts():
    assert "some prompts alone" in refusal(asked(beside=Beside(no_cohort_below_base="use_case")))
    nothing = asked(np.full(len(asked().scene.table.values), np.nan))
    assert "nothing to tune" in refusal(replace(nothing, palette=Palette()))


def test_a_value_that_the_file_does_not_have_comes_in_a_copy(tmp_path: Path):
    wide = np.full(len(asked().scene.table.values), np.nan)
    wide[1] = 0.3
    wanted = command(tmp_path, asked(wide), file_values=1)
    assert wanted.arguments[1] == "{folder}/table.parquet"
    copy = wanted.inputs["table.parquet"]
    assert load(copy).values == asked().scene.table.values
    copy.unlink()
    assert "table.parquet" not in command(tmp_path, asked()).inputs


def finish(name: str) -> None:
    folder = tuned_folder(name)
    folder.mkdir(parents=True)
    (folder / RECORD).write_text("{}")


@pytest.fixture
def ends_at_once(monkeypatch):
    """``python -m map_core`` writes that it is done, and nothing else."""
    code = "import json, sys; json.dump({'state': 'done'}, open(sys.argv[sys.argv.index('--progress-file') + 1], 'w'))"
    monkeypatch.setattr(
        child_process,
        "python_command",
        lambda module, arguments: [__import__("sys").executable, "-c", code, *arguments],
    )


def wait(name: str) -> jobs.TableJob:
    for _ in range(200):
        if (job := jobs.status(name)).state is TableJobState.DONE:
            return job
        time.sleep(0.05)
    raise AssertionError(f"still {job}")


def test_it_starts_with_what_it_takes_and_goes_on_when_somebody_says_so(ends_at_once):
    tables = VisitorCatalog(ANN)
    arguments = ("tune", "t.parquet", "--out", "{out}", "--progress-file", "{progress}", ESTIMATE)
    tables.start("Mine", TUNE, arguments, {"palette": "x"})
    job = wait("Mine")
    assert ESTIMATE in job.options
    with pytest.raises(InputError, match="being made already"):
        tables.start("Mine", TUNE, arguments, {})
    tables.answer("Mine", {ESTIMATE: None})
    assert ESTIMATE not in wait("Mine").options
    # The folder is that of the model, below the tables.
    assert json.loads((jobs.job_folder("Mine") / "request.json").read_text())["kind"] == TUNE
    assert jobs.out_of("Mine", TUNE) == tuned_folder("Mine")


def test_a_name_is_one_of_a_table_or_of_a_model():
    finish("Kind")
    assert processes.free_name("Kind") == "Kind 2"
    with pytest.raises(InputError, match="There is a tuned model 'Kind' already"):
        processes.start("Kind", "build", (), {})


def test_giving_up_deletes_what_is_not_finished_and_keeps_what_is(ends_at_once):
    tables = VisitorCatalog(ANN)
    arguments = ("tune", "--progress-file", "{progress}")
    tables.start("Half", TUNE, arguments, {})
    wait("Half")
    tuned_folder("Half").mkdir()
    tables.discard("Half")
    assert not tuned_folder("Half").exists()
    tables.start("Whole", TUNE, arguments, {})
    wait("Whole")
    finish("Whole")
    tables.discard("Whole")
    assert tables.list_tuned() == ("Whole",)


def test_a_model_is_seen_and_deleted_by_whoever_made_it(ends_at_once):
    ann, ben = VisitorCatalog(ANN), VisitorCatalog(BEN)
    ann.start("Hers", TUNE, ("tune", "--progress-file", "{progress}"), {})
    wait("Hers")
    finish("Hers")
    assert (ann.list_tuned(), ben.list_tuned()) == (("Hers",), ())
    assert ann.tuned_folder("Hers") == find_tuned("Hers") == tuned_folder("Hers")
    with pytest.raises(InputError, match="not shared with you"):
        ben.tuned_folder("Hers")
    ann.share("Hers", Visibility.EVERYONE)
    assert ben.list_tuned() == ("Hers",)
    assert not ben.may(Action.DELETE, "Hers", Kind.BUILD)
    with pytest.raises(AccessError):
        ben.delete_tuned("Hers")
    ann.delete_tuned("Hers")
    assert ann.list_tuned() == ()
    assert not jobs.job_folder("Hers").exists()
    with pytest.raises(AccessError, match="cannot build tables or tune models"):
        VisitorCatalog(GUEST).start("No", TUNE, (), {})


def test_where_libraries_are_missing_the_page_says_the_one_command(app, monkeypatch):
    monkeypatch.setattr(generator, "missing_model", lambda scene: None)
    monkeypatch.setattr(form, "LIBRARIES", ("no_such_library",))
    page = AppTest.from_file(APP, default_timeout=60).run().switch_page("tune.py").run()
    assert not page.exception
    assert [code.value for code in page.code] == [form.INSTALL]
    assert "tune_go" not in {button.key for button in page.button}


def test_a_table_whose_scores_came_with_it_is_not_tuned_on(tmp_path, monkeypatch):
    table_format.save(make_table(prompts=8, candidates=4, values=("humor", "wit", "tact")), tmp_path / "table.parquet")
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(tmp_path / "table.parquet"))
    monkeypatch.setattr(generator, "missing_model", lambda scene: None)
    page = AppTest.from_file(APP, default_timeout=60).run().switch_page("tune.py").run()
    assert not page.exception
    assert [text.value for text in page.text] == [
        "New replies cannot be scored on wit and tact here, so no model can be tuned on this table. Their scores came "
        "with the table."
    ]
    assert "tune_go" not in {button.key for button in page.button}


def test_the_card_of_a_model_says_that_it_was_not_checked_and_has_the_command(app, ends_at_once):
    finish("Kind one")
    record = {"format": 1, "model": {"name": "tiny"}, "palette": {}}
    (tuned_folder("Kind one") / RECORD).write_text(json.dumps(record))
    page = AppTest.from_file(APP, default_timeout=60).run().switch_page("tune.py").run()
    assert not page.exception
    assert "python -m map_core verify --model 'Kind one'" in [code.value for code in page.code]
    assert any("has not been checked" in part.proto.body for part in page.get("html"))


def test_names_never_lead_out_of_the_folder():
    for name in ("../kept", "a/b", "", ".", "x\ny"):
        assert find_tuned(name) is None


def test_on_listen_a_tuned_model_is_offered_where_the_table_is_of_its_model(ends_at_once):
    from pages.view.compare import writer

    for name, sha256 in (("Kind", "aa"), ("Other", "bb")):
        finish(name)
        record = {"format": 1, "model": {"name": "tiny", "sha256": sha256}}
        (tuned_folder(name) / RECORD).write_text(json.dumps(record))
    scene = asked().scene
    known = replace(scene, table=replace(scene.table, metadata={"model": {"name": "tiny", "sha256": "aa"}}))
    assert writer.offered(known) == ("Kind",)
    by_name = replace(scene, table=replace(scene.table, metadata={"model": {"name": "tiny"}}))
    assert set(writer.offered(by_name)) == {"Kind", "Other"}
