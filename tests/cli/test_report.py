"""Tests of the command ``report`` and of the snippets of a report: they run and give the same weights."""

from __future__ import annotations

import json
import shlex
import subprocess
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest

from map_core import interface
from map_core import report as reports
from map_core.cli import command_line, main
from map_core.core.types import Form
from map_core.data.reward_table import RewardTable
from map_core.data.table_format import load, save
from map_core.palettes.palette import ALL, Palette, Target
from map_core.report import Report, ReportOptions, compute_report
from tests.tables import make_table

VALUES = ("diversity", "harmlessness", "humor", "positivity")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    table_path = tmp_path / "a table.parquet"
    save(make_table(prompts=20, candidates=32, values=VALUES, seed=5), table_path)
    return table_path


def report_of(path: Path, targets: dict[str, Target], use_case: str = "Customer support", **changes) -> Report:
    """Compute the report of a palette on the table in a file."""
    options = {"wanted": ReportOptions(draws=0, samples=0, figures=False)} | changes
    palette = Palette(use_case, targets)
    return compute_report(load(path), palette, date=datetime.now(UTC), shown_table=str(path), **options)


def shell_arguments(snippet: str) -> list[str]:
    """Return the arguments of a command as a shell passes them to the program."""
    shell = f"python() {{ printf '%s\\0' \"$@\"; }}\n{snippet}"
    output = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True).stdout
    arguments = output.split("\0")[:-1]
    assert arguments[:2] == ["-m", "map_core"]
    return arguments[2:]


def snippet_text(report: Report, name: str) -> str:
    return next(part.text for part in reports.snippets(report) if part.name == name)


def parse_arguments(arguments: list[str]) -> dict:
    """Parse the arguments of a command without running it."""
    name, *options = arguments
    with click.Context(command_line) as context:
        command = command_line.get_command(context, name)
        assert command is not None
        return command.make_context(name, options).params


def test_report_document_and_data(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out, archive = tmp_path / "r.html", tmp_path / "r.zip"
    arguments = [str(path), "--target", "humor=p60", "--target", "diversity=p55", "--name", "Calm", "--draws", "40"]
    assert main(["report", *arguments, "--out", str(out), "--csv", str(archive), "--json"]) == 0
    captured = capsys.readouterr()
    data = json.loads(captured.out)
    assert data["name"] == "Calm"
    assert data["verdict"] == "reachable"
    document = out.read_text(encoding="utf-8")
    assert document.startswith("<!DOCTYPE html>")
    assert "Calm" in document
    assert f"{data['cost']['kl_nats']:.3f} nats" in document
    assert "palette.csv" in zipfile.ZipFile(archive).namelist()
    assert "r.html" in captured.err
    assert main(["solve", *arguments[:5], "--json"]) == 0
    solved = json.loads(capsys.readouterr().out)
    assert {name: data["weights"].get(name, 0.0) for name in VALUES} == pytest.approx(solved["weights"])


def test_one_document_per_line_of_a_targets_file(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    palettes = tmp_path / "palettes.jsonl"
    palettes.write_text('{"name": "One", "targets": {"humor": "p60"}}\n{"targets": {"humor": "p55"}}\n')
    out = tmp_path / "r.html"
    options = ["--draws", "20", "--samples", "0"]
    assert main(["report", str(path), "--targets-file", str(palettes), "--out", str(out), *options]) == 0
    assert "One" in (tmp_path / "r-1.html").read_text(encoding="utf-8")
    assert (tmp_path / "r-2.html").exists()
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "humor=p60"], "at least one of --out"),
        (["--json"], "Give targets"),
        (["--target", "humour=p60", "--json"], "Unknown value 'humour'"),
        (["--target", "humor=p60", "--lock", "diversity", "--json"], "has no target to keep"),
        (["--target", "humor=p60", "--lock", "kind", "--json"], "--lock: Unknown value"),
        (["--target", "humor=p60", "--draws", "3", "--json"], "--draws"),
        (["--target", "humor=p60", "--use-case", "Nowhere", "--json"], "Unknown use case"),
        (["--target", "humor=p60", "--study", "none.json", "--json"], "holds no study"),
        (["--target", "humor=p60", "--draws", "20", "--out", "/proc/none/r.html"], "cannot be written"),
    ],
)
def test_errors_are_one_message(path: Path, arguments, message, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(path), *arguments]) in (1, 2)
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not captured.out


@pytest.mark.parametrize("form", [None, Form.POOLED])
def test_the_solve_snippet_gives_the_same_weights(path: Path, form, capsys: pytest.CaptureFixture[str]):
    report = report_of(path, {"humor": Target(61.5), "diversity": Target(50.0, keep=True)}, form=form)
    assert main([*shell_arguments(snippet_text(report, "solve")), "--json"]) == 0
    solved = json.loads(capsys.readouterr().out)
    weights = json.loads(snippet_text(report, "weights"))
    assert solved["verdict"] == weights["verdict"]
    assert solved["kl"] == pytest.approx(weights["kl_nats"], abs=1e-9)
    assert {n: w for n, w in solved["weights"].items() if w > 1e-6} == pytest.approx(weights["weights"], rel=1e-6)
    assert weights["form"] == solved["form"]


