"""Tests of the access rules: every action of each kind of visitor on each kind of thing, against a table by hand."""

from __future__ import annotations

import pytest

from map_core.access import LOCAL, Action, Kind, Role, Thing, Visibility, Visitor, may, require
from map_core.access.rules import CREATING, MAY_BUILD, MAY_NAME_MODELS
from map_core.errors import AccessError, InputError

ANN = Visitor("ann", "Ann", Role.MEMBER)
BEN = Visitor("ben", "Ben", Role.MEMBER)
GUEST = Visitor("gus", "Gus", Role.GUEST)
STRANGER = Visitor("", "", Role.GUEST)
CHIEF = Visitor("chief", "Chief", Role.OPERATOR)
MINE = (Action.SEE, Action.CHANGE, Action.DELETE, Action.SHARE, Action.STOP)


@pytest.mark.parametrize("visibility", Visibility)
@pytest.mark.parametrize("kind", Kind)
def test_owner_and_operator_may_do_everything(kind: Kind, visibility: Visibility):
    for who in (ANN, CHIEF):
        assert all(may(who, action, Thing(kind, "ann", visibility)) for action in MINE)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("who", [BEN, GUEST, STRANGER, LOCAL], ids=lambda who: who.id or who.role)
def test_only_the_owner_and_operators_change_an_owned_thing(kind: Kind, who: Visitor):
    for visibility in Visibility:
        for linked in (False, True):
            thing = Thing(kind, "ann", visibility, linked)
            assert not any(may(who, action, thing) for action in MINE[1:])
            visible = visibility is Visibility.EVERYONE or (visibility is Visibility.LINK and linked)
            assert may(who, Action.SEE, thing) is visible


def test_an_empty_id_owns_nothing():
    assert not may(STRANGER, Action.DELETE, Thing(Kind.PALETTE, "", Visibility.PRIVATE))


@pytest.mark.parametrize("kind", [Kind.PALETTE, Kind.VALUE, Kind.TABLE, Kind.BUILD, Kind.MEETING])
def test_things_without_owner_are_visible_to_all_and_changed_by_members(kind: Kind):
    for visibility in Visibility:  # whatever its visibility is: otherwise nobody could see it
        thing = Thing(kind, "", visibility)
        assert all(may(who, Action.SEE, thing) for who in (ANN, GUEST, STRANGER, LOCAL))
        for action in (Action.CHANGE, Action.DELETE, Action.STOP):
            assert may(ANN, action, thing)
            assert may(LOCAL, action, thing)
            assert not may(GUEST, action, thing)
            assert not may(STRANGER, action, thing)
        assert not may(ANN, Action.SHARE, thing)


def test_each_role_creates_only_its_kinds_of_things():
    creates = {
        kind: [role.value for role in Role if may(Visitor("x", "X", role), Action.CREATE, Thing(kind))] for kind in Kind
    }
    member, everybody = ["member", "operator"], ["guest", "member", "operator"]
    assert creates == {
        Kind.PALETTE: member,
        Kind.VALUE: member,
        Kind.TABLE: member,
        Kind.BUILD: member,
        Kind.VOTE: everybody,
        Kind.GENERATION: everybody,
        Kind.MEETING: member,
        Kind.MODEL: ["operator"],
    }


def test_settings_decide_who_builds_and_who_names_models(monkeypatch):
    monkeypatch.setenv(MAY_BUILD, "operators")
    monkeypatch.setenv(MAY_NAME_MODELS, "Member")
    assert not may(ANN, Action.CREATE, Thing(Kind.BUILD))
    assert may(CHIEF, Action.CREATE, Thing(Kind.BUILD))
    assert may(ANN, Action.CREATE, Thing(Kind.MODEL))
    monkeypatch.setenv(MAY_BUILD, "anybody")
    with pytest.raises(InputError, match="VALUE_PALETTE_MAY_BUILD is 'anybody'; expected guest, member, operator"):
        may(CHIEF, Action.CREATE, Thing(Kind.BUILD))


@pytest.mark.parametrize(
    ("who", "action", "thing", "words"),
    [
        (GUEST, Action.CREATE, Thing(Kind.PALETTE), "A guest of this app cannot save palettes; that takes a member"),
        (ANN, Action.CREATE, Thing(Kind.MODEL), "A member of this app cannot name models; that takes an operator"),
        (BEN, Action.SEE, Thing(Kind.TABLE, "ann", Visibility.PRIVATE), "no such table, or it is not shared with you"),
        (BEN, Action.DELETE, Thing(Kind.VALUE, "ann"), "This value is somebody else's; you cannot delete it"),
        (GUEST, Action.STOP, Thing(Kind.BUILD), "guests only look at it; you cannot stop it"),
    ],
)
def test_a_refusal_says_who_may(who: Visitor, action: Action, thing: Thing, words: str):
    with pytest.raises(AccessError, match=words):
        require(who, action, thing)


def test_allowed_actions_pass():
    require(ANN, Action.DELETE, Thing(Kind.PALETTE, "ann", Visibility.PRIVATE))


@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_has_a_verb_for_refusals(kind: Kind):
    assert CREATING[kind].split()[0] in {"add", "build", "define", "have", "name", "open", "save", "vote"}
