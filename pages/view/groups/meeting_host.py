"""The host's screen of a meeting: the host opens it, people join with their phones, and the picture follows them.

Host and phones share the database, so different processes may serve them. The browser that opened the meeting keeps a
random secret, from which the code is derived: only it may remove members and close the meeting. The address, which
everybody in the room can read, has only the code. Constraint: the names of members are shown as text; a phone that
cannot reach the app is not detected.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

import streamlit as st

from map_core.access import Kind
from map_core.core import amounts
from map_core.errors import PaletteError
from map_core.figures import groups as drawn
from map_core.groups import Group, GroupAgreement
from map_core.store import meeting_numbers, meetings, table_key
from map_core.text import groups as group_text
from map_core.text.sentences import listed
from map_core.text.wording import effort
from pages.view.groups import markup, meeting_member, meeting_result, results, roster
from pages.view.groups.meeting_agreement import KnownAgreement, meeting_budget, meeting_scene, shared_agreement
from pages.view.groups.roster import SeatedGroup
from pages.view.session import palette_state, speaker_line
from pages.view.session import scene as scenes
from pages.view.session.scene import Scene
from pages.view.shell import account, page_words, reach, remember, wording
from pages.view.shell import markup as shell_markup
from pages.view.shell.account import database
from pages.view.shell.kept_keys import KeptKey
from pages.view.shell.session_keys import Key

MEETING: Key[str] = Key("meeting", "")
HOST: Key[str] = Key("meeting_host", "")
NAME: Key[str] = Key("meeting_name", "")
CODE: Key[str] = Key("meeting_code", "")
#: Whether this screen is in projector mode, which shows the picture alone.
PROJECTED: KeptKey[bool] = KeptKey("meeting_projected", False, bool, bool)
BASE_ADDRESS: Key[str] = Key("meeting_base", "")

#: The cookie by which the browser that opened a meeting is known, with the code after it.
HOST_COOKIE = "value_palette_host"
#: Seconds between two polls for new members.
LOOK_SECONDS = 1.5
#: Seconds for which this screen offers to undo a change of the palette: everybody sees it, for a long time.
UNDO_SECONDS = 20.0
#: Attempts at closing a meeting: each palette that is sent meanwhile takes another one.
CLOSINGS = 5
#: Of the figures in pixels, so that everything is on one screen of 1440 x 900.
HEIGHT = 372


def is_open() -> bool:
    """Return whether this viewer has a meeting open: by the address, or since before another page was visited."""
    if "meeting" in st.query_params:
        MEETING.set(meetings.read_code(st.query_params["meeting"]))
        if "host" in st.query_params:  # an address of an earlier version, which held the secret
            HOST.set(st.query_params["host"])
            del st.query_params["host"]
    elif code := MEETING.get():
        _to_address(code)
    return bool(MEETING.get())


def _to_address(code: str) -> None:
    st.query_params["meeting"] = code


def _forget() -> None:
    MEETING.pop()
    HOST.pop()
    PROJECTED.pop()
    st.query_params.pop("meeting", None)


def draw_open_form(scene: Scene) -> None:
    """Draw the form that opens a meeting."""
    if account.draw_refusal(Kind.MEETING):
        _draw_look()
        return
    st.text_input("What is it about?", key=NAME.name, max_chars=60, placeholder="A name for the meeting")
    st.html(shell_markup.note(f"About the use case that is chosen above: {scene.use_case}."))
    everybody = scenes.load_for_everybody(scene.use_case).table.values
    if private := [scene.title(j) for j, name in enumerate(scene.table.values) if name not in everybody]:
        st.html(
            shell_markup.note(
                f"A meeting is about values that everybody sees, and so without {listed(private)}. The page Values has "
                "what shares a value with everybody."
            )
        )
    st.button("Open", key="meeting_open", type="primary", icon=":material/qr_code_2:", on_click=_open, args=(scene,))
    _draw_look()
    st.html(
        shell_markup.note(
            f"Up to {meetings.MAX_MEMBERS} people join by a QR code or a link, each with a palette of their own. "
            "Names and palettes are kept in this app's database until the meeting is closed, at the latest "
            f"{meetings.OPEN_HOURS} hours after the last change."
        )
    )


def _draw_look() -> None:
    """Draw the field that opens a running meeting by its code."""
    st.text_input("Or look at one that is open: its code", key=CODE.name, max_chars=20)
    st.button("Look", key="meeting_look", on_click=_look)


def _open(scene: Scene) -> None:
    name = str(NAME.get() or "").strip() or "What do we want?"
    try:
        host = secrets.token_urlsafe(18)
        while not meeting_numbers.is_free(database(), meetings.code_of(host)):
            host = secrets.token_urlsafe(18)
        whole = scenes.load(scenes.ALL).table
        opened = meetings.open_meeting(database(), name, scene.use_case, table_key(whole), host=host)
    except PaletteError as error:
        roster.PROBLEM.set(page_words.of(error))
        return
    MEETING.set(opened.code)
    HOST.set(host)
    palette_state.TAKEN.pop()  # an undo from before the meeting is not offered to the whole room


def _look() -> None:
    typed = str(CODE.get() or "")
    try:
        code = meeting_member.typed_code(typed)
        exists = bool(code) and meetings.meeting(database(), code) is not None
    except PaletteError as error:
        roster.PROBLEM.set(page_words.of(error))
        return
    if exists:
        MEETING.set(code)
        HOST.set("")
        palette_state.TAKEN.pop()
    else:
        roster.PROBLEM.set(meeting_member.no_meeting_text(typed))


def base_address() -> str:
    """Return the address of the app as the host's browser reaches it, without the page."""
    parts = urlsplit(st.context.url or "http://localhost:8501")
    path = parts.path.rstrip("/").removesuffix("/groups")
    return f"{parts.scheme}://{parts.netloc}{path}"


