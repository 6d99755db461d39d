"""Tests of the tables and builds of two people: each sees, stops and deletes their own; nothing leaks between them."""

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
    """A process that ended before it did anything."""

    def as_dict(self) -> dict[str, object]:
        return {}


def names(of: VisitorCatalog) -> list[str]:
    return [entry.name for entry in of.list_tables()]


def make(name: str, **options: object) -> None:
    """Start an import as Ann; the table is made at once."""
    VisitorCatalog(ANN).start(name, "import", ["import"], {"file": "a.csv"}, **options)
    table_format.save(make_table(prompts=4, candidates=4), catalog.path_of(name))


@pytest.mark.parametrize("visibility", Visibility)
@pytest.mark.parametrize("visitor", OTHERS, ids=lambda who: who.name or who.role.value)
def test_a_table_and_its_build(visitor: Visitor, visibility: Visibility):
    make("Mine", visibility=visibility)
    mine, catalog_of_visitor = VisitorCatalog(ANN), VisitorCatalog(visitor)
    visible = visibility is Visibility.EVERYONE
    assert names(mine) == ["Mine"]
    assert names(catalog_of_visitor) == ["Mine"] * visible
    assert [job.name for job in catalog_of_visitor.list_jobs()] == ["Mine"] * visible
    if not visible:
        with pytest.raises(AccessError, match="no such table, or it is not shared with you"):
            catalog_of_visitor.path_of("Mine")
    changes: list[Callable[[], object]] = [
        lambda: catalog_of_visitor.stop("Mine"),
        lambda: catalog_of_visitor.resume("Mine"),
        lambda: catalog_of_visitor.answer("Mine", {}),
        lambda: catalog_of_visitor.discard("Mine"),
        lambda: catalog_of_visitor.delete("Mine"),
        lambda: catalog_of_visitor.share("Mine", Visibility.EVERYONE),
    ]
    for change in changes:
        with pytest.raises(AccessError):
            change()
    with pytest.raises(InputError):  # the name is taken for everybody, or they may not start work at all
        catalog_of_visitor.start("Mine", "import", [], {})
    assert access_of("Mine").owner == ANN.id, "who tries does not get it"
    mine.discard("Mine")
    assert access_of("Mine").owner == ANN.id, "the table is there and stays hers"
    mine.delete("Mine")
    assert access_of("Mine").owner == ""
    assert names(mine) == []


def test_matrix_covers_every_action():
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


def test_operator_stops_and_deletes_everything():
    make("Mine")
    VisitorCatalog(CHIEF).stop("Mine")
    VisitorCatalog(CHIEF).delete("Mine")
    assert names(VisitorCatalog(ANN)) == []


def test_earlier_data_belongs_to_everybody():
    table_format.save(make_table(prompts=4, candidates=4), catalog.path_of("Old"))
    for who in (ANN, BEN, GUEST, NOBODY, LOCAL):
        assert names(VisitorCatalog(who)) == ["Old"]
    with pytest.raises(AccessError):
        VisitorCatalog(GUEST).delete("Old")
    VisitorCatalog(LOCAL).delete("Old")


@pytest.mark.parametrize("kind", ["build", "extend", "import"])
@pytest.mark.parametrize("who", [GUEST, NOBODY], ids=["known", "unknown"])
def test_guests_cannot_start_work(who: Visitor, kind: str):
    with pytest.raises(AccessError, match="that takes a member"):
        VisitorCatalog(who).start("Theirs", kind, [], {})
    assert not jobs.job_folder("Theirs").exists()


def test_without_a_login_nothing_has_an_owner():
    VisitorCatalog(LOCAL).start("Ours", "import", ["import"], {"file": "a.csv"})
    assert access_of("Ours").owner == ""
    assert not list(catalog.folder().glob(".access/*"))


@pytest.mark.parametrize("content", ["", "{}", '{"owner": "a"}', "[", '{"owner":"a","owner_name":"","visibility":"x"}'])
def test_unreadable_access_file_grants_nothing(content: str):
    make("Mine", visibility=Visibility.EVERYONE)
    (catalog.folder() / ".access" / "Mine.json").write_text(content)
    assert names(VisitorCatalog(BEN)) == []
    with pytest.raises(AccessError, match="cannot be read, so it is closed"):
        VisitorCatalog(BEN).delete("Mine")


#: Calls that pages make only in the name of their visitor.
GUARDED = {"list_tables", "delete", "list_jobs", "start", "resume", "answer", "stop", "discard"}


def test_pages_use_catalog_and_database_only_as_their_visitor():
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


def test_freed_name_can_be_used_by_another_visitor():
    make("Mine", visibility=Visibility.EVERYONE)
    processes.discard("Mine")
    catalog.path_of("Mine").unlink()  # by hand, outside the app
    VisitorCatalog(BEN).start("Mine", "import", ["import"], {"file": "b.csv"})
    assert (access_of("Mine").owner, access_of("Mine").visibility) == (BEN.id, Visibility.PRIVATE)
