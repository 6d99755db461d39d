"""Tables and builds of two people: each sees, ends and deletes their own, and nothing of the other's leaks."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from map_core import catalog
from map_core.access import LOCAL, Role, Visibility, Visitor
from map_core.catalog import VisitorCatalog, access_of, jobs, processes
from map_core.core.child_process import ProcessIdentity
from map_core.data import table_format
from map_core.errors import AccessError, InputError
from tests import ROOT
from tests.tables import make_table

ANN = Visitor("id|ann", "Ann", Role.MEMBER)
BEN = Visitor("id|ben", "Ben", Role.MEMBER)
GUEST = Visitor("id|gus", "Gus", Role.GUEST)
NOBODY = Visitor("", "", Role.GUEST)
CHIEF = Visitor("id|chief", "Chief", Role.OPERATOR)
OTHERS = (BEN, GUEST, NOBODY, LOCAL)


@pytest.fixture(autouse=True)
def _a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.SETTING, str(tmp_path))

    def begin(package, arguments, log, niceness):
        return ProcessIdentity.from_dict({}) or _Nothing()

    monkeypatch.setattr(processes, "start_detached", begin)


class _Nothing:
    """A process that has ended before it did anything."""

    def as_dict(self) -> dict[str, object]:
        return {}


def names(of: VisitorCatalog) -> list[str]:
    return [entry.name for entry in of.list_tables()]


def make(name: str, **options: object) -> None:
    """Ann begins an import, which makes the table at once."""
    VisitorCatalog(ANN).start(name, "import", ["import"], {"file": "a.csv"}, **options)
    table_format.save(make_table(prompts=4, candidates=4), catalog.path_of(name))


@pytest.mark.parametrize("visibility", Visibility)
@pytest.mark.parametrize("other", OTHERS, ids=lambda who: who.name or who.role.value)
def test_a_table_and_its_build(other: Visitor, visibility: Visibility):
    make("Mine", visibility=visibility)
    mine, theirs = VisitorCatalog(ANN), VisitorCatalog(other)
    seen = visibility is Visibility.EVERYONE
    assert names(mine) == ["Mine"]
    assert names(theirs) == ["Mine"] * seen
    assert [job.name for job in theirs.list_jobs()] == ["Mine"] * seen
    if not seen:
        with pytest.raises(AccessError, match="no such table, or it is not shared with you"):
            theirs.path_of("Mine")
    changes: list[Callable[[], object]] = [
        lambda: theirs.stop("Mine"),
        lambda: theirs.resume("Mine"),
        lambda: theirs.answer("Mine", {}),
        lambda: theirs.discard("Mine"),
        lambda: theirs.delete("Mine"),
        lambda: theirs.share("Mine", Visibility.EVERYONE),
    ]
    for change in changes:
        with pytest.raises(AccessError):
            change()
    with pytest.raises(InputError):  # the name is taken, whoever asks, or they may not begin at all
        theirs.start("Mine", "import", [], {})
    assert access_of("Mine").owner == ANN.id, "who tries does not get it"
    mine.discard("Mine")
    assert access_of("Mine").owner == ANN.id, "the table is there and stays hers"
    mine.delete("Mine")
    assert access_of("Mine").owner == ""
    assert names(mine) == []


def test_every_action_is_in_the_matrix():
    tuned = ROOT / "tests" / "pages" / "test_tune.py"
    written = Path(__file__).read_text(encoding="utf-8") + tuned.read_text(encoding="utf-8")
    actions = [name for name in vars(VisitorCatalog) if not name.startswith("_")]
    assert {"path_of", "delete_tuned"} <= set(actions)
    assert [name for name in actions if f".{name}(" not in written] == []


def test_a_table_shared_by_link():
    make("Mine")
    link = VisitorCatalog(ANN).share("Mine", Visibility.LINK).link
    for who in OTHERS:
        assert VisitorCatalog(who).path_of("Mine", link) == catalog.path_of("Mine")
        assert names(VisitorCatalog(who)) == []
        for wrong in ("", link[:-1], "\N{SNOWMAN}"):
            with pytest.raises(AccessError):
                VisitorCatalog(who).path_of("Mine", wrong)
    make("At once", visibility=Visibility.LINK)
    assert VisitorCatalog(BEN).path_of("At once", access_of("At once").link)
    VisitorCatalog(ANN).share("Mine", Visibility.PRIVATE)
    with pytest.raises(AccessError):
        VisitorCatalog(BEN).path_of("Mine", link)


def test_the_operator_ends_and_deletes_what_is_anybodys():
    make("Mine")
    VisitorCatalog(CHIEF).stop("Mine")
    VisitorCatalog(CHIEF).delete("Mine")
    assert names(VisitorCatalog(ANN)) == []


def test_what_was_there_belongs_to_everybody():
    table_format.save(make_table(prompts=4, candidates=4), catalog.path_of("Old"))
    for who in (ANN, BEN, GUEST, NOBODY, LOCAL):
        assert names(VisitorCatalog(who)) == ["Old"]
    with pytest.raises(AccessError):
        VisitorCatalog(GUEST).delete("Old")
    VisitorCatalog(LOCAL).delete("Old")


@pytest.mark.parametrize("kind", ["build", "extend", "import"])
@pytest.mark.parametrize("who", [GUEST, NOBODY], ids=["known", "unknown"])
def test_guests_start_nothing(who: Visitor, kind: str):
    with pytest.raises(AccessError, match="that takes a member"):
        VisitorCatalog(who).start("Theirs", kind, [], {})
    assert not jobs.job_folder("Theirs").exists()


def test_without_a_login_nothing_is_owned():
    VisitorCatalog(LOCAL).start("Ours", "import", ["import"], {"file": "a.csv"})
    assert access_of("Ours").owner == ""
    assert not list(catalog.folder().glob(".access/*"))


@pytest.mark.parametrize("content", ["", "{}", '{"owner": "a"}', "[", '{"owner":"a","owner_name":"","visibility":"x"}'])
def test_a_file_that_cannot_be_read_opens_nothing(content: str):
    make("Mine", visibility=Visibility.EVERYONE)
    (catalog.folder() / ".access" / "Mine.json").write_text(content)
    assert names(VisitorCatalog(BEN)) == []
    with pytest.raises(AccessError, match="cannot be read, so it is closed"):
        VisitorCatalog(BEN).delete("Mine")


#: What a page calls in the name of its visitor only.
GUARDED = {"list_tables", "delete", "list_jobs", "start", "resume", "answer", "stop", "discard"}


def test_pages_use_the_catalog_and_the_database_in_the_name_of_their_visitor():
    leaks = []
    for path in sorted([*(ROOT / "pages").rglob("*.py"), ROOT / "app.py"]):
        if path.name == "account.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            guarded = isinstance(node, ast.Attribute) and node.attr in GUARDED
            if guarded and ast.unparse(node).partition(".")[0] in ("catalog", "processes"):
                leaks.append(f"{path}:{node.lineno}")
            if isinstance(node, ast.ImportFrom) and node.module in ("map_core.store", "map_core.store.database"):
                leaks += [f"{path}:{node.lineno}" for name in node.names if name.name in ("database", "open_database")]
    assert not leaks, f"these reach past pages/view/shell/account.py: {leaks}"


def test_a_name_that_is_free_again_is_the_next_ones():
    make("Mine", visibility=Visibility.EVERYONE)
    processes.discard("Mine")
    catalog.path_of("Mine").unlink()  # by hand, outside the app
    VisitorCatalog(BEN).start("Mine", "import", ["import"], {"file": "b.csv"})
    assert (access_of("Mine").owner, access_of("Mine").visibility) == (BEN.id, Visibility.PRIVATE)
