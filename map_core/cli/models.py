"""``python -m map_core models``: download models to this machine and list them.

Constraint: ``models get`` takes well under a second once all files are present, since ``make run`` always calls it.
"""

from __future__ import annotations

import importlib.util
import json

import click

from map_core.cli.options import json_option, quiet_option
from map_core.models import files as registry
from map_core.models.cache import cache_fault
from map_core.models.files import ModelFiles
from map_core.models.packaged import DEFAULT_EMBEDDER, DEFAULT_MODEL, PACKAGED, download_command


@click.group()
def models() -> None:
    """Download models to this machine, and list them.

    \b
    Examples:
      python -m map_core models get                          the two models of the embedded table
      python -m map_core models get Qwen/Qwen2.5-0.5B-Instruct   from a model hub, when one is in reach
      python -m map_core models list
    """  # noqa: D301


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--verify", is_flag=True, help="Compare the hash of every file, not only its size.")
@quiet_option("Say nothing unless something goes wrong.")
def get(names: tuple[str, ...], verify: bool, quiet: bool) -> None:
    """Download models; those that are here and complete are left alone.

    Without NAME: the base model and the sentence-embedding model that the embedded table was made with. A NAME is one
    of these, a folder with config.json and *.safetensors, or a model hub's owner/model. Damaged or incomplete files
    are detected and downloaded again.
    """

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    for name in names or tuple(PACKAGED):
        files = registry.get(name, say, verify=verify)
        _prepare(files, say, verify)
        if not quiet:
            click.echo(f"{files.name}: in {files.folder}")


def _prepare(files: ModelFiles, say: registry.Progress, verify: bool) -> None:
    """Convert a language model to OpenVINO too, so that its first use is not slow."""
    if files.name == DEFAULT_EMBEDDER:
        return
    if cache_fault(registry.graph_folder(files), files.sha256, verify) is None:
        return
    from map_core.models.conversion import can_convert

    if importlib.util.find_spec("openvino_genai") is not None and can_convert(files.folder):
        from map_core.engines.openvino_engine import prepare

        prepare(files, say)


@models.command("list")
@json_option("Print one JSON object a model.")
def list_(as_json: bool) -> None:
    """List the default models and whether they are on this machine."""
    installed = {files.name: files for files in registry.installed()}
    for entry in PACKAGED.values():
        files = installed.get(entry.name)
        if as_json:
            facts = {
                "name": entry.name,
                "title": entry.title,
                "package": entry.package,
                "licence": entry.licence,
                "sha256": entry.sha256,
                "megabytes": entry.megabytes,
                "folder": str(files.folder) if files else None,
            }
            click.echo(json.dumps(facts))
            continue
        use = "base model" if entry.name == DEFAULT_MODEL else "embeddings"
        where = str(files.folder) if files else f"not here; {download_command(entry.name)}"
        click.echo(f"{entry.name}  ({use})\n    {entry.title}\n    {entry.licence}, {entry.megabytes} MB, {where}")
    if not as_json:
        click.echo("Any folder with config.json and *.safetensors, or a model hub's owner/model, is a model too.")
