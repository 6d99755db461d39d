"""Tests of two people on one app: what each saves is visible to the other only if shared; guests save nothing."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from map_core import catalog
from map_core.access import LOCAL, Role, Visibility, Visitor, audit
from map_core.data import table_format
from map_core.palettes.palette import ALL, Palette, Target
from map_core.scoring.definition import Definition
from map_core.store import SETTING, custom_values, database, palettes
from pages.view.shell import operator, visitor_header
from tests.pages.app_script import APP, page_text
from tests.tables import VALUES, make_table

ANN = Visitor("id|ann", "Ann", Role.MEMBER)
BEN = Visitor("id|ben", "Ben", Role.MEMBER)
GUEST = Visitor("id|gus", "Gus", Role.GUEST)
CHIEF = Visitor("id|chief", "Chief", Role.OPERATOR)
WARM = Palette(ALL, {name: Target(55.0, free=name != "humor") for name in VALUES})


@pytest.fixture(autouse=True)
def _a_place_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv(SETTING, f"sqlite:///{tmp_path / 'palettes.sqlite'}")
    monkeypatch.setenv(catalog.SETTING, str(tmp_path / "tables"))
    yield
    database().close()


@pytest.fixture
def opened(app, monkeypatch):
    """Open a page of the app as a visitor."""

    def open_page(page: str, who: Visitor, **address: str) -> AppTest:
        monkeypatch.setattr(visitor_header, "read", lambda headers: who)
        visit = AppTest.from_file(APP, default_timeout=60)
        visit.session_state["plain_desk"] = True
        for name, text in address.items():
            visit.query_params[name] = text
        visit.run()
        for name, text in address.items():
            visit.query_params[name] = text
        visit.switch_page(f"{page}.py").run()
        assert not visit.exception
        return visit

    return open_page


def keys(page: AppTest) -> set[str]:
    return {element.key for element in (*page.button, *page.text_input, *page.segmented_control) if element.key}


def save(page: AppTest, name: str, visibility: Visibility) -> None:
    page.text_input(key="save_name").set_value(name)
    page.segmented_control(key="save_visibility").set_value(visibility.value)
    page.button(key="save").click().run()
    assert not page.exception


def test_palette_is_visible_to_whom_its_owner_chose(opened):
    mine = opened("palettes", ANN)
    save(mine, "Secret plan", Visibility.PRIVATE)
    save(mine, "For all", Visibility.EVERYONE)
    assert mine.segmented_control(key="save_visibility").value == Visibility.PRIVATE
    secret, shared = (palettes.named(database().as_visitor(ANN), name).id for name in ("Secret plan", "For all"))
    mine = opened("palettes", ANN)
    assert "Secret plan" in page_text(mine)
    assert {f"saved_delete_{secret}", f"saved_delete_{shared}", f"sharing_link_palette_{secret}"} <= keys(mine)
    page_of_ben = opened("palettes", BEN)
    assert "Secret plan" not in page_text(page_of_ben)
    assert "For all" in page_text(page_of_ben)
    assert "of Ann" in page_text(page_of_ben)
    assert f"saved_use_{shared}" in keys(page_of_ben)
    assert not {f"saved_delete_{shared}", f"rename_{shared}", f"sharing_link_palette_{shared}"} & keys(page_of_ben)


def test_filter_of_own_and_shared_palettes(opened):
    save(opened("palettes", ANN), "Hers", Visibility.EVERYONE)
    save(opened("palettes", BEN), "His", Visibility.EVERYONE)
    page = opened("palettes", BEN)
    assert "Hers" in page_text(page)
    page.segmented_control(key="saved_whose").set_value("mine").run()
    assert "His" in page_text(page)
    assert "Hers" not in page_text(page)


def test_link_to_a_palette_can_be_shared_and_revoked(opened):
    page = opened("palettes", ANN)
    save(page, "By link", Visibility.PRIVATE)
    saved = palettes.named(database().as_visitor(ANN), "By link")
    page = opened("palettes", ANN)
    page.button(key=f"sharing_link_palette_{saved.id}").click().run()
    assert not page.exception
    link = palettes.load(database().as_visitor(ANN), saved.id).link
    assert any(link in code.value for code in page.code)
    for who in (BEN, GUEST):
        linked_page = opened("palettes", who, saved=link)
        assert "By link" in page_text(linked_page)
        linked_page.button(key="saved_linked_use").click().run()
        assert not linked_page.exception
        assert linked_page.session_state["history"].now.targets == saved.palette.targets
    assert "By link" not in page_text(opened("palettes", BEN))
    palettes.share(database().as_visitor(ANN), saved.id, Visibility.PRIVATE)
    assert "does not exist or is no longer shared" in page_text(opened("palettes", BEN, saved=link))


def test_guests_read_that_they_cannot_save(opened):
    page = opened("palettes", GUEST)
    assert "A guest of this app cannot save palettes; that takes a member" in page_text(page)
    assert "save" not in keys(page)
    assert not page.get("file_uploader")
    assert "No saved palette is shared with you yet." in page_text(page)
    page = opened("values", GUEST)
    assert page.button(key="values_new").disabled
    page = opened("tables", GUEST)
    assert "No other table is shared with you yet." in page_text(page)
    page = opened("tables", GUEST, view="build")
    assert "cannot build tables or tune models" in page_text(page)
    assert "build_go" not in keys(page)
    page = opened("tables", GUEST, view="file")
    assert "cannot add tables" in page_text(page)
    page = opened("tune", GUEST)
    assert "cannot build tables or tune models" in page_text(page)
    assert "tune_go" not in keys(page)


def test_value_of_somebody_else_is_visible_and_unchangeable(opened):
    calm = Definition("calm", "Calm", ("slow",), ("fast",))
    value = custom_values.define(database().as_visitor(ANN), calm)
    assert "Calm" not in page_text(opened("values", BEN))
    assert "values_change" in keys(opened("values", ANN, value="calm"))
    custom_values.share(database().as_visitor(ANN), value.id, Visibility.EVERYONE)
    page_of_ben = opened("values", BEN, value="calm")
    assert "Defined by Ann" in page_text(page_of_ben)
    assert not {"values_change", "values_delete_sure"} & keys(page_of_ben)
    assert "values_delete_sure" in keys(opened("values", CHIEF, value="calm"))


def test_link_to_a_value_can_be_shared_and_revoked(opened):
    calm = Definition("calm", "Calm", ("slow",), ("fast",))
    value = custom_values.define(database().as_visitor(ANN), calm)
    page = opened("values", ANN, value="calm")
    page.button(key="sharing_link_value_calm").click().run()
    assert not page.exception
    link = custom_values.load(database().as_visitor(ANN), value.id).link
    assert any(f"value=calm&value_link={link}" in code.value for code in page.code)
    for who in (BEN, GUEST):
        linked_page = opened("values", who, value="calm", value_link=link)
        assert "Defined by Ann" in page_text(linked_page)
        assert ">of Ann<" in page_text(linked_page)
        assert "your own<" not in page_text(linked_page)
        assert "values_change" not in keys(linked_page)
        assert "Calm" not in page_text(opened("values", who))
    # As after a click to another page and back, when the address has lost the link.
    del linked_page.query_params["value_link"]
    linked_page.run()
    assert "Defined by Ann" in page_text(linked_page)
    custom_values.share(database().as_visitor(ANN), value.id, Visibility.PRIVATE)
    assert "Calm" not in page_text(opened("values", BEN, value="calm", value_link=link))


def test_table_is_visible_to_whom_its_owner_chose(opened, monkeypatch):
    monkeypatch.setattr(catalog.processes, "start", lambda *arguments, **options: None)
    catalog.VisitorCatalog(ANN).start("Hers", "import", [], {})
    table_format.save(make_table(prompts=8, candidates=8), catalog.path_of("Hers"))
    assert "Hers" in page_text(opened("tables", ANN))
    assert "Hers" not in page_text(opened("tables", BEN))
    assert "not shared with you" in page_text(opened("palette", BEN, table="Hers"))
    page = opened("tables", ANN)
    page.button(key="sharing_link_table_Hers").click().run()
    link = catalog.access_of("Hers").link
    page_of_ben = opened("palette", BEN, table="Hers", table_link=link)
    assert "There is no table to look at" not in page_text(page_of_ben)
    catalog.VisitorCatalog(ANN).share("Hers", Visibility.EVERYONE)
    page_of_ben = opened("tables", BEN)
    assert "Of Ann." in page_text(page_of_ben)
    assert "table_gone_Hers" not in keys(page_of_ben)
    assert "table_gone_Hers" in keys(opened("tables", CHIEF))


def test_without_a_login_pages_have_no_sharing(opened):
    page = opened("palettes", LOCAL)
    assert not {"save_visibility", "saved_whose", "log_out"} & keys(page)
    page.text_input(key="save_name").set_value("Ours")
    page.button(key="save").click().run()
    (saved,) = palettes.list_palettes(database())
    assert (saved.owner, saved.visibility) == ("", Visibility.EVERYONE)
    assert not [key for key in keys(opened("palettes", LOCAL)) if key.startswith("sharing")]


def test_session_is_cleared_for_another_person_in_the_same_tab(opened, monkeypatch):
    page = opened("palettes", ANN)
    page.session_state["save_note"] = "between us"
    page.run()
    monkeypatch.setattr(visitor_header, "read", lambda headers: BEN)
    page.run()
    assert not page.exception
    assert page.text_area(key="save_note").value == ""


def test_page_without_the_gate_is_closed(app, monkeypatch):
    monkeypatch.setattr(visitor_header, "read", lambda headers: None)
    page = AppTest.from_file(APP, default_timeout=60).run()
    assert not page.exception
    assert not page.button
    assert "so it is closed" in page_text(page)


def test_guest_opens_a_meeting_only_with_the_operators_token(opened, monkeypatch, tmp_path):
    monkeypatch.setenv(audit.SETTING, str(tmp_path / "audit.jsonl"))
    monkeypatch.setenv(operator.SETTING, "a token of the tests, long")
    operator.token.cache_clear()
    try:
        page = opened("groups", Visitor("", "", Role.GUEST))
        assert "cannot open meetings; that takes a member" in page_text(page)
        assert "meeting_open" not in keys(page)
        page.text_input(key="operator_typed").set_value("another token").run()
        assert "meeting_open" not in keys(page)
        page.text_input(key="operator_typed").set_value("a token of the tests, long").run()
        assert "meeting_open" in keys(page)
        lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
        assert [line["action"] for line in lines] == ["show a wrong token", "show the operator's token"]
        assert "token of the tests" not in str(lines)
    finally:
        operator.token.cache_clear()
