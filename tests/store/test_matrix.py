"""Tests of access to stored things: two people over every action; each has full access to their own only."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from map_core.access import LOCAL, Role, Visibility, Visitor, audit
from map_core.errors import AccessError, InputError
from map_core.palettes.palette import ALL, Palette, Target
from map_core.scoring.definition import Definition
from map_core.scoring.pairwise import PairAnswer
from map_core.store import Database, custom_values, labels, meetings, open_database, palettes, votes
from map_core.store.votes import Preference

ANN = Visitor("https://id|ann", "Ann", Role.MEMBER)
BEN = Visitor("https://id|ben", "Ben", Role.MEMBER)
GUEST = Visitor("https://id|gus", "Gus", Role.GUEST)
NOBODY = Visitor("", "", Role.GUEST)
CHIEF = Visitor("https://id|chief", "Chief", Role.OPERATOR)
OTHERS = (BEN, GUEST, NOBODY, LOCAL)
WARM = Palette(ALL, {"humor": Target(70.0)})
CALM = Definition("calm", "Calm", ("slow",), ("fast",))
PAIR = (("p1", 0), ("p1", 1))


@dataclass
class Kept:
    """What Ann has saved, in a database that anybody may open."""

    opened: Database
    audit: Path

    def of(self, who: Visitor) -> Database:
        return self.opened.as_visitor(who)


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv(audit.SETTING, str(tmp_path / "audit.jsonl"))
    opened = open_database(f"sqlite:///{tmp_path / 'kept.sqlite'}")
    yield Kept(opened, tmp_path / "audit.jsonl")
    opened.close()
    audit.close()


def lines(kept: Kept) -> list[dict[str, str]]:
    return [json.loads(line) for line in kept.audit.read_text().splitlines()]


def test_matrix_covers_every_action():
    """Meetings are left out: their code admits everybody, and a secret in the browser identifies the host."""
    written = "".join((Path(__file__).parent / name).read_text() for name in ("test_matrix.py", "test_labels.py"))
    for module in (palettes, custom_values, votes, labels):
        kind = module.__name__.rpartition(".")[2]
        actions = [
            name
            for name, function in inspect.getmembers(module, inspect.isfunction)
            if function.__module__ == module.__name__
            and not name.startswith("_")
            and next(iter(inspect.signature(function).parameters), "") == "database"
        ]
        assert actions
        assert [name for name in actions if f"{kind}.{name}(" not in written] == []


@pytest.mark.parametrize("visibility", Visibility)
@pytest.mark.parametrize("visitor", OTHERS, ids=lambda who: who.name or who.role.value)
def test_a_palette(kept: Kept, visitor: Visitor, visibility: Visibility):
    as_ann, as_visitor = kept.of(ANN), kept.of(visitor)
    saved = palettes.save(as_ann, WARM, "Secret plan", note="between us", visibility=visibility)
    assert (saved.owner, saved.owner_name, saved.visibility) == (ANN.id, "Ann", visibility)
    visible = visibility is Visibility.EVERYONE
    assert bool(palettes.load(as_visitor, saved.id)) is visible
    assert bool(palettes.versions(as_visitor, saved.id)) is visible
    assert [palette.id for palette in palettes.list_palettes(as_visitor)] == [saved.id] * visible
    assert palettes.named(as_visitor, "Secret plan") is None
    assert palettes.free_name(as_visitor, "Secret plan") == "Secret plan", "a name that is taken would tell of it"
    changes: list[Callable[[], object]] = [
        lambda: palettes.update(as_visitor, saved.id, WARM),
        lambda: palettes.rename(as_visitor, saved.id, "Mine now"),
        lambda: palettes.share(as_visitor, saved.id, Visibility.EVERYONE),
        lambda: palettes.delete(as_visitor, saved.id),
    ]
    for change in changes:
        with pytest.raises(AccessError if visible else InputError) as refused:
            change()
        assert ("somebody else's" if visible else "There is no saved palette") in str(refused.value)
    unchanged = palettes.load(as_ann, saved.id)
    assert unchanged == saved
    deleted = palettes.delete(as_ann, saved.id)
    with pytest.raises(AccessError):
        palettes.restore(as_visitor, deleted)
    assert palettes.restore(as_ann, deleted) == saved
    assert palettes.share(as_ann, saved.id, Visibility.PRIVATE).visibility is Visibility.PRIVATE
    assert palettes.delete(kept.of(CHIEF), saved.id).saved.owner == ANN.id


def test_palette_shared_by_link_is_visible_until_the_link_is_revoked(kept: Kept):
    mine = kept.of(ANN)
    saved = palettes.save(mine, WARM, "Warm")
    assert saved.link == ""
    assert palettes.linked(kept.of(BEN), "") is None
    shared = palettes.share(mine, saved.id, Visibility.LINK)
    assert len(shared.link) >= 20
    at_once = palettes.save(mine, WARM, "At once", visibility=Visibility.LINK)
    assert palettes.linked(kept.of(BEN), at_once.link) == at_once
    for who in OTHERS:
        linked = palettes.linked(kept.of(who), shared.link)
        assert linked is not None
        assert linked.palette == WARM
        assert palettes.list_palettes(kept.of(who)) == ()
        with pytest.raises(InputError):
            palettes.update(kept.of(who), saved.id, WARM)
    palettes.share(mine, saved.id, Visibility.PRIVATE)
    assert palettes.linked(kept.of(BEN), shared.link) is None
    assert palettes.share(mine, saved.id, Visibility.LINK).link != shared.link, "an old link stays dead"


@pytest.mark.parametrize("visibility", Visibility)
@pytest.mark.parametrize("visitor", OTHERS, ids=lambda who: who.name or who.role.value)
def test_a_value(kept: Kept, visitor: Visitor, visibility: Visibility):
    as_ann, as_visitor = kept.of(ANN), kept.of(visitor)
    value = custom_values.define(as_ann, CALM, visibility)
    custom_values.judge(as_ann, value.id, 1, "t", PAIR, PairAnswer.FIRST, "v")
    visible = visibility is Visibility.EVERYONE
    assert bool(custom_values.load(as_visitor, value.id)) is visible
    assert len(custom_values.list_values(as_visitor)) == visible
    assert len(custom_values.judgements(as_visitor, value.id, 1, "t")) == visible
    changes: list[Callable[[], object]] = [
        lambda: custom_values.revise(as_visitor, value.id, CALM),
        lambda: custom_values.use(as_visitor, value.id, 1),
        lambda: custom_values.share(as_visitor, value.id, Visibility.EVERYONE),
        lambda: custom_values.delete(as_visitor, value.id),
    ]
    for change in changes:
        with pytest.raises(InputError, match="somebody else's" if visible else "There is no custom value"):
            change()
    if visible:
        assert custom_values.judge(as_visitor, value.id, 1, "t", PAIR, PairAnswer.SECOND, "w")
    else:
        with pytest.raises(InputError, match="There is no custom value"):
            custom_values.judge(as_visitor, value.id, 1, "t", PAIR, PairAnswer.SECOND, "w")
    first = custom_values.judgements(as_ann, value.id, 1, "t")[0]
    with pytest.raises(AccessError):
        custom_values.withdraw(as_visitor, first.id)
    assert custom_values.withdraw(as_ann, first.id)
    if visitor.role is Role.MEMBER:  # a refusal of a taken name would reveal it
        assert custom_values.define(as_visitor, CALM).owner == visitor.id
    custom_values.delete(as_ann, value.id)


def test_value_shared_by_link_is_visible_until_the_link_is_revoked(kept: Kept):
    mine = kept.of(ANN)
    value = custom_values.define(mine, CALM)
    assert value.link == ""
    shared = custom_values.share(mine, value.id, Visibility.LINK)
    assert len(shared.link) >= 20
    assert custom_values.define(kept.of(BEN), CALM, Visibility.LINK).link not in ("", shared.link)
    for who in OTHERS:
        linked = kept.of(replace(who, links=frozenset({shared.link, "another"})))
        assert custom_values.load(linked, value.id) == shared
        assert shared in custom_values.list_values(linked)
        assert custom_values.judge(linked, value.id, 1, "t", PAIR, PairAnswer.FIRST, "v")
        assert custom_values.judgements(linked, value.id, 1, "t")
        assert shared not in custom_values.list_values(kept.of(replace(who, links=frozenset({"", "another"}))))
        changes: list[Callable[[], object]] = [
            lambda linked=linked: custom_values.revise(linked, value.id, CALM),
            lambda linked=linked: custom_values.use(linked, value.id, 1),
            lambda linked=linked: custom_values.share(linked, value.id, Visibility.EVERYONE),
            lambda linked=linked: custom_values.delete(linked, value.id),
        ]
        for change in changes:
            with pytest.raises(AccessError, match="somebody else's"):
                change()
    custom_values.share(mine, value.id, Visibility.PRIVATE)
    assert custom_values.load(kept.of(replace(BEN, links=frozenset({shared.link, ""}))), value.id) is None
    assert custom_values.share(mine, value.id, Visibility.LINK).link != shared.link, "an old link stays dead"


def test_own_value_precedes_others_of_its_name(kept: Kept):
    hers = custom_values.define(kept.of(ANN), CALM, Visibility.EVERYONE)
    his = custom_values.define(kept.of(BEN), CALM, Visibility.EVERYONE)
    assert [value.id for value in custom_values.list_values(kept.of(ANN))] == [hers.id, his.id]
    assert [value.id for value in custom_values.list_values(kept.of(BEN))] == [his.id, hers.id]


@pytest.mark.parametrize("visitor", OTHERS, ids=lambda who: who.name or who.role.value)
def test_a_vote(kept: Kept, visitor: Visitor):
    as_ann, as_visitor = kept.of(ANN), kept.of(visitor)
    cast = votes.vote(as_ann, "k", "my secret prompt", Preference.ALIGNED, "visit")
    assert votes.vote(as_visitor, "k", "another", Preference.BASE, "visit 2")
    assert [vote.prompt for vote in votes.list_votes(as_visitor, "k")] == ["", "another"]
    # Votes without an owner belong to everybody, as before there was a login.
    assert [vote.prompt for vote in votes.list_votes(as_ann, "k")] == [
        "my secret prompt",
        "" if visitor.is_known else "another",
    ]
    assert votes.tally(as_visitor, "k").votes == 2
    with pytest.raises(AccessError):
        votes.withdraw(as_visitor, cast.id)
    assert votes.withdraw(as_ann, cast.id)


@pytest.mark.parametrize("who", [GUEST, NOBODY], ids=lambda who: who.name or "nobody")
def test_guests_cannot_save(kept: Kept, who: Visitor):
    everybodys = palettes.save(kept.opened, WARM, "Ours")
    value = custom_values.define(kept.opened, CALM)
    refused: list[Callable[[], object]] = [
        lambda: palettes.save(kept.of(who), WARM, "Mine"),
        lambda: palettes.update(kept.of(who), everybodys.id, WARM),
        lambda: palettes.delete(kept.of(who), everybodys.id),
        lambda: custom_values.define(kept.of(who), CALM),
        lambda: custom_values.use(kept.of(who), value.id, 1),
        lambda: custom_values.delete(kept.of(who), value.id),
        lambda: meetings.open_meeting(kept.of(who), "Ours", ALL, "t"),
    ]
    for action in refused:
        with pytest.raises(AccessError):
            action()
    assert palettes.load(kept.of(who), everybodys.id) == everybodys


def test_members_may_change_what_has_no_owner(kept: Kept):
    saved = palettes.save(kept.opened, WARM, "Ours", visibility=Visibility.PRIVATE)
    assert saved.visibility is Visibility.EVERYONE, "without a login nobody could see it any more"
    assert palettes.rename(kept.of(ANN), saved.id, "Theirs").name == "Theirs"
    assert palettes.update(kept.of(BEN), saved.id, WARM).version == 2
    assert palettes.named(kept.of(BEN), "theirs") is not None
    with pytest.raises(AccessError):
        palettes.share(kept.of(BEN), saved.id, Visibility.PRIVATE)


def test_audit_log_names_actions_without_their_content(kept: Kept):
    mine = kept.of(ANN)
    saved = palettes.save(mine, WARM, "Secret plan", note="between us")
    votes.vote(mine, "k", "my secret prompt", Preference.TIE, "v")
    palettes.delete(mine, saved.id)
    with pytest.raises(InputError):
        palettes.delete(mine, saved.id)
    custom_values.define(mine, CALM)
    assert [(line["who"], line["action"], line["kind"], line["what"]) for line in lines(kept)] == [
        (ANN.id, "save", "palette", str(saved.id)),
        (ANN.id, "delete", "palette", str(saved.id)),
        (ANN.id, "define", "value", "calm"),
    ]
    assert all(line["when"].endswith("+00:00") for line in lines(kept))
    written = kept.audit.read_text()
    assert not any(text in written for text in ("Secret", "between us", "secret prompt", "slow"))


def test_rolled_back_changes_are_not_in_the_log(kept: Kept, monkeypatch):
    def fail(*arguments: object) -> None:
        raise RuntimeError("at the very end")

    monkeypatch.setattr(palettes, "_saved", fail)
    with pytest.raises(RuntimeError):
        palettes.save(kept.of(ANN), WARM, "Warm")
    assert not kept.audit.exists()