def test_report_snippet_reproduces_the_report(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    targets = {"humor": Target(88.0, locked=True), "harmlessness": Target(92.0)}
    first = report_of(path, targets, name="It's <ours>", wanted=ReportOptions(draws=40, samples=2, seed=3))
    arguments = shell_arguments(snippet_text(first, "report"))
    arguments[arguments.index("--out") + 1] = str(tmp_path / "again.html")
    assert main([*arguments, "--json"]) == 0
    reproduced, original = json.loads(capsys.readouterr().out), reports.as_dict(first)
    for key in ("name", "verdict", "weights", "cost", "confidence", "samples", "conflict", "nearest", "use_case"):
        assert reproduced[key] == original[key], key
    assert "It&#39;s &lt;ours&gt;" in (tmp_path / "again.html").read_text(encoding="utf-8")


def test_generate_and_serve_snippets_are_valid_commands(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    report = report_of(path, {"humor": Target(62.0), "diversity": Target(60.0)}, name="Support 'one'")
    options = parse_arguments(shell_arguments(snippet_text(report, "generate")))
    weights = reports.as_dict(report)["weights"]
    assert {n: float(w) for n, w in (word.split("=") for word in options["weights"])} == weights
    sampling_names = ("candidates", "temperature", "top_k", "max_new_tokens")
    assert [options[name] for name in sampling_names] == [32, 1.0, 50, 16]
    assert options["prompt"] == report.table.prompts[0]
    write_command, serve_command = snippet_text(report, "serve").split("\n", 1)
    command_words = shlex.split(write_command)
    assert (command_words[0], command_words[3]) == ("printf", ">")
    monkeypatch.chdir(tmp_path)
    Path(command_words[4]).write_text(command_words[2] + "\n")
    options = parse_arguments(shell_arguments(serve_command))
    assert options["use_case"] == "Customer support"
    from map_core.cli.inputs import open_table, read_palettes

    _, (palette,) = read_palettes(open_table(path, options["use_case"], options["form"]), (), options["palettes"])
    assert palette.targets == pytest.approx(report.assessment.targets, nan_ok=True)
    assert palette.record["name"] == "Support 'one'"


def test_trainer_snippet_computes_weights_and_rewards(path: Path):
    report = report_of(path, {"diversity": Target(58.0), "positivity": Target(60.0)})
    weights = reports.as_dict(report)["weights"]
    assert set(weights) == {"diversity", "positivity"}
    text = snippet_text(report, "trainer")
    assert "beta=1.0" in text
    scope: dict = {"__name__": "snippet"}
    exec(compile(text, "trainer.py", "exec"), scope)
    prompts, completions = ["How are you?"] * 2, ["I am very happy today, thank you.", "no no no no"]
    from map_core.core.types import Reply
    from map_core.scoring import scorers

    assert weights == scope["WEIGHTS"]
    assert list(scope["REWARDS"]) == list(weights)
    chat = [[{"role": "user", "content": prompt}] for prompt in prompts]
    chats = [[{"role": "assistant", "content": text}] for text in completions]
    for scorer in scorers(list(weights)):
        expected = [scorer.score("How are you?", [Reply(text)])[0] for text in completions]
        reward = scope["REWARDS"][scorer.name]
        assert reward(prompts, completions) == pytest.approx(expected)
        assert reward(chat, chats, completion_ids=[[1], [2]], column=[1, 2]) == pytest.approx(expected)


def test_trainer_snippet_has_a_stub_for_values_without_a_scorer(path: Path, tmp_path: Path):
    table = load(path)
    custom_table = RewardTable(
        values=("house\nstyle", "helpfulness", "humor", "positivity"),
        rewards=table.rewards,
        offsets=table.offsets,
        prompt_ids=table.prompt_ids,
        prompts=table.prompts,
        use_cases=table.use_cases,
        metadata={"model": {"name": "ours"}},
    )
    table_path = tmp_path / "own.parquet"
    save(custom_table, table_path)
    report = report_of(table_path, {"house\nstyle": Target(60.0), "helpfulness": Target(55.0)})
    names = [part.name for part in reports.snippets(report)]
    assert "generate" not in names
    text = snippet_text(report, "trainer")
    compile(text, "trainer.py", "exec")
    assert "MODEL = 'ours'" in text
    assert "vp.reward_functions(['helpfulness'], table=TABLE, model=MODEL)" in text
    assert "def house_style(prompts, completions, **columns):" in text
    assert "REWARDS['house\\nstyle'] = house_style" in text


def test_report_lists_the_targets_found_by_choosing() -> None:
    """Choices prefer the longer reply; one target of the palette found in this way is then changed."""
    table = interface.load_table()
    choices: list[dict[str, Any]] = []
    for _ in range(10):
        pair = table.choose(choices)["next"]
        first, second = pair["replies"]
        choices.append(pair | {"answer": "first" if len(first) > len(second) else "second"})
    targets = table.choose(choices)["targets"]
    assert len(targets) >= 2
    changed, *unchanged = targets
    palette_targets = {
        name: Target(50.0, level if name != changed else table.base[name]) for name, level in targets.items()
    }
    palette = Palette(ALL, palette_targets, {f"{table.values[0]}>=p20": 0.85})
    options = ReportOptions(draws=0, samples=0, figures=False)
    report = compute_report(table.rewards, palette, date=datetime.now(UTC), wanted=options, choices=choices)
    choosing = reports.as_dict(report)["choosing"]
    assert choosing["still"] == unchanged
    assert (choosing["choices"], choosing["targets"]) == (10, pytest.approx(targets))
    text = reports.html(report)
    assert "Found by choosing" in text
    assert "from 10 choices between two replies" in text
    assert f"{changed.replace('_', ' ').capitalize()} has been changed since." in text
    # A palette of own targets is not attributed to the choices.
    own_palette = Palette(ALL, {changed: palette_targets[changed]})
    report = compute_report(table.rewards, own_palette, date=datetime.now(UTC), wanted=options, choices=choices)
    assert reports.as_dict(report)["choosing"] is None
