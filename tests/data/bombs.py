"""Decompression bombs and other small files that expand: each function writes one file and returns its path."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MEGABYTE = 10**6


def repeated_text(folder: Path) -> Path:
    """1 MB of text in each of 4,000 rows: 1 kB on the disk, 4 GB in memory."""
    path = folder / "repeated.parquet"
    text = pa.array(["x" * MEGABYTE])
    reply = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), text)
    table = pa.table({"prompt": ["p"] * 4000, "reply": reply, "humor": [0.5] * 4000})
    pq.write_table(table, path, compression="zstd")
    return path


def _long_cells(codec: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / f"cells_{codec}.parquet"
        part = pa.table({"prompt": ["p"], "reply": ["\0" * (32 * MEGABYTE)], "humor": [0.5]})
        # Computing column statistics takes ten times as long as writing the file.
        options = {"compression": codec, "use_dictionary": False, "write_statistics": False}
        with pq.ParquetWriter(path, part.schema, **options) as writer:
            for _ in range(20):
                writer.write_table(part)
        return path

    write.__name__ = f"long_cells_{codec}"
    return write


def _patched_footer(source: Path, name: str, old: int, new: int) -> Path:
    """Replace a number in the footer of a Parquet file by another that takes as many bytes."""
    content = source.read_bytes()
    length = struct.unpack("<I", content[-8:-4])[0]
    body, footer = content[: -8 - length], content[-8 - length : -8]
    assert _varint(old) in footer
    assert len(_varint(old)) == len(_varint(new))
    path = source.with_name(name)
    path.write_bytes(body + footer.replace(_varint(old), _varint(new)) + content[-8:])
    return path


def _varint(number: int) -> bytes:
    """Encode a number as Thrift's compact protocol does: zigzag, seven bits a byte."""
    number, out = number << 1, b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def lying_rows(folder: Path) -> Path:
    """The footer claims more rows than the pages hold, and each row is long."""
    path = folder / "many.parquet"
    pq.write_table(_dictionary(700_000), path, compression="zstd")
    return _patched_footer(path, "lying_rows.parquet", 700_000, 1_000_000)


def lying_size(folder: Path) -> Path:
    """The footer claims that a gigabyte of text is tiny."""
    path = repeated_text(folder)
    total = pq.read_metadata(path).row_group(0).total_byte_size
    return _patched_footer(path, "lying_size.parquet", total, total - total % 2**14 + 2**14 - 1)


def lying_footer_length(folder: Path) -> Path:
    """The footer claims to be 2 GB long."""
    path = folder / "long_footer.parquet"
    pq.write_table(_dictionary(10), path)
    path.write_bytes(path.read_bytes()[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1")
    return path


def _dictionary(rows: int) -> pa.Table:
    reply = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 200_000]))
    return pa.table({"prompt": ["p"] * rows, "reply": reply, "humor": [0.5] * rows})


def lists_of_texts(folder: Path) -> Path:
    """Each row has a list of 100,000 replies of 1 kB."""
    path, rows, each = folder / "lists.parquet", 60, 100_000
    items = pa.DictionaryArray.from_arrays(pa.array([0] * (rows * each), pa.int32()), pa.array(["x" * 1000]))
    lists = pa.ListArray.from_arrays(pa.array(range(0, rows * each + 1, each), pa.int32()), items)
    pq.write_table(pa.table({"prompt": ["p"] * rows, "responses": lists}), path, compression="zstd")
    return path


def many_columns(folder: Path) -> Path:
    """Twenty thousand columns."""
    path = folder / "columns.parquet"
    pq.write_table(pa.table({f"c{number}": [0.5] for number in range(20_000)}), path)
    return path


def deep_json(folder: Path) -> Path:
    """Five million opening brackets in one cell."""
    path = folder / "deep.jsonl"
    path.write_text('{"prompt": ' + "[" * 5_000_000)
    return path


def deep_objects(folder: Path) -> Path:
    """A list that holds an object in an object, a million times."""
    path = folder / "deep.json"
    path.write_text("[" + '{"a":' * 1_000_000 + "1" + "}" * 1_000_000 + "]")
    return path


def empty_objects(folder: Path) -> Path:
    """Twelve million empty objects, 64 bytes each in memory."""
    path = folder / "objects.jsonl"
    path.write_text('{"prompt": [' + ",".join(["{}"] * 12_000_000) + "]}\n")
    return path


