"""Sharing a palette: the link, the report, its data, and the weights for engineers.

A report is computed on a click, once for all its formats. Constraint: :func:`draw_share_bar` costs next to nothing
until a button is pressed, so that it can be part of a page that is drawn again after every move.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import streamlit as st

from map_core import report as reports
from map_core.core.assets import app_folder
from map_core.core.compute_once import ComputeOnce
from map_core.core.types import Verdict
from map_core.data.reward_table import RewardTable
from map_core.feasibility import Assessment
from map_core.palettes.palette import Palette
from map_core.report import Report, ReportOptions
from map_core.scoring.validation import Label
from pages.view.session import people_labels
from pages.view.session import scene as scenes
from pages.view.session.kept_choices import RECORDS
from pages.view.session.scene import ALL, Scene
from pages.view.shell import component, markup, reach, wording

PAGES = app_folder() / "pages"
#: Reports that are cached for all viewers.
MAX_REPORTS = 8
#: What a report has where nothing else is asked for.
EVERYTHING = ReportOptions()
#: What the snippets need: the weights alone.
WEIGHTS_ONLY = ReportOptions(draws=0, samples=0, figures=False)

_CHAIN = "M10 14a4.5 4.5 0 0 0 6.4 0l3.2-3.2a4.5 4.5 0 0 0-6.4-6.4L12 5.6M14 10a4.5 4.5 0 0 0-6.4 0l-3.2 3.2"

_mount = component.register(
    "share",
    f"""<div>
<button type="button"><svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2"
stroke-linecap="round" aria-hidden="true"><path d="{_CHAIN}a4.5 4.5 0 0 0 6.4 6.4l1.2-1.2"/></svg>
<span>Copy link</span></button>
<input aria-label="Link to this palette" readonly hidden><div role="status"></div><p role="alert" hidden></p></div>""",
)
_reports: ComputeOnce[Report] = ComputeOnce(MAX_REPORTS)


def draw_share_bar(
    scene: Scene, palette: Palette, assessment: Assessment, name: str = "", first: Callable[[], None] | None = None
) -> None:
    """Draw the row of buttons that share a palette.

    Args:
        scene: of the palette's use case.
        palette: to share.
        assessment: of the palette.
        name: of the palette, for the report and its file.
        first: draws the first element of the row.
    """
    request = report_request(scene, palette, name)
    file, reading = _file_name(name), wording.current()
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="share"):
        if first is not None:
            first()
        home = app_address()
        _mount(
            key="share_link",
            width="content",
            data={"home": home, "query": address_query(palette), "problem": reach.problem(home)},
        )
        st.download_button(
            "Report",
            lambda: reports.html(request.report(), reading).encode(),
            f"{file}.html",
            "text/html",
            icon=":material/description:",
            on_click="ignore",
            key="share_report",
            help="One HTML file for the meeting: verdict, price, figures, error bars and replies. It opens "
            "offline and prints to PDF.",
        )
        data = st.popover("Data", icon=":material/table:", key="share_data", on_change="rerun")
        if data.open:
            with data:
                _draw_data(request, file)
        if not reading.numbers:
            return  # commands and weights speak of lambda and nats throughout
        engineers = st.popover("For engineers", icon=":material/terminal:", key="share_engineers", on_change="rerun")
        if engineers.open:
            with engineers:
                _draw_snippets(request, assessment)


@dataclass(frozen=True, eq=False)
class ReportRequest:
    """A report with everything that it depends on, so that it can be computed in any thread, without Streamlit.

    Args:
        whole: the table of all use cases.
        scene: of the palette's use case.
        palette: what it is about.
        name: of the palette.
        path: of the table's file.
        link: to the palette; "" for none.
        choices: between replies, from which the palette may have been inferred.
        labels: of the table's replies.
    """

    whole: RewardTable
    scene: Scene
    palette: Palette
    name: str
    path: Path
    link: str
    choices: Sequence[Mapping[str, Any]] = ()
    labels: tuple[Label, ...] = ()

    def key(self, wanted: ReportOptions = EVERYTHING) -> Hashable:
        """Return a key of the report's content: equal keys mean equal reports."""
        request_json = json.dumps([self.palette.as_dict(), self.choices], sort_keys=True)
        content = hashlib.sha256(f"{request_json} {self._labels(wanted)!r}".encode()).hexdigest()
        study = reports.study_version(self.path) if wanted.figures else None
        return self.scene.key, content, study, self.name, self.link, wanted

    def report(self, wanted: ReportOptions = EVERYTHING, tell: Callable[[str], None] | None = None) -> Report:
        """Compute the report, or return it from the cache.

        Args:
            wanted: see :func:`map_core.report.compute.compute_report`.
            tell: called with what is being computed.
        """
        return _reports.get(self.key(wanted), lambda: self._compute(wanted, tell))

    def _labels(self, wanted: ReportOptions) -> tuple[Label, ...]:
        return self.labels if wanted.figures else ()

    def _compute(self, wanted: ReportOptions, tell: Callable[[str], None] | None) -> Report:
        return reports.compute_report(
            self.whole,
            self.palette,
            date=datetime.now(UTC),
            name=self.name,
            names=self.scene.names,
            # Paths of the server are not disclosed; the hash identifies the table.
            shown_table="" if self.path == scenes.DEFAULT_TABLE else self.path.name,
            link=self.link,
            study=reports.find_study(self.path) if wanted.figures else None,
            form=self.scene.oracle.form,
            wanted=wanted,
            theme=self.scene.theme,
            tell=tell,
            labels=self._labels(wanted),
            choices=self.choices,
        )


