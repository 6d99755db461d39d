"""Tests of messages on pages: they name buttons and boxes of the pages, and no option of the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from map_core.building.reply_counts import ReplyCounts
from map_core.core import remedies
from map_core.core.file_lock import lock
from map_core.data import table_format
from map_core.data.prompts import read_prompts
from map_core.errors import InputError
from map_core.models import endpoint
from map_core.scoring import Specification, resolve
from map_core.text.tuning import ROUTES
from map_core.tuning.examples import check_table
from pages.view.shell import page_words
from tests import ROOT
from tests.tables import make_table

#: Words that only the command line, a shell or an operator knows.
FOREIGN = re.compile(r"(?<![\w-])--[a-z]|`|python -m|\bpip \b|VALUE_PALETTE_|same command")
#: Packages whose messages reach pages by the commands that pages start, and modules in them with other messages.
PACKAGES = ("core", "data", "building", "tuning", "scoring")
NOT_ON_PAGES = {
    "core/remedies.py": "what pages say otherwise",
    "core/process_limits.py": "settings, for whoever runs the app",
    "core/limits.py": "settings, for whoever runs the app",
    "core/assets.py": "settings, for whoever runs the app",
    "data/importing/column_roles.py": "Tables checks first that values are chosen",
    "data/importing/scan.py": "Tables always says which column has weights, so none is guessed",
    "data/importing/layouts/advice.py": "files of other programs, with code for whoever can turn them into a table",
    "building/batch_answers.py": "batches of prompts are answered at the command line alone",
    "building/ray_workers.py": "Ray clusters are used at the command line alone",
    "building/scorer_host.py": "scorers that are written in Python",
    "building/reply_counts.py": "inserted into a remedy",
    "scoring/judge.py": "a table alone may not have a judge called",
    "scoring/served.py": "a table alone may not have a server called",
    "scoring/score_server.py": "what is installed, for whoever runs the app",
    "scoring/sequence_model.py": "what is installed, for whoever runs the app",
    "tuning/card.py": "the card file in a tuned model's folder",
    "tuning/check.py": "fresh replies of one's own, at the command line alone",
    "tuning/estimate.py": "Tune trains no whole model",
    "tuning/folder.py": "Tune lists finished models alone",
    "tuning/mixtures.py": "pages offer only models that can be mixed",
    "tuning/policy.py": "Tune does not choose blocks",
    "tuning/request.py": "Tune checks first that the libraries are there",
    "tuning/rewards.py": "Python",
    "tuning/rounds.py": "options that Tune always gives, and a note that its cards do not draw",
    "tuning/run.py": "a note that cards of tuned models do not draw",
    "tuning/sampling.py": "a note that cards of tuned models do not draw",
    "tuning/settings.py": "Tune trains no whole model",
}


def constants(path: Path) -> Iterator[tuple[int, str]]:
    """Return every string of a module that is no docstring, with its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.lineno, node.value


def test_messages_on_pages_take_options_from_the_remedies():
    problems = [
        f"{name}:{line}: {text.strip()[:90]}"
        for package in PACKAGES
        for path in sorted((ROOT / "map_core" / package).rglob("*.py"))
        if not (name := str(path.relative_to(ROOT / "map_core"))).startswith(tuple(NOT_ON_PAGES))
        for line, text in constants(path)
        if FOREIGN.search(text) and len(text.split()) > 2
    ]
    assert not problems, "\n".join(problems)


def test_exceptions_exist():
    assert [name for name in NOT_ON_PAGES if not (ROOT / "map_core" / name).exists()] == []


def test_every_remedy_has_words_for_pages():
    assert set(page_words.WORDS) == set(remedies.ALL)
    assert not [words for words in page_words.WORDS.values() if FOREIGN.search(words)]


@pytest.mark.parametrize("remedy", remedies.ALL, ids=lambda remedy: remedy.words[:30])
def test_remedy_is_replaced_anywhere_in_a_message(remedy: remedies.Remedy):
    message = f"Row 3 is odd: {remedy.of('a.b, (c)')} What was made is kept."
    text = page_words.of(InputError(message))
    assert not FOREIGN.search(text)
    assert text.startswith("Row 3 is odd:") or remedy is remedies.SYSTEM_MESSAGE
    assert text.endswith("What was made is kept.")


def test_pages_draw_no_raw_message():
    allowed = {
        "pages/view/shell/page_words.py",
        "pages/view/shell/settings_check.py",  # the server's log
        "pages/view/shell/server_limits.py",  # the response to an upload, which names no option
        "pages/view/compare/generator.py",  # split there, and drawn by compare.py
        "pages/view/session/scene.py",  # for the operator who set the table
    }
    violations = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "pages").rglob("*.py")
        if re.search(r"\bstr\((job\.)?error\)", path.read_text(encoding="utf-8"))
    }
    assert violations <= allowed


def test_labels_in_remedies_are_on_the_pages():
    drawn = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "pages").rglob("*.py"))
    drawn += "\n".join(title for title, *_ in ROUTES.values())
    for words in page_words.WORDS.values():
        for label in re.findall("“(.*?)”", words):
            assert label in drawn, label


def messages(tmp_path: Path) -> Iterator[str]:
    """Yield real messages as they are raised."""
    table = make_table(prompts=4, candidates=4)

    def raised(call) -> str:
        with pytest.raises(InputError) as error:
            call()
        return str(error.value)

    yield raised(lambda: check_table(replace(table, tokens=None)))
    yield raised(lambda: resolve(["tact"], {"tact": Specification("tact", "judge", {})}))
    yield raised(lambda: endpoint.check_callable("m@http://elsewhere.example/v1"))
    yield raised(lambda: table_format.load(tmp_path / "gone.parquet"))
    chats = tmp_path / "p.jsonl"
    chats.write_text('{"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]}\n')
    yield raised(lambda: read_prompts(chats))
    with lock(tmp_path / "t.parquet"):
        yield raised(lambda: lock(tmp_path / "t.parquet").__enter__())
    yield from ReplyCounts(replies=9, thinking=3, unanswered=2).remarks(on_server=True)
    yield from ReplyCounts(replies=9, thinking=3, unanswered=2).remarks(on_server=False)


def test_real_messages_in_the_words_of_a_page(tmp_path: Path):
    texts = list(messages(tmp_path))
    with_options = [message for message in texts if FOREIGN.search(message)]
    assert len(with_options) >= 7
    for message in texts:
        assert not FOREIGN.search(page_words.of(message)), page_words.of(message)
        print(page_words.of(message))
