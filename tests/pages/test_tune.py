"""Tests of the page Tune: the command that it starts, and the owner of the model."""

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
    table = make_table(prompts=16, candidates=8, seed=5)
    file_columns = table.values[:file_values]
    table_format.save(table if file_values is None else replace(table.reordered(file_columns)), path)
    return tune_command(palette, "what was set", path, table, TuningSettings(**settings), "tiny")


def test_command_is_accepted_by_tune(tmp_path: Path):
    wanted = command(tmp_path, asked(), method=TuningMethod.DISTILL, steps=7)
    assert wanted.arguments[0] == "tune"
    option_names = [argument.partition("=")[0] for argument in wanted.arguments[1:] if argument.startswith("--")]
    options = {name for option in tune_options.params for name in option.opts}
    assert set(option_names) <= options
    assert option_names[-1] == ESTIMATE
    assert {"--method=distill", "--steps=7"} <= set(wanted.arguments)
    targets = json.loads(wanted.inputs["targets.jsonl"])["targets"]
    name = asked().scene.table.values[0]
    assert targets == {name: pytest.approx(asked_levels(asked())[name])}
    grid = wanted.about["grids"][name]
    assert grid == sorted(grid)
    json.dumps(wanted.about)


def test_repeating_uses_rounds_where_there_are_targets(tmp_path: Path):
    path = tmp_path / "table.parquet"
    table = make_table(prompts=16, candidates=8, seed=5)
    table_format.save(table, path)

    def given(palette: AssessedPalette, repeated: bool) -> list[str]:
        wanted = tune_command(palette, "what was set", path, table, TuningSettings(), "tiny", repeated)
        return [argument for argument in wanted.arguments if argument.startswith("--rounds")]

    nothing = np.full(len(table.values), np.nan)
    assert given(asked(), True) == [f"--rounds={ROUNDS}"]
    assert given(asked(), False) == given(asked(nothing), True) == []


def test_nearest_targets_are_tuned_where_targets_are_out_of_reach(tmp_path: Path):
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
    adjusted = palette.with_target("helpfulness", Target(90.0, level))
    resolved = aim(table, scene.oracle, adjusted)
    assert assess(resolved.oracle, resolved.standardised(adjusted)).verdict is not Verdict.OUT_OF_REACH


def test_demands_beside_averages_are_tuned_too(tmp_path: Path):
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
    # A custom value may occur only in demands beside averages; the file does not have it.
    copied = command(tmp_path, asked(beside=Beside(no_worse_tail=(second,))), file_values=1)
    copied.inputs["table.parquet"].unlink()


def test_demands_on_cohorts_are_refused_before_the_start():
    assert "some prompts alone" in refusal(asked(beside=Beside(no_cohort_below_base="use_case")))
    nothing = asked(np.full(len(asked().scene.table.values), np.nan))
    assert "nothing to tune" in refusal(replace(nothing, palette=Palette()))


def test_added_value_is_written_to_a_copy_of_the_table(tmp_path: Path):
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
    """Replace ``python -m map_core`` by a command that reports success at once."""
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


def test_tuning_shows_its_estimate_and_continues_on_confirmation(ends_at_once):
    tables = VisitorCatalog(ANN)
    arguments = ("tune", "t.parquet", "--out", "{out}", "--progress-file", "{progress}", ESTIMATE)
    tables.start("Mine", TUNE, arguments, {"palette": "x"})
    job = wait("Mine")
    assert ESTIMATE in job.options
    with pytest.raises(InputError, match="being made already"):
        tables.start("Mine", TUNE, arguments, {})
    tables.answer("Mine", {ESTIMATE: None})
    assert ESTIMATE not in wait("Mine").options
    # The folder of the model is below the tables.
    assert json.loads((jobs.job_folder("Mine") / "request.json").read_text())["kind"] == TUNE
    assert jobs.out_of("Mine", TUNE) == tuned_folder("Mine")


def test_names_are_unique_among_tables_and_models():
    finish("Kind")
    assert processes.free_name("Kind") == "Kind 2"
    with pytest.raises(InputError, match="There is a tuned model 'Kind' already"):
        processes.start("Kind", "build", (), {})


def test_discarding_deletes_unfinished_models_only(ends_at_once):
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


def test_model_is_visible_to_and_deleted_by_its_owner(ends_at_once):
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


def test_missing_libraries_are_shown_with_one_command(app, monkeypatch):
    monkeypatch.setattr(generator, "missing_model", lambda scene: None)
    monkeypatch.setattr(form, "LIBRARIES", ("no_such_library",))
    page = AppTest.from_file(APP, default_timeout=60).run().switch_page("tune.py").run()
    assert not page.exception
    assert [code.value for code in page.code] == [form.INSTALL]
    assert "tune_go" not in {button.key for button in page.button}


def test_table_with_imported_scores_is_refused(tmp_path, monkeypatch):
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


def test_card_of_an_unchecked_model_has_the_command(app, ends_at_once):
    finish("Kind one")
    record = {"format": 1, "model": {"name": "tiny"}, "palette": {}}
    (tuned_folder("Kind one") / RECORD).write_text(json.dumps(record))
    page = AppTest.from_file(APP, default_timeout=60).run().switch_page("tune.py").run()
    assert not page.exception
    assert "python -m map_core verify --model 'Kind one'" in [code.value for code in page.code]
    assert any("has not been checked" in part.proto.body for part in page.get("html"))


def test_names_cannot_leave_the_folder():
    for name in ("../kept", "a/b", "", ".", "x\ny"):
        assert find_tuned(name) is None


def test_listen_offers_tuned_models_of_the_tables_model(ends_at_once):
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
