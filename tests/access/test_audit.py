"""Tests of the audit log: its location, its rotation when full, and write failures."""

from __future__ import annotations

import json
import stat

import pytest

from map_core.access import audit


@pytest.fixture(autouse=True)
def _new_writers():
    audit.close()
    yield
    audit.close()


def test_line_keeps_its_fields_and_truncates_long_text(tmp_path, monkeypatch):
    monkeypatch.setenv(audit.SETTING, str(tmp_path / "deep" / "audit.jsonl"))
    audit.record("ann\nwho", "delete", "palette", "x" * 300)
    (line,) = (tmp_path / "deep" / "audit.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["who"], entry["action"], entry["kind"]) == ("ann\nwho", "delete", "palette")
    assert len(entry["what"]) == audit.MAX_WHAT
    assert stat.S_IMODE((tmp_path / "deep" / "audit.jsonl").stat().st_mode) == 0o600


def test_full_log_is_rotated(tmp_path, monkeypatch):
    monkeypatch.setenv(audit.SETTING, str(tmp_path / "audit.jsonl"))
    monkeypatch.setattr(audit, "MAX_BYTES", 1000)
    monkeypatch.setattr(audit, "KEPT_FILES", 2)
    for number in range(100):
        audit.record("ann", "save", "palette", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    last = (tmp_path / "audit.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["what"] == "99"


def test_no_file_is_written_when_the_log_is_off(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv(audit.SETTING, "off")
    audit.record("ann", "save")
    assert not list(tmp_path.iterdir())
    monkeypatch.delenv(audit.SETTING)
    assert audit.path() == tmp_path / "value-palette" / "audit.jsonl"


def test_write_failure_is_reported_once(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv(audit.SETTING, str(tmp_path / "file" / "audit.jsonl"))
    audit.record("ann", "save")
    audit.record("ann", "save")
    assert caplog.text.count("cannot be written") == 1
