"""The form that imports a table: upload a file, preview it, choose its columns, and read it in a separate process.

An uploaded file is written to the disk and removed from Streamlit's memory at once, which would keep it as long as the
page is open. Constraint: no path comes from a browser; files on the server's machine can only be chosen from the one
folder that VALUE_PALETTE_INBOX names.
"""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile

from map_core import catalog
from map_core.access import Kind
from map_core.catalog import processes
from map_core.core import amounts
from map_core.core.limits import IMPORT_MEMORY, IMPORT_SECONDS
from map_core.data.importing import ColumnChoice, Preview
from map_core.data.importing.preview_process import preview_apart
from map_core.errors import InputError
from pages.view.shell import account, markup, page_words
from pages.view.shell.session_keys import Key, KeyFamily
from pages.view.shell.viewer import viewer_id
from pages.view.tables import markup as table_markup

UPLOAD: Key[Upload | None] = Key("tables_upload", None)
FILE_ROUND: Key[int] = Key("tables_file_round", 0)
FILE: KeyFamily[UploadedFile | None] = KeyFamily("tables_file_{}", None)
WHO_SEES: Key[str] = Key("import_visibility", "")
NAME: Key[str] = Key("upload_name", "")

INBOX = "VALUE_PALETTE_INBOX"
SUFFIXES = ("csv", "tsv", "txt", "xlsx", "json", "jsonl", "parquet", "pq")
#: Megabytes that can be uploaded.
MAX_MEGABYTES = int(st.get_option("server.maxUploadSize"))
#: Seconds after which an upload that was not imported is deleted.
KEPT_SECONDS = 24 * 3600
#: Characters of a cell that a preview shows.
PREVIEW_LENGTH = 160
NONE = "(none)"


@dataclass(frozen=True)
class Upload:
    """A file whose columns are being chosen.

    Args:
        path: of the file on this machine.
        name: its name on the viewer's machine.
        stays: it is in the inbox and is neither moved nor deleted.
    """

    path: Path
    name: str
    stays: bool = False


def draw_import_form() -> None:
    """Draw the upload, and once there is a file, the choice of its columns."""
    table_markup.draw_message()
    if account.draw_refusal(Kind.TABLE):
        return
    current = UPLOAD.get()
    if current is None or not current.path.is_file():
        _draw_upload()
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="upload_head"):
        st.html(table_markup.title(current.name, amounts.byte_size(current.path.stat().st_size)), width="content")
        st.button("Another file", key="upload_other", icon=":material/close:", type="tertiary", on_click=_discard)
    try:
        preview = _preview(str(current.path), current.path.stat().st_mtime)
    except InputError as error:
        st.text(_without_path(page_words.of(error), current))
        return
    _draw_columns(current, preview)


def _without_path(text: str, current: Upload) -> str:
    """Return a message with the viewer's file name in place of the path on this machine."""
    text = text.replace(str(current.path), current.name)
    return text.replace(str(current.path.with_suffix("")), Path(current.name).stem)


def _draw_upload() -> None:
    st.header("Bring your own replies")
    st.html(
        markup.note(
            "A file with one row per reply: the prompt, the reply, and a column of numbers for each value, higher for "
            "more of it. Rows with the same prompt are replies to one prompt; with several replies per prompt the app "
            "can choose between them. Excel (.xlsx), CSV, JSON lines, a JSON list, or Parquet."
        )
    )
    st.file_uploader(
        "A file of scored replies",
        type=list(SUFFIXES),
        key=FILE.of(FILE_ROUND.get()).name,
        on_change=_on_uploaded,
        max_upload_size=MAX_MEGABYTES,
    )
    st.html(
        markup.note(
            f"Up to {MAX_MEGABYTES} MB through the browser. Whoever runs this app can offer larger files here; the "
            "documentation says how (Help, Documents, Tables)."
        )
    )
    inbox = Path(os.environ[INBOX]) if os.environ.get(INBOX) else None
    if inbox is not None and inbox.is_dir():
        files = sorted(file.name for file in inbox.iterdir() if file.is_file() and file.suffix.lower()[1:] in SUFFIXES)
        name = st.selectbox("Or a file in the inbox", files, index=None, key="tables_inbox")
        if name in files:
            st.button("Use this", key="tables_inbox_take", on_click=_take_from_inbox, args=(inbox / str(name),))