def draw_meeting() -> None:
    """Draw the meeting on one screen."""
    code = str(MEETING.get())
    meeting = meetings.meeting(database(), code)
    if meeting is None:
        meeting_result.draw_closed(code)
        st.button("Back to Agree", key="meeting_back", icon=":material/arrow_back:", on_click=_forget)
        return
    if not meeting_result.is_about_open_table(meeting):
        st.html(markup.title(meeting.name, "This meeting is about another table than the one that is open here."))
        st.button("Back to Agree", key="meeting_back", icon=":material/arrow_back:", on_click=_forget)
        return
    scene = meeting_scene(meeting)
    is_host = _is_host(meeting.code)
    if PROJECTED.get():
        shell_markup.apply_only("projected")
        st.button("Leave projector mode", key="projector_off", type="tertiary", on_click=_project, args=(False,))
    with st.container(key="meeting"):
        with st.container(horizontal=True, vertical_alignment="center", key="meeting_bar"):
            st.html(markup.title(meeting.name, meeting.use_case), width="stretch")
            spend = _draw_budget(scene, meeting, is_host)
            st.button(
                "Projector", key="projector_on", icon=":material/present_to_all:", on_click=_project, args=(True,)
            )
            with st.popover("Address", icon=":material/link:", key="meeting_address"):
                link = _draw_address(meeting.code)
            _draw_exit(scene, meeting, is_host)
        if problem := roster.PROBLEM.pop():
            st.html(shell_markup.alarm(problem))
        _draw_live(scene, meeting, spend, is_host, link)
        speaker_line.draw_speaker_line(change=False)


def _is_host(code: str) -> bool:
    """Return whether this browser opened the meeting; if so, renew its cookie."""
    name = f"{HOST_COOKIE}_{code}"
    host = str(HOST.get() or "") or remember.remembered(name)
    if meetings.code_of(host) != code:
        return False
    HOST.set(host)
    remember.remember(name, host, meetings.OPEN_HOURS * 3600)
    return True


def _project(wanted: bool) -> None:
    PROJECTED.set(wanted)


def _draw_budget(scene: Scene, meeting: meetings.Meeting, is_host: bool) -> float:
    """Draw the budget of the common palette: the host chooses it for everybody."""
    spend = meeting_budget(scene, meeting)
    if not is_host:
        st.html(shell_markup.note(_budget_text(spend)), width="content")
        return spend
    budget = roster.BUDGET.get_or_set(spend)
    with st.popover(_budget_text(budget), icon=":material/savings:", key="meeting_budget"):
        chosen = results.draw_budget(scene)
    if chosen != meeting.budget:
        meetings.set_budget(database(), meeting.code, chosen)
    return chosen


def _budget_text(nats: float | None) -> str:
    return wording.current().pick(f"Budget {amounts.nats(nats, 1)}", f"Budget: {effort(nats or 0.0)} effort")


def _draw_address(code: str) -> str:
    """Draw the link of the QR code, with a field to change the address in it."""
    BASE_ADDRESS.get_or_set(reach.network_address(base_address()))
    base = st.text_input("Address that the phones can reach", key=BASE_ADDRESS.name, persist_state="session")
    base = str(base).strip().rstrip("/") or base_address()
    if not base.startswith(("http://", "https://")):
        base = f"http://{base}"
    link = f"{base}/join?{urlencode({'meeting': code} | scenes.address(), doseq=True)}"
    st.html(
        shell_markup.alarm(problem)
        if (problem := reach.problem(link))
        else shell_markup.note("The phones must be in a network that can reach this address.")
    )
    st.code(link, language=None, wrap_lines=True)
    return link


def _draw_exit(scene: Scene, meeting: meetings.Meeting, is_host: bool) -> None:
    if not is_host:
        st.button("Leave", key="meeting_leave", icon=":material/arrow_back:", on_click=_forget)
        return
    with st.popover("Close", icon=":material/logout:", key="meeting_close"):
        st.html(
            shell_markup.note(
                "The meeting ends for everybody. Each phone shows the common palette. Names and palettes are deleted "
                "from the database and stay only on your page Agree, where they can be saved as files."
            )
        )
        st.button("Close the meeting", key="meeting_end", type="primary", on_click=_close, args=(scene, meeting))
        st.button("Go back without closing it", key="meeting_leave", type="tertiary", on_click=_forget)


