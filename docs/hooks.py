"""Hooks of MkDocs: put the pictures of ``assets/`` beside the documents, which name them as the repository does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
#: A picture in a document: its alternative text, and its name in assets/.
PICTURE = re.compile(r"(!\[[^\]]*\]\()\.\./(assets/[\w.-]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pictures that documents show."""
    texts = [Path(file.abs_src_path).read_text(encoding="utf-8") for file in files.documentation_pages()]
    for name in sorted({name for text in texts for _, name in PICTURE.findall(text)}):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Name pictures by their place in the site."""
    return PICTURE.sub(r"\1\2)", markdown)
