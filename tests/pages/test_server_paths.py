"""Tests of paths of the server: complete for operators, and only the last name for other visitors."""

from __future__ import annotations

from pathlib import Path

import pytest

from map_core.access import Role, Visitor, settings
from map_core.data import table_format
from pages.view.shell import operator, server_paths, visitor_header
from tests.pages.app_script import opened, page_text
from tests.tables import make_table


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is no table at /srv/a/b/x.parquet. Give one.", "There is no table at x.parquet. Give one."),
        ("[Errno 2] No such file: '/srv/a/b/x.parquet'", "[Errno 2] No such file: 'x.parquet'"),
        ("cannot open ~/tables/y.parquet (in /srv/a)", "cannot open y.parquet (in a)"),
        ("'/srv/my own tables/x.parquet' is no table", "'x.parquet' is no table"),
        ("read:/srv/a/x.parquet", "read:x.parquet"),
        ("See https://example.org/a/b/c.html.", "See https://example.org/a/b/c.html."),
        ("3/4 of it, and/or 12 km/h, n/a", "3/4 of it, and/or 12 km/h, n/a"),
    ],
)
def test_paths_in_a_text_are_shortened_to_their_last_name(text: str, expected: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VALUE_PALETTE_TABLE", "/srv/my own tables/x.parquet")
    assert server_paths.in_text(text) == text, "on one's own machine"
    monkeypatch.setenv(settings.OPEN, "guest")
    assert server_paths.in_text(text) == expected
    assert server_paths.in_text(expected) == expected


def test_shown_path(monkeypatch: pytest.MonkeyPatch):
    assert server_paths.shown(Path("/srv/a/x.parquet")) == "/srv/a/x.parquet"
    monkeypatch.setenv(settings.OPEN, "member")
    assert server_paths.shown(Path("/srv/a/x.parquet")) == "x.parquet"


@pytest.fixture(params=["a table", "no table", "no Parquet file"])
def folder(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the app's table, or with an invalid one."""
    path = tmp_path / "of the server" / "mine.parquet"
    path.parent.mkdir()
    monkeypatch.setenv("VALUE_PALETTE_TABLE", str(path))
    if request.param == "a table":
        table_format.save(make_table(prompts=8, candidates=8), path)
    elif request.param == "no Parquet file":
        path.write_bytes(b"PAR1 and no more")
    return path.parent


@pytest.mark.parametrize("by_token", [True, False])
@pytest.mark.parametrize("page", ["palette.py", "delivery.py"])
def test_operators_see_the_folder_of_the_table(
    page: str, folder: Path, by_token: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(settings.OPEN, "guest")
    app = opened()
    app.switch_page(page).run()
    assert not app.exception
    all_text = page_text(app) + "".join(code.value for code in app.code)
    assert "of the server" not in all_text
    if page == "delivery.py" or "There is no table" in all_text:
        assert "mine.parquet" in all_text
    if by_token:
        app.session_state[operator.IS_OPERATOR.name] = True
    else:
        monkeypatch.setattr(visitor_header, "read", lambda headers: Visitor("ann", "Ann", Role.OPERATOR))
        app.session_state["whose"] = "ann"
    app.run()
    assert not app.exception
    all_text = page_text(app) + "".join(code.value for code in app.code)
    assert ("of the server" in all_text) == (page == "delivery.py" or "There is no table" in all_text)
