"""Read the rows of an Excel workbook (.xlsx): the only sheet with rows, its header, and cells by column.

Rows are numbered as Excel numbers them. Numbers and booleans stay what they are, dates become ISO 8601 text, a formula
is its last result, and an empty cell is None. Hidden rows and columns are read like others. Constraint: rows are
streamed, as a workbook of a few megabytes may unpack to many gigabytes; what has to be in memory at once is limited.

Source: Office Open XML, ECMA-376; limits of Excel as Microsoft documents them in "Excel specifications and limits".
"""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from map_core.data.text_files.excerpts import check_columns
from map_core.errors import InputError

if TYPE_CHECKING:
    from openpyxl.workbook.workbook import Workbook

#: Most rows of a sheet, and most characters of a cell, in Excel: a longer text is cut off there when it is entered.
ROWS, CHARACTERS = 2**20, 32767
#: Most unpacked megabytes of the workbook's texts, of each of its other parts that are read as a whole, and of a sheet.
TEXTS_MEGABYTES, PART_MEGABYTES, SHEET_MEGABYTES = 64, 8, 1024
#: Most cells of a sheet, with the empty ones between others: about 20 seconds.
CELLS = 20_000_000
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Sheet:
    """The sheet of a workbook that has rows.

    Args:
        path: the workbook.
        name: the sheet's name.
        row: the row of the header, counted from 1.
        names: names of the columns, in the sheet's order.
        last: the last row, as the program that wrote the file says; 0 where it does not.
        most_cells: most cells that are read, with empty ones.
    """

    path: Path
    name: str
    row: int
    names: tuple[str, ...]
    last: int = 0
    most_cells: int = CELLS

    def rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield the number of each row below the header that is not blank, and its cells by column.

        Raises:
            InputError: a row has a cell beyond the last column, a text is as long as Excel cuts it, or the file is
                damaged.
        """
        with _opened(self.path) as workbook:
            for number, cells in _numbered(workbook[self.name], self.most_cells):
                if number <= self.row:
                    continue
                beyond = next((cell for cell in cells[len(self.names) :] if cell is not None), None)
                if beyond is not None:
                    raise InputError(
                        f"{self.path}, row {number}: beyond the last column, {self.names[-1]!r}, stands "
                        f"{str(beyond)!r:.60}. Give its column a name, or empty it."
                    )
                if any(isinstance(cell, str) and len(cell) >= CHARACTERS for cell in cells):
                    raise InputError(
                        f"{self.path}, row {number}: a text has {CHARACTERS:,} characters, which is where Excel cuts "
                        "texts off. Save what the workbook was made from as CSV UTF-8, and give that file."
                    )
                padded = [*cells, *[None] * (len(self.names) - len(cells))]
                yield number, dict(zip(self.names, padded, strict=False))


def is_workbook(path: Path) -> bool:
    """Return whether a file is an Excel workbook, whatever its name: a zip archive with the part of a workbook."""
    try:
        with path.open("rb") as file:
            if file.read(len(_ZIP)) != _ZIP:
                return False
            with zipfile.ZipFile(file) as archive:
                return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def find_sheet(path: Path, most_cells: int = CELLS) -> Sheet:
    """Find the sheet of a workbook that has rows, and read its header.

    Args:
        path: the workbook.
        most_cells: most cells that are read, with empty ones.

    Raises:
        InputError: the file is damaged or too large, no sheet or several of them have rows, or the header has a column
            without a name or a name twice.
    """
    with _opened(path) as workbook:
        last_rows = {sheet.title: sheet.max_row or 0 for sheet in workbook.worksheets}
        first_rows = {sheet.title: next(_numbered(sheet, most_cells), None) for sheet in workbook.worksheets}
    headers = {title: row for title, row in first_rows.items() if row is not None}
    if not headers:
        raise InputError(f"{path} has no rows. Give a sheet with a header and a row below it for each reply.")
    if len(headers) > 1:
        raise InputError(
            f"{path} has rows in the sheets {', '.join(map(repr, headers))}; expected one such sheet. Save the one to "
            "use as a workbook of its own, or as CSV UTF-8."
        )
    ((title, (number, cells)),) = headers.items()
    names = ["" if cell is None else str(cell).strip() for cell in cells]
    if "" in names:
        raise InputError(
            f"{path}, row {number}: column {names.index('') + 1} has no name; expected a header with a name for each "
            "column."
        )
    return Sheet(path, title, number, check_columns(names, path), last_rows[title], most_cells)


@contextmanager
def _opened(path: Path) -> Iterator[Workbook]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    # What it leaves out, such as validation rules and pictures, is not in the rows.
    warnings.filterwarnings("ignore", module="openpyxl")
    try:
        _check_sizes(path)
        workbook = load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            yield workbook
        finally:
            workbook.close()
    except InputError:
        raise
    # What the library raises for damaged parts is not documented: errors of zip, XML, keys and values.
    except (
        zipfile.BadZipFile,
        InvalidFileException,
        OSError,
        SyntaxError,
        LookupError,
        ValueError,
        TypeError,
    ) as fault:
        raise InputError(
            f"{path} is a workbook that cannot be read ({fault}). Open it in Excel, save the sheet as CSV UTF-8, and "
            "give that file."
        ) from fault


def _check_sizes(path: Path) -> None:
    """Refuse a workbook of which too much would be in memory at once.

    Sizes are those of the archive's list: what is read ends there, whatever else is packed.
    """
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if not part.filename.endswith((".xml", ".rels")):
                continue
            texts, sheet = part.filename == "xl/sharedStrings.xml", part.filename.startswith("xl/worksheets/")
            most = TEXTS_MEGABYTES if texts else SHEET_MEGABYTES if sheet else PART_MEGABYTES
            if part.file_size > most * 2**20:
                raise InputError(
                    f"{path} unpacks to {part.file_size / 2**20:,.0f} MB in {part.filename}, of at most {most}. Save "
                    "the sheet as CSV UTF-8, and give that file."
                )


def _numbered(sheet: Any, most_cells: int) -> Iterator[tuple[int, Sequence[Any]]]:
    """Yield the number and the cells of each row that is not blank, without empty cells at its end."""
    sheet.reset_dimensions()  # some programs write a range into the file that is smaller than the sheet
    cells_read = 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells_read += len(row)
        if number > ROWS:
            raise ValueError(f"it has a row below row {ROWS:,}, which is Excel's last")
        if cells_read > most_cells:
            raise ValueError(f"it has more than {most_cells:,} cells, with the empty ones between others")
        cells = [_cell(value) for value in row]
        while cells and cells[-1] is None:
            cells.pop()
        if cells:
            yield number, cells


def _cell(value: Any) -> Any:
    """Return a cell as JSON knows it: None, a boolean, a number or a text."""
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return str(value)
    return value
