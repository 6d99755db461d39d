"""Access tables, tuned models and their jobs with the permissions of a visitor; pages use only this module.

The owner of a table, and who else sees it, are recorded in a small file beside the tables, ``.access/NAME.json``, which
also applies to the job that makes the table. A table without such a file belongs to everybody. The same holds for tuned
models; visitors who may start builds may tune. Constraint: permissions are decided only in :mod:`map_core.access`.
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
from map_core.models.files import drop_merged
from map_core.models.tuned import FOLDER, is_finished, tuned_folder


@dataclass(frozen=True)
class TableAccess:
    """The owner and the visibility of a table.

    Args:
        owner, owner_name: id and name of the owner; "" if it belongs to everybody.
        visibility: who else sees it.
        link: the secret in a link to it, if it is shared by link.
    """

    owner: str = ""
    owner_name: str = ""
    visibility: Visibility = Visibility.EVERYONE
    link: str = ""

    def thing(self, kind: Kind, link: str = "") -> Thing:
        """Return the thing for a permission check, for a visitor who may have come by a link."""
        linked = bool(self.link) and hmac.compare_digest(self.link.encode(), link.encode())
        return Thing(kind, self.owner, self.visibility, linked)


@dataclass(frozen=True)
class VisitorCatalog:
    """The catalog of tables for one visitor.

    Args:
        visitor: the visitor.
    """

    visitor: Visitor

    def list_tables(self) -> tuple[TableEntry, ...]:
        """Return the tables that the visitor sees, the newest first."""
        return tuple(entry for entry in list_all_tables() if self.may(Action.SEE, entry.name))

    def list_jobs(self) -> tuple[TableJob, ...]:
        """Return the jobs that the visitor sees, the latest first."""
        return tuple(job for job in processes.list_jobs() if self.may(Action.SEE, job.name, Kind.BUILD))

    def list_tuned(self) -> tuple[str, ...]:
        """Return the names of the tuned models that are finished and that the visitor sees, the newest first."""
        done = [path for path in (folder() / FOLDER).glob("*") if is_finished(path)]
        done.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return tuple(path.name for path in done if self.may(Action.SEE, path.name, Kind.BUILD))

    def tuned_folder(self, name: str) -> Path:
        """Return the folder of a tuned model.

        Raises:
            InputError: there is no such finished model that the visitor sees.
        """
        path = tuned_folder(clean_name(name))
        if not is_finished(path) or not self.may(Action.SEE, name, Kind.BUILD):
            raise InputError(f"There is no tuned model {name!r} any more, or it is not shared with you.")
        return path

    def delete_tuned(self, name: str) -> None:
        """Delete a tuned model and its job.

        Raises:
            InputError: there is none, it is being tuned, or it cannot be removed.
            AccessError: it belongs to another visitor.
        """
        require(self.visitor, Action.DELETE, access_of(name).thing(Kind.BUILD))
        path = self.tuned_folder(name)
        with _name_lock():
            processes.discard(name)
            drop_merged(path)
            try:
                shutil.rmtree(path)
            except OSError as error:
                raise InputError(f"The model {name!r} cannot be removed ({error}).") from error
            _access_path(name).unlink(missing_ok=True)
        self._record("delete", Kind.MODEL, name)

    def may(self, action: Action, name: str, kind: Kind = Kind.TABLE) -> bool:
        """Return whether the visitor may do something with a table or its job."""
        try:
            return may(self.visitor, action, access_of(name).thing(kind))
        except AccessError:
            return False

    def path_of(self, name: str, link: str = "") -> Path:
        """Return the path of a table's file, which need not exist.

        Args:
            name: the table's name.
            link: the secret of the link by which the visitor came.

        Raises:
            InputError: the name is not valid, or is that of a table that the visitor does not see.
        """
        path = path_of(name)
        require(self.visitor, Action.SEE, access_of(name).thing(Kind.TABLE, link))
        return path

    def delete(self, name: str) -> None:
        """Delete a table.

        Raises:
            InputError: there is none, or it cannot be removed.
            AccessError: it belongs to another visitor.
        """
        require(self.visitor, Action.DELETE, access_of(name).thing(Kind.TABLE))
        with _name_lock():
            delete_table(name)
            _access_path(name).unlink(missing_ok=True)
        self._record("delete", Kind.TABLE, name)

    def share(self, name: str, visibility: Visibility) -> TableAccess:
        """Set who else sees a table.

        Raises:
            AccessError: it is not the visitor's.
        """
        access = access_of(name)
        require(self.visitor, Action.SHARE, access.thing(Kind.TABLE))
        link = (access.link or secrets.token_urlsafe(16)) if visibility is Visibility.LINK else ""
        access = replace(access, visibility=visibility, link=link)
        _write(name, access)
        self._record(f"share with {visibility.value}", Kind.TABLE, name)
        return access

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
        """Start a job whose result belongs to the visitor; see :func:`map_core.catalog.processes.start`.

        ``visit`` identifies an anonymous visitor, so that their jobs are counted.

        Raises:
            InputError: the name is taken, or the disk cannot be written.
            AccessError: the visitor may not start such jobs.
        """
        require(self.visitor, Action.CREATE, Thing(Kind.TABLE if kind == "import" else Kind.BUILD))
        with _name_lock():
            path = _access_path(name)
            new = self.visitor.is_known and not processes.is_taken(name) and not processes.is_worked_on(name)
            if new:
                link = secrets.token_urlsafe(16) if visibility is Visibility.LINK else ""
                _write(name, TableAccess(self.visitor.id, self.visitor.name, visibility, link))
            try:
                processes.start(name, kind, arguments, about, inputs, visitor=self.visitor.id or visit)
            except InputError:
                if new:
                    path.unlink(missing_ok=True)
                raise
        self._record(f"start to {kind}", Kind.BUILD, name)

    def resume(self, name: str) -> None:
        """Resume a job; see :func:`map_core.catalog.processes.resume`."""
        self._require_work(name)
        processes.resume(name)
        self._record("resume", Kind.BUILD, name)

    def answer(self, name: str, answers: Mapping[str, str | None]) -> None:
        """Answer the questions of a job; see :func:`map_core.catalog.processes.answer`."""
        self._require_work(name)
        processes.answer(name, answers)

    def stop(self, name: str) -> None:
        """Stop a job; see :func:`map_core.catalog.processes.stop`."""
        self._require_work(name)
        processes.stop(name)
        self._record("stop", Kind.BUILD, name)

    def discard(self, name: str) -> None:
        """Delete a job; see :func:`map_core.catalog.processes.discard`."""
        self._require_work(name)
        with _name_lock():
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
    """Return the owner and the visibility of a table or of the job that makes it.

    Raises:
        AccessError: the record cannot be read, so that access is denied to everybody.
    """
    path = _access_path(name)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return TableAccess(
            owner=str(record["owner"]),
            owner_name=str(record["owner_name"]),
            visibility=Visibility(record["visibility"]),
            link=str(record.get("link", "")),
        )
    except FileNotFoundError:
        return TableAccess()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AccessError(f"Whose table {name!r} is cannot be read, so it is closed. Mend {path.name}.") from error


def _name_lock() -> AbstractContextManager[None]:
    """Lock the names of tables, so that no other process takes a name between two steps."""
    return waiting.order_lock(folder() / ".making")


def _access_path(name: str) -> Path:
    return folder() / ".access" / f"{clean_name(name)}.json"


def _write(name: str, access: TableAccess) -> None:
    path = _access_path(name)
    try:
        path.parent.mkdir(exist_ok=True)
        content = {**access.__dict__, "visibility": access.visibility.value}
        with atomic_write(path) as partial:
            partial.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise InputError(f"Whose table {name!r} is cannot be saved ({error}). Make room on the disk.") from error
