"""Tables, tuned models and the work on them as one visitor may see and use them; pages go through here alone.

Whose a table is, and who else sees it, stands in a small file beside the tables, ``.access/NAME.json``, and holds for
the work that makes the table as well. A table without such a file belongs to everybody. For tuned models it is the
same; whoever may start builds may tune. Constraint: what a visitor may
do is decided in :mod:`map_core.access` alone.
"""

from __future__ import annotations

import hmac
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from map_core.access import Action, Kind, Thing, Visibility, Visitor, audit, may, require
from map_core.catalog import processes, waiting
from map_core.catalog.folder import TableEntry, clean_name, folder, path_of
from map_core.catalog.folder import delete as delete_table
from map_core.catalog.folder import list_tables as list_all_tables
from map_core.catalog.jobs import TableJob
from map_core.core.atomic_files import atomic_write
from map_core.errors import AccessError, InputError
from map_core.models.tuned import FOLDER, is_finished, tuned_folder


@dataclass(frozen=True)
class TableAccess:
    """Whose a table is.

    Args:
        owner, owner_name: the id and the name of who made it; "" where it belongs to everybody.
        visibility: who else sees it.
        link: what a link to it holds, where it is shared by link.
    """

    owner: str = ""
    owner_name: str = ""
    visibility: Visibility = Visibility.EVERYONE
    link: str = ""

    def thing(self, kind: Kind, link: str = "") -> Thing:
        """Return what is asked about it, for somebody who came by a link where one is given."""
        linked = bool(self.link) and hmac.compare_digest(self.link.encode(), link.encode())
        return Thing(kind, self.owner, self.visibility, linked)