def long_number(folder: Path) -> Path:
    """A number of twenty million digits."""
    path = folder / "number.jsonl"
    path.write_text('{"prompt": "p", "reply": "r", "humor": ' + "9" * 20_000_000 + "}\n")
    return path


def many_keys(folder: Path) -> Path:
    """Each row has its own keys, so a chunk has a column for each."""
    path = folder / "keys.jsonl"
    with path.open("w") as file:
        for row in range(2000):
            file.write(json.dumps({f"k{row}_{key}": 1 for key in range(100)}) + "\n")
    return path


def wide_csv(folder: Path) -> Path:
    """Five thousand columns in four thousand rows of commas."""
    path = folder / "wide.csv"
    path.write_text(",".join(f"c{number}" for number in range(5000)) + "\n" + ("1" + "," * 4999 + "\n") * 4000)
    return path


def open_quote(folder: Path) -> Path:
    """One cell of 100 MB, since a quote is never closed."""
    path = folder / "quote.csv"
    path.write_text('prompt,reply,humor\np,"' + "xxxxxxxxx\n" * 10_000_000)
    return path


def one_line(folder: Path) -> Path:
    """One line of 150 MB that is no JSON."""
    path = folder / "line.jsonl"
    path.write_text('{"prompt": "' + "\\u0041" * 25_000_000)
    return path


def zipped(folder: Path) -> Path:
    """Zip archives in a zip archive, called CSV."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"0" * 50 * MEGABYTE)
    path = folder / "nest.csv"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(50):
            archive.writestr(f"{number}.zip", inner.getvalue())
    return path


def gzipped_json(folder: Path) -> Path:
    """JSON lines behind gzip."""
    path = folder / "rows.jsonl"
    path.write_bytes(gzip.compress(b'{"prompt": "p", "reply": "r", "humor": 1}\n' * 1_000_000))
    return path


def tarred(folder: Path) -> Path:
    """A compressed archive, called JSON."""
    path, content = folder / "rows.json", b"[" * 20 * MEGABYTE
    with tarfile.open(path, "w:gz") as archive:
        entry: Any = tarfile.TarInfo("rows.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return path


def _workbook(folder: Path, name: str, rows: str, texts: int = 0) -> Path:
    """Write a workbook with these rows of XML, and so many bytes of shared texts."""
    path, main = folder / name, 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packages = "http://schemas.openxmlformats.org/package/2006"
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{packages}/content-types">'
        f'<Override PartName="/xl/workbook.xml" ContentType="{types}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{types}.worksheet+xml"/></Types>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{office}"><sheets>'
        '<sheet name="A" sheetId="1" r:id="a"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packages}/relationships">'
        f'<Relationship Id="a" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{rows}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
        if texts:
            with archive.open("xl/sharedStrings.xml", "w", force_zip64=True) as file:
                file.write(f"<sst {main}>".encode())
                for _ in range(texts // (8 * MEGABYTE)):
                    file.write(b"<si><t/></si>" * (8 * MEGABYTE // 13))
                file.write(b"</sst>")
    return path


def workbook_texts(folder: Path) -> Path:
    """A workbook with 62 million shared texts: 800 MB of XML, and gigabytes as objects."""
    return _workbook(folder, "texts.xlsx", '<row r="1"><c r="A1" t="s"><v>0</v></c></row>', texts=800 * MEGABYTE)


def workbook_rows(folder: Path) -> Path:
    """A workbook whose second row claims to be the billionth."""
    text = '<c r="{}{}" t="inlineStr"><is><t>{}</t></is></c>'
    header = "".join(
        text.format(place, 1, name) for place, name in zip("ABC", ("prompt", "reply", "humor"), strict=True)
    )
    row = "".join(text.format(place, 999999999, "1") for place in "ABC")
    return _workbook(folder, "rows.xlsx", f'<row r="1">{header}</row><row r="999999999">{row}</row>')


BOMBS: tuple[Callable[[Path], Path], ...] = (
    repeated_text,
    *(_long_cells(codec) for codec in ("zstd", "gzip", "snappy", "lz4")),
    lying_rows,
    lying_size,
    lying_footer_length,
    lists_of_texts,
    many_columns,
    deep_json,
    deep_objects,
    empty_objects,
    long_number,
    many_keys,
    wide_csv,
    open_quote,
    one_line,
    zipped,
    gzipped_json,
    tarred,
    workbook_texts,
    workbook_rows,
)