def _on_uploaded() -> None:
    """Write an uploaded file to the disk, and free its memory."""
    round_ = FILE_ROUND.get()
    file = FILE.of(round_).get()
    if file is None:
        return
    path = _uploads_folder() / f"{uuid.uuid4().hex}{_suffix(file.name)}"
    try:
        with path.open("wb") as out:
            shutil.copyfileobj(file, out, 2**20)
    except OSError as error:
        path.unlink(missing_ok=True)
        table_markup.set_message(f"The file could not be saved ({error.strerror}). Make room on the app's machine.")
        return
    FILE_ROUND.set(round_ + 1)
    UPLOAD.set(Upload(path, file.name))
    # Streamlit would hold the file until the visit ends.
    if (context := get_script_run_ctx()) is not None:
        manager = context.uploaded_file_mgr
        if isinstance(manager, MemoryUploadedFileManager):
            manager.remove_file(context.session_id, file.file_id)


def _take_from_inbox(path: Path) -> None:
    UPLOAD.set(Upload(path, path.name, stays=True))


def hold_upload(path: Path, name: str) -> None:
    """Move the file of an import back to the uploads, so that its columns can be chosen again."""
    upload = _uploads_folder() / f"{uuid.uuid4().hex}{_suffix(path.name)}"
    shutil.move(path, upload)
    UPLOAD.set(Upload(upload, name))


def _discard() -> None:
    current = UPLOAD.pop()
    if current is not None and not current.stays:
        current.path.unlink(missing_ok=True)


def _uploads_folder() -> Path:
    """Return the folder of uploads, after deleting expired ones."""
    folder = catalog.folder() / ".uploads"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        with suppress(FileNotFoundError):  # another visit has just taken it
            if time.time() - old.stat().st_mtime > KEPT_SECONDS:
                old.unlink()
    return folder