def report_request(scene: Scene, palette: Palette, name: str = "") -> ReportRequest:
    """Return the report of a palette as this viewer would get it; what it needs of Streamlit is read here."""
    return ReportRequest(
        scenes.load(ALL).table,
        scene,
        palette,
        name,
        scenes.table_path(),
        shared_link(palette),
        RECORDS.get(),
        people_labels.given(),
    )


def shared_link(palette: Palette) -> str:
    """Return the link in a report for others; "" where it would lead each of them to their own device."""
    home = reach.network_address(app_address())
    return f"{home}{address_query(palette)}" if home and not reach.is_loopback(home) else ""


def app_address() -> str:
    """Return the address of the app's first page as this browser reaches it; "" where it is not known."""
    url = st.context.url
    if not url:
        return ""
    parts = urlsplit(url)
    before, _, last = parts.path.rpartition("/")
    path = f"{before}/" if (PAGES / f"{last}.py").exists() or not last else f"{parts.path}/"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def address_query(palette: Palette) -> str:
    """Return the query of an address: the palette, the table where it is not the app's own, and links of its values."""
    query = palette.to_query() | scenes.address(palette.targets)
    return f"?{urlencode(query, doseq=True, safe=':;=!')}"


def _draw_data(request: ReportRequest, file: str) -> None:
    """Draw the downloads of everything in the report, for programs and for spreadsheets."""
    st.download_button(
        "Everything (JSON)",
        lambda: reports.as_json(request.report()).encode(),
        f"{file}.json",
        "application/json",
        icon=":material/data_object:",
        on_click="ignore",
        key="share_json",
        width="stretch",
    )
    st.download_button(
        "Tables (CSV, zipped)",
        lambda: reports.zipped(request.report()),
        f"{file}.zip",
        "application/zip",
        icon=":material/folder_zip:",
        on_click="ignore",
        key="share_csv",
        width="stretch",
    )


def _draw_snippets(request: ReportRequest, assessment: Assessment) -> None:
    """Draw the weights as text to copy."""
    if assessment.verdict is Verdict.OUT_OF_REACH:
        st.html(markup.note("The palette is not possible: the weights are those of the nearest one that is."))
    snippets = reports.snippets(request.report(WEIGHTS_ONLY))
    for tab, snippet in zip(st.tabs([snippet.title for snippet in snippets]), snippets, strict=True):
        with tab:
            st.html(markup.note(snippet.note))
            st.code(
                snippet.text,
                snippet.language,
                wrap_lines=True,
                height=360 if snippet.text.count("\n") > 15 else "content",
            )


def _file_name(name: str) -> str:
    """Return a file name that every system accepts."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"palette-{plain}" if plain else "palette"