def _close(scene: Scene, meeting: meetings.Meeting) -> None:
    """Add the members to the page Agree, store the result, and close the meeting."""
    for _ in range(CLOSINGS):
        counted = meetings.entries(database(), meeting.code)
        seated = [SeatedGroup(entry.name, entry.palette) for entry in counted]
        result = meeting_result.final_result(scene, roster.to_groups(scene, seated), meeting_budget(scene, meeting))
        # Palettes that are sent while this is computed are counted in the next round.
        if meetings.close(database(), meeting.code, result, counted):
            roster.add(seated)
            break
        if meetings.meeting(database(), meeting.code) is None:
            break  # closed elsewhere meanwhile
    else:
        roster.PROBLEM.set("The meeting is still open because people keep sending palettes. Close it again.")
        return
    _forget()


def _remove(code: str, member: str) -> None:
    """Remove a member, whose seat stays taken: it is for the same phone alone, should it come back."""
    meetings.leave(database(), code, member)


def _draw_live(scene: Scene, meeting: meetings.Meeting, spend: float, is_host: bool, link: str) -> None:
    """Draw the part that is updated as members join and change their wishes."""

    @st.fragment(run_every=LOOK_SECONDS)
    def live_part() -> None:
        if meetings.meeting(database(), meeting.code) is None:
            st.rerun()  # closed meanwhile: the whole page says so
        members = meetings.entries(database(), meeting.code)
        names = roster.member_names(entry.name for entry in members)
        groups = roster.to_groups(scene, [SeatedGroup(n, e.palette) for n, e in zip(names, members, strict=True)])
        within = spend if is_host else meeting_budget(scene, meetings.meeting(database(), meeting.code) or meeting)
        known = shared_agreement(meeting.code, scene.key).look(scene, groups, within) if groups else None
        number = meeting_numbers.number_of(meeting.code)
        if not members:
            with st.container(key="meeting_first"):
                st.html(markup.invitation(link, number, reach.problem(link)))
                _draw_members(meeting.code, members, names, is_host)
                note = "Waiting for the first palette. Members say on their phones what matters to them."
                st.html(shell_markup.note(note))
            return
        side, picture = st.columns([1, 4.4], gap="medium")
        with side, st.container(key="meeting_side"):
            st.html(markup.invitation(link, number, reach.problem(link)))
            _draw_members(meeting.code, members, names, is_host)
            if known is not None and known.agreement is not None:
                results.draw_downloads(
                    scene, drawn.GroupFigureData(known.agreement, scene.units(), theme=scene.theme), "meeting"
                )
        with picture, st.container(key="meeting_picture"):
            palette_state.draw_undo_line(UNDO_SECONDS)
            if known is not None:
                _draw_picture(scene, groups, within, known)

    live_part()


def _draw_members(code: str, members: Sequence[meetings.MeetingEntry], names: Sequence[str], is_host: bool) -> None:
    count = len(members)
    st.html(markup.count(f"{count} {'person has' if count == 1 else 'people have'} joined"))
    if count and is_host:
        with st.popover("Members", icon=":material/group:", key="meeting_manage"):
            for entry, name in zip(members, names, strict=True):
                with st.container(horizontal=True, vertical_alignment="center", key=f"member_{entry.member}"):
                    st.html(shell_markup.name(name), width="stretch")
                    st.button(
                        "Remove",
                        key=f"remove_member_{entry.member}",
                        type="tertiary",
                        on_click=_remove,
                        args=(code, entry.member),
                    )
            st.html(shell_markup.note("Somebody who is removed can come back on the same phone by sending again."))


def _draw_picture(scene: Scene, groups: tuple[Group, ...], spend: float, known: KnownAgreement) -> None:
    """Draw what everybody asks for now, and the newest agreement that is known."""
    agreement = known.agreement
    base = agreement or GroupAgreement((), spend)
    now = drawn.GroupFigureData(
        replace(base, groups=groups), scene.units(), large=True, height=HEIGHT, theme=scene.theme
    )
    st.html(
        markup.headline(
            group_text.headline(agreement, wording.current()) if agreement else "Looking for what you have in common."
        )
    )
    st.html(markup.legend([group.name for group in groups], now.lettered))
    settled = (
        drawn.GroupFigureData(base, scene.units(), large=True, height=HEIGHT, theme=scene.theme) if agreement else None
    )
    results.draw_figures(now, "meeting", settled)
    if settled is None or agreement is None:
        return
    results.draw_rules(scene, agreement, "meeting")
    units = scene.units()
    lines = [
        *group_text.differences(agreement, units, most=1),
        group_text.joint_sentence(agreement, units),
        *group_text.pair_sentences(agreement, units, most=1),
    ]
    if first_lines := [line for line in lines if line][:2]:
        st.html(markup.sentences(first_lines))
    if known.error:
        st.html(shell_markup.note(f"This could not be computed: {page_words.of(known.error)}"))