def _suffix(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if suffix[1:] in SUFFIXES else ".txt"


@st.cache_data(show_spinner="Looking at the file", max_entries=8)
def _preview(path: str, modified: float) -> Preview:
    return preview_apart(Path(path))


def _draw_columns(current: Upload, preview: Preview) -> None:
    """Draw the first rows of the file, the role of each column, and the name of the table."""
    if preview.mapping:
        st.html(markup.note(f"{preview.mapping} So its rows become these:"))
    st.html(markup.note(f"{preview.kind}, {amounts.counted(len(preview.columns), 'column')}. Its first rows:"))
    # As shortened text, never as markup or as a formula.
    cut = [{name: _shortened(cell) for name, cell in row.items()} for row in preview.rows]
    st.dataframe(cut, hide_index=True, height=248, key="upload_rows")
    if preview.ours:
        st.html(markup.note("This is a table of this app, so it is used as it is."))
        choice = None
    else:
        choice = _draw_roles(preview)
    st.text_input("Name of the table", _free_name(current.name), max_chars=catalog.MAX_TABLE_NAME, key=NAME.name)
    account.draw_visibility(WHO_SEES)
    missing = choice is not None and not (choice.prompt and choice.reply and choice.values)
    st.button(
        "Make the table",
        key="upload_make",
        type="primary",
        icon=":material/table_chart:",
        on_click=_make,
        args=(current, choice),
        disabled=missing,
    )
    if missing:
        st.html(markup.note("Say which column holds the prompts, which the replies, and at least one value."))


def _draw_roles(preview: Preview) -> ColumnChoice:
    guess = preview.guess

    def pick(label: str, guessed: str | None, key: str, help_: str) -> str:
        options = [NONE, *preview.columns]
        index = options.index(guessed) if guessed else 0
        # By index, because a column may have any name, also that of NONE.
        choice_index = st.selectbox(
            label, range(len(options)), index, format_func=lambda n: options[n], key=key, help=help_
        )
        return options[choice_index] if choice_index else ""

    with st.container(horizontal=True, gap="medium", key="upload_columns"):
        prompt = pick("Prompts", guess.prompt, "upload_prompt", "What the model was asked.")
        reply = pick("Replies", guess.reply, "upload_reply", "What it said. A prompt that it repeats is removed.")
        use_case = pick(
            "Use cases", guess.use_case, "upload_use_case", "The kind of prompt; palettes can be set for each."
        )
        weight = pick(
            "How often a prompt occurs",
            guess.weight,
            "upload_weight",
            "One number above 0 for each prompt. None: all alike.",
        )
        held_out = pick(
            "Held out for checking",
            guess.held_out,
            "upload_held_out",
            "True or false, yes or no, 1 or 0, or train or test: prompts that are set aside, so that levels can "
            "be checked on them.",
        )
        context = pick(
            "Belongs to the prompt",
            guess.context,
            "upload_context",
            "Text that an instruction is about, such as its input; it follows the prompt after a blank line.",
        )
        # These two are rare, so they are only shown where such a column was found.
        system = prompt_id = ""
        if guess.system:
            system = pick(
                "System message", guess.system, "upload_system", "What the model was told before each prompt."
            )
        if guess.prompt_id:
            prompt_id = pick(
                "Ids of prompts",
                guess.prompt_id,
                "upload_prompt_id",
                "One text under two ids is two prompts. None: rows with the same text are replies to one prompt.",
            )
    roles = (prompt, reply, use_case, weight, held_out, context, system, prompt_id)
    values = st.multiselect(
        "Values",
        [name for name in preview.columns if name not in roles],
        [name for name in guess.values or () if name not in roles],
        key="upload_values",
        help="Columns of numbers, higher for more of the value. Columns that are not chosen are left out.",
    )
    # Where nothing was guessed or chosen, the import asks whether prompts differ in a column that is left out.
    context_or_open = context or (None if guess.context is None else "")
    return ColumnChoice(
        tuple(values), prompt, reply, use_case, weight, held_out, context_or_open, prompt_id=prompt_id, system=system
    )


def _make(current: Upload, choice: ColumnChoice | None) -> None:
    """Start a process that reads the file."""
    name = str(NAME.get())
    file = f"input{_suffix(current.path.name)}"
    arguments = ["import", str(current.path) if current.stays else f"{{folder}}/{file}", "--out", "{out}"]
    arguments += ["--progress-file", "{progress}", f"--name={current.name}"]
    arguments += [f"--most-memory={IMPORT_MEMORY.value}", f"--most-seconds={IMPORT_SECONDS.value}"]
    if choice is not None:
        arguments += [f"--prompt-column={choice.prompt}", f"--reply-column={choice.reply}"]
        arguments += [f"--use-case-column={choice.use_case}", f"--held-out-column={choice.held_out}"]
        arguments += [f"--context-column={choice.context}"] if choice.context is not None else []
        arguments += [f"--weight-column={choice.weight}", f"--system-column={choice.system}"]
        arguments += [f"--prompt-id-column={choice.prompt_id}"]
        arguments += [f"--value={value}" for value in choice.values or ()]
    about = {"file": current.name} if current.stays else {"file": current.name, "input": file}
    try:
        inputs: dict[str, bytes | Path] = {} if current.stays else {file: current.path}
        visibility = account.chosen_visibility(WHO_SEES)
        account.tables().start(name, "import", arguments, about, inputs, visit=viewer_id(), visibility=visibility)
    except InputError as error:
        table_markup.set_message(page_words.of(error))
        return
    UPLOAD.pop()


def _free_name(file: str) -> str:
    """Return a name for the table that is not taken, after that of the file."""
    stem = " ".join(re.sub(r"[^\w \-]+", " ", Path(file).stem).split()).lstrip("-_ ")[: catalog.MAX_TABLE_NAME - 4]
    return processes.free_name(stem or "My replies")


def _shortened(cell: object) -> str:
    text = "" if cell is None else str(cell)
    return text if len(text) <= PREVIEW_LENGTH else f"{text[: PREVIEW_LENGTH - 1]}…"
