"""Tests of tables and builds of several visitors: each sees, stops and deletes their own, without any leak."""

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
OPERATOR = Visitor("id|chief", "Chief", Role.OPERATOR)
OTHERS = (BEN, GUEST, NOBODY, LOCAL)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(catalog.SETTING, str(tmp_path))

    def start_stub(package, arguments, log, niceness):
        return ProcessIdentity.from_dict({}) or _EndedProcess()

    monkeypatch.setattr(processes, "start_detached", start_stub)


class _EndedProcess:
    """Stub of a process that ended before it did anything."""

    def as_dict(self) -> dict[str, object]:
        return {}


def table_names(visitor_catalog: VisitorCatalog) -> list[str]:
    return [entry.name for entry in visitor_catalog.list_tables()]


def make_anns_table(name: str, **options: object) -> None:
    """Start an import as Ann and save its table at once."""
    VisitorCatalog(ANN).start(name, "import", ["import"], {"file": "a.csv"}, **options)
    table_format.save(make_table(prompts=4, candidates=4), catalog.path_of(name))


@pytest.mark.parametrize("visibility", Visibility)
@pytest.mark.parametrize("other", OTHERS, ids=lambda who: who.name or who.role.value)
def test_only_the_owner_may_change_a_table_and_its_build(other: Visitor, visibility: Visibility):
    make_anns_table("Mine", visibility=visibility)
    owner_catalog, other_catalog = VisitorCatalog(ANN), VisitorCatalog(other)
    visible = visibility is Visibility.EVERYONE
    assert table_names(owner_catalog) == ["Mine"]
    assert table_names(other_catalog) == ["Mine"] * visible
    assert [job.name for job in other_catalog.list_jobs()] == ["Mine"] * visible
    if not visible:
        with pytest.raises(AccessError, match="no such table, or it is not shared with you"):
            other_catalog.path_of("Mine")
    changes: list[Callable[[], object]] = [
        lambda: other_catalog.stop("Mine"),
        lambda: other_catalog.resume("Mine"),
        lambda: other_catalog.answer("Mine", {}),
        lambda: other_catalog.discard("Mine"),
        lambda: other_catalog.delete("Mine"),
        lambda: other_catalog.share("Mine", Visibility.EVERYONE),
    ]
    for change in changes:
        with pytest.raises(AccessError):
            change()
    with pytest.raises(InputError):  # the name is taken for everybody, or the visitor may start no job at all
        other_catalog.start("Mine", "import", [], {})
    assert access_of("Mine").owner == ANN.id, "who tries does not get it"
    owner_catalog.discard("Mine")
    assert access_of("Mine").owner == ANN.id, "the table is there and stays hers"
    owner_catalog.delete("Mine")
    assert access_of("Mine").owner == ""
    assert table_names(owner_catalog) == []


def test_every_action_of_the_catalog_is_tested():
    tune_tests = ROOT / "tests" / "pages" / "test_tune.py"
    test_sources = Path(__file__).read_text(encoding="utf-8") + tune_tests.read_text(encoding="utf-8")
    actions = [name for name in vars(VisitorCatalog) if not name.startswith("_")]
    assert {"path_of", "delete_tuned"} <= set(actions)
    assert [name for name in actions if f".{name}(" not in test_sources] == []


def test_a_table_shared_by_link():
    make_anns_table("Mine")
    link = VisitorCatalog(ANN).share("Mine", Visibility.LINK).link
    for visitor in OTHERS:
        assert VisitorCatalog(visitor).path_of("Mine", link) == catalog.path_of("Mine")
        assert table_names(VisitorCatalog(visitor)) == []
        for wrong_link in ("", link[:-1], "\N{SNOWMAN}"):
            with pytest.raises(AccessError):
                VisitorCatalog(visitor).path_of("Mine", wrong_link)
    make_anns_table("At once", visibility=Visibility.LINK)
    assert VisitorCatalog(BEN).path_of("At once", access_of("At once").link)
    VisitorCatalog(ANN).share("Mine", Visibility.PRIVATE)
    with pytest.raises(AccessError):
        VisitorCatalog(BEN).path_of("Mine", link)


def test_the_operator_may_stop_and_delete_any_table():
    make_anns_table("Mine")
    VisitorCatalog(OPERATOR).stop("Mine")
    VisitorCatalog(OPERATOR).delete("Mine")
    assert table_names(VisitorCatalog(ANN)) == []


def test_a_table_without_an_owner_belongs_to_everybody():
    table_format.save(make_table(prompts=4, candidates=4), catalog.path_of("Old"))
    for visitor in (ANN, BEN, GUEST, NOBODY, LOCAL):
        assert table_names(VisitorCatalog(visitor)) == ["Old"]
    with pytest.raises(AccessError):
        VisitorCatalog(GUEST).delete("Old")
    VisitorCatalog(LOCAL).delete("Old")


@pytest.mark.parametrize("kind", ["build", "extend", "import"])
@pytest.mark.parametrize("visitor", [GUEST, NOBODY], ids=["known", "unknown"])
def test_guests_may_not_start_jobs(visitor: Visitor, kind: str):
    with pytest.raises(AccessError, match="that takes a member"):
        VisitorCatalog(visitor).start("Theirs", kind, [], {})
    assert not jobs.job_folder("Theirs").exists()


def test_without_a_login_nothing_is_owned():
    VisitorCatalog(LOCAL).start("Ours", "import", ["import"], {"file": "a.csv"})
    assert access_of("Ours").owner == ""
    assert not list(catalog.folder().glob(".access/*"))


@pytest.mark.parametrize("content", ["", "{}", '{"owner": "a"}', "[", '{"owner":"a","owner_name":"","visibility":"x"}'])
def test_an_unreadable_access_file_denies_access(content: str):
    make_anns_table("Mine", visibility=Visibility.EVERYONE)
    (catalog.folder() / ".access" / "Mine.json").write_text(content)
    assert table_names(VisitorCatalog(BEN)) == []
    with pytest.raises(AccessError, match="cannot be read, so it is closed"):
        VisitorCatalog(BEN).delete("Mine")


#: Methods that a page calls only on behalf of its visitor.
GUARDED = {"list_tables", "delete", "list_jobs", "start", "resume", "answer", "stop", "discard"}


def test_pages_use_the_catalog_and_the_database_on_behalf_of_their_visitor():
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


def test_a_name_that_is_free_again_goes_to_its_next_user():
    make_anns_table("Mine", visibility=Visibility.EVERYONE)
    processes.discard("Mine")
    catalog.path_of("Mine").unlink()  # by hand, outside the app
    VisitorCatalog(BEN).start("Mine", "import", ["import"], {"file": "b.csv"})
    assert (access_of("Mine").owner, access_of("Mine").visibility) == (BEN.id, Visibility.PRIVATE)