@dataclass(frozen=True)
class VisitorCatalog:
    """The catalog of tables in the name of a visitor.

    Args:
        visitor: who.
    """

    visitor: Visitor

    def list_tables(self) -> tuple[TableEntry, ...]:
        """Return the tables that the visitor sees, the newest first."""
        return tuple(entry for entry in list_all_tables() if self.may(Action.SEE, entry.name))

    def list_jobs(self) -> tuple[TableJob, ...]:
        """Return the work on tables that the visitor sees, the latest first."""
        return tuple(job for job in processes.list_jobs() if self.may(Action.SEE, job.name, Kind.BUILD))

    def list_tuned(self) -> tuple[str, ...]:
        """Return the names of the tuned models that are finished and that the visitor sees, the newest first."""
        done = [place for place in (folder() / FOLDER).glob("*") if is_finished(place)]
        done.sort(key=lambda place: place.stat().st_mtime, reverse=True)
        return tuple(place.name for place in done if self.may(Action.SEE, place.name, Kind.BUILD))

    def tuned_folder(self, name: str) -> Path:
        """Return the folder of a tuned model.

        Raises:
            InputError: there is no such finished model that the visitor sees.
        """
        place = tuned_folder(clean_name(name))
        if not is_finished(place) or not self.may(Action.SEE, name, Kind.BUILD):
            raise InputError(f"There is no tuned model {name!r} any more, or it is not shared with you.")
        return place

    def delete_tuned(self, name: str) -> None:
        """Delete a tuned model, and what is kept of the work that made it.

        Raises:
            InputError: there is none, it is being tuned, or it cannot be removed.
            AccessError: it is somebody else's.
        """
        require(self.visitor, Action.DELETE, access_of(name).thing(Kind.BUILD))
        place = self.tuned_folder(name)
        with _names():
            processes.discard(name)
            try:
                shutil.rmtree(place)
            except OSError as error:
                raise InputError(f"The model {name!r} cannot be removed ({error}).") from error
            _access_path(name).unlink(missing_ok=True)
        self._record("delete", Kind.MODEL, name)

    def may(self, action: Action, name: str, kind: Kind = Kind.TABLE) -> bool:
        """Return whether the visitor may do something with a table, or with the work on it."""
        try:
            return may(self.visitor, action, access_of(name).thing(kind))
        except AccessError:
            return False

    def path_of(self, name: str, link: str = "") -> Path:
        """Return the file of a table, whether it is there or not.

        Args:
            name: of the table.
            link: what the link held by which the visitor came.

        Raises:
            InputError: it can be no name, or is that of a table that the visitor does not see.
        """
        path = path_of(name)
        require(self.visitor, Action.SEE, access_of(name).thing(Kind.TABLE, link))
        return path

    def delete(self, name: str) -> None:
        """Delete a table.

        Raises:
            InputError: there is none, or it cannot be removed.
            AccessError: it is somebody else's.
        """
        require(self.visitor, Action.DELETE, access_of(name).thing(Kind.TABLE))
        with _names():
            delete_table(name)
            _access_path(name).unlink(missing_ok=True)
        self._record("delete", Kind.TABLE, name)

    def share(self, name: str, visibility: Visibility) -> TableAccess:
        """Say who else sees a table.

        Raises:
            AccessError: it is not the visitor's.
        """
        held = access_of(name)
        require(self.visitor, Action.SHARE, held.thing(Kind.TABLE))
        link = (held.link or secrets.token_urlsafe(16)) if visibility is Visibility.LINK else ""
        held = replace(held, visibility=visibility, link=link)
        _write(name, held)
        self._record(f"share with {visibility.value}", Kind.TABLE, name)
        return held

    def start(
        self,
        name: str,
        kind: str,
        arguments: Sequence[str],
        about: Mapping[str, Any],
        inputs: Mapping[str, bytes | Path] | None = None,
        *,
        visibility: Visibility = Visibility.PRIVATE,
        visit: str = "",
    ) -> None:
        """Start to make a table or a model, which is the visitor's; see :func:`map_core.catalog.processes.start`.

        ``visit`` is whose work is counted where it is not known who asks.

        Raises:
            InputError: the name is taken, or the disk cannot be written.
            AccessError: the visitor may not start such work.
        """
        require(self.visitor, Action.CREATE, Thing(Kind.TABLE if kind == "import" else Kind.BUILD))
        with _names():
            place = _access_path(name)
            new = self.visitor.is_known and not processes.is_taken(name) and not processes.is_worked_on(name)
            if new:
                link = secrets.token_urlsafe(16) if visibility is Visibility.LINK else ""
                _write(name, TableAccess(self.visitor.id, self.visitor.name, visibility, link))
            try:
                processes.start(name, kind, arguments, about, inputs, visitor=self.visitor.id or visit)
            except InputError:
                if new:
                    place.unlink(missing_ok=True)
                raise
        self._record(f"start to {kind}", Kind.BUILD, name)

    def resume(self, name: str) -> None:
        """Go on with work; see :func:`map_core.catalog.processes.resume`."""
        self._require_work(name)
        processes.resume(name)
        self._record("resume", Kind.BUILD, name)

    def answer(self, name: str, answers: Mapping[str, str | None]) -> None:
        """Answer the questions of work; see :func:`map_core.catalog.processes.answer`."""
        self._require_work(name)
        processes.answer(name, answers)

    def stop(self, name: str) -> None:
        """Stop work; see :func:`map_core.catalog.processes.stop`."""
        self._require_work(name)
        processes.stop(name)
        self._record("stop", Kind.BUILD, name)

    def discard(self, name: str) -> None:
        """Forget work; see :func:`map_core.catalog.processes.discard`."""
        self._require_work(name)
        with _names():
            processes.discard(name)
            if not processes.is_taken(name):
                _access_path(name).unlink(missing_ok=True)
        self._record("discard", Kind.BUILD, name)

    def _require_work(self, name: str) -> None:
        thing = access_of(name).thing(Kind.BUILD)
        require(self.visitor, Action.SEE, thing)
        require(self.visitor, Action.STOP, thing)

    def _record(self, action: str, kind: Kind, name: str) -> None:
        audit.record(self.visitor.id, action, kind.value, name)


def access_of(name: str) -> TableAccess:
    """Return whose a table is, or the work that makes it.

    Raises:
        AccessError: what is kept of it cannot be read, so that nobody is let to it.
    """
    place = _access_path(name)
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
        return TableAccess(
            str(kept["owner"]), str(kept["owner_name"]), Visibility(kept["visibility"]), str(kept.get("link", ""))
        )
    except FileNotFoundError:
        return TableAccess()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AccessError(f"Whose table {name!r} is cannot be read, so it is closed. Mend {place.name}.") from error


def _names() -> AbstractContextManager[None]:
    """Hold the lock on whose names are, so that nobody takes a name between two steps of another one."""
    return waiting.order_lock(folder() / ".making")


def _access_path(name: str) -> Path:
    return folder() / ".access" / f"{clean_name(name)}.json"


def _write(name: str, held: TableAccess) -> None:
    place = _access_path(name)
    try:
        place.parent.mkdir(exist_ok=True)
        content = {**held.__dict__, "visibility": held.visibility.value}
        with atomic_write(place) as partial:
            partial.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise InputError(f"Whose table {name!r} is cannot be kept ({error}). Make room on the disk.") from error
