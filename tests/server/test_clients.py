"""Tests of third-party clients of a served palette: curl, openai for Node, llm, lm-eval, promptfoo and LiteLLM.

Each is started as its users start it, and two palettes must give different replies. ``test_server.py`` uses OpenAI's
client for Python as well.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.environments import LIMIT, node_environment, python_environment
from tests.recorded import servers
from tests.tiny_model import make_tiny_model

#: An installation may take longer than any other test.
pytestmark = [pytest.mark.slow, pytest.mark.external, pytest.mark.timeout(LIMIT + 300)]

PROMPTS = ("How do I sleep better?", "Where is my parcel?", "Please write a short story about a dog.")
PALETTES = (
    {"name": "familiar", "targets": {"familiarity": "+0.8sd"}},
    {"name": "plain", "targets": {"plain_language": "+0.8sd"}},
)


@dataclass(frozen=True)
class Served:
    """A server of two palettes of the tiny model, in a process of its own."""

    url: str
    model: str

    def palette(self, name: str) -> str:
        return f"{self.model}:{name}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    make_tiny_model(folder / "tiny")
    (folder / "prompts.txt").write_text("\n".join(PROMPTS) + "\n", encoding="utf-8")
    (folder / "palettes.jsonl").write_text(
        "".join(json.dumps(palette) + "\n" for palette in PALETTES), encoding="utf-8"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "map_core"]
    values = ["--values", "familiarity,plain_language"]
    draw = ["--model", "./tiny", "--engine", "torch", "--candidates", "16", "--max-new-tokens", "12", "--top-p", "1"]
    build = [*command, "build", "--prompts", "prompts.txt", *values, *draw, "--out", "table.parquet", "--quiet"]
    result = subprocess.run(build, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    serve = [*command, "serve", "table.parquet", "--palettes", "palettes.jsonl", "--model", "./tiny"]
    serve += ["--engine", "torch", "--dtype", "float32", "--port", "0"]
    with (folder / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(serve, cwd=folder, env=environment, stdout=log, stderr=log, text=True)
        try:
            while not (address := re.search(r"at (http://127\.0\.0\.1:\d+/v1)", (folder / "log").read_text())):
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.2)
            yield Served(address[1], "tiny")
        finally:
            process.terminate()
            process.wait(30)


def run(command: list[str], folder: Path, **environment: str) -> str:
    """Run a program and return its output; fail with its errors."""
    result = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=240, check=False
    )
    assert result.returncode == 0, f"{result.stdout[-1500:]}\n{result.stderr[-1500:]}"
    return result.stdout


def test_curl_gets_the_palettes_replies(served: Served, tmp_path: Path):
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed.")
    replies = []
    for name in ("familiar", "plain"):
        body = {"model": served.palette(name), "seed": 4, "messages": [{"role": "user", "content": PROMPTS[0]}]}
        command = ["curl", "-sS", "--fail-with-body", f"{served.url}/chat/completions"]
        text = run([*command, "-H", "Content-Type: application/json", "-d", json.dumps(body)], tmp_path)
        response = json.loads(text)
        assert response["value_palette"]["palette"] == name
        replies.append(response["choices"][0]["message"]["content"])
    assert replies[0] != replies[1]


NODE = """
const OpenAI = require("openai");
const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
(async () => {
  const answers = { models: [], replies: {}, streams: {} };
  for await (const model of client.models.list()) answers.models.push(model.id);
  for (const model of process.argv.slice(3)) {
    const request = { model, seed: 4, messages: [{ role: "user", content: "How do I sleep better?" }] };
    answers.replies[model] = (await client.chat.completions.create(request)).choices[0].message.content;
    let text = "";
    for await (const chunk of await client.chat.completions.create({ ...request, stream: true }))
      text += chunk.choices[0]?.delta?.content ?? "";
    answers.streams[model] = text;
  }
  try { await client.chat.completions.create({ model: "nobody", messages: [{ role: "user", content: "Hi" }] }); }
  catch (error) { answers.refused = [error.status, error.code, error.message]; }
  console.log(JSON.stringify(answers));
})();
"""


def test_the_node_client_gets_the_palettes_replies(served: Served, tmp_path: Path):
    folder = node_environment("openai", "openai@6.49.0")
    (tmp_path / "ask.cjs").write_text(NODE, encoding="utf-8")
    models = [served.palette(name) for name in ("familiar", "plain")]
    answers = json.loads(
        run(["node", "ask.cjs", served.url, *models], tmp_path, NODE_PATH=str(folder / "node_modules"))
    )
    assert set(models) <= set(answers["models"])
    assert answers["streams"] == answers["replies"]
    assert answers["replies"][models[0]] != answers["replies"][models[1]]
    assert answers["refused"][0] == 404
    assert "nobody" in answers["refused"][2]


def test_the_llm_command_gets_the_palettes_replies(served: Served, tmp_path: Path):
    programs = python_environment("llm", "llm==0.36")
    entries = [
        {"model_id": name, "model_name": served.palette(name), "api_base": served.url, "api_key_name": "palette"}
        for name in ("familiar", "plain")
    ]
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps(entries), encoding="utf-8")
    (tmp_path / "keys.json").write_text('{"palette": "none"}', encoding="utf-8")
    replies = []
    for name, options in (("familiar", []), ("familiar", ["--no-stream"]), ("plain", [])):
        command = [str(programs / "python"), "-m", "llm", "-m", name, PROMPTS[0], "-o", "seed", "4", *options]
        replies.append(run(command, tmp_path, LLM_USER_PATH=str(tmp_path)).strip())
    assert replies[0] == replies[1]
    assert replies[0] != replies[2]


TASK = """
task: sleep
dataset_path: json
dataset_kwargs: {data_files: {test: questions.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: bypass}]
generation_kwargs: {until: ["<|endoftext|>"]}
"""


def test_lm_evaluation_harness(served: Served, tmp_path: Path):
    """With its own settings: temperature 0, a seed and 256 tokens."""
    programs = python_environment("lmeval", "lm-eval[api]==0.4.13")
    (tmp_path / "sleep.yaml").write_text(TASK, encoding="utf-8")
    lines = (json.dumps({"question": prompt, "answer": "Rest."}) for prompt in PROMPTS)
    (tmp_path / "questions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    replies: list[list[str]] = []
    for turn, name in enumerate(("familiar", "familiar", "plain")):
        address = f"base_url={served.url}/chat/completions"
        command = [str(programs / "python"), "-m", "lm_eval", "--model", "local-chat-completions", "--tasks", "sleep"]
        command += ["--model_args", f"model={served.palette(name)},{address},num_concurrent=1,max_retries=1"]
        command += ["--include_path", ".", "--apply_chat_template", "--log_samples", "--output_path", f"out{turn}"]
        run(command, tmp_path, OPENAI_API_KEY="none", HF_HOME=str(tmp_path / "hub"), HF_HUB_OFFLINE="1")
        (samples,) = (tmp_path / f"out{turn}").rglob("samples_*.jsonl")
        rows: list[dict[str, Any]] = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
        replies.append([row["resps"][0][0] for row in sorted(rows, key=lambda row: row["doc_id"])])
    assert len(replies[0]) == len(PROMPTS)
    assert replies[0] == replies[1]
    assert replies[0] != replies[2]


def database_package() -> str:
    """Return the name of the package with promptfoo's database for this platform, which npm treats as optional."""
    system, processor = platform.system().lower(), {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine())
    return f"@libsql/{system}-{processor or platform.machine()}{'-gnu' if system == 'linux' else ''}@0.5.29"


def test_promptfoo_tells_two_palettes_apart(served: Served, tmp_path: Path):
    """With its own settings: temperature 0 and 1,024 tokens, more than the tiny model reads."""
    # Its optional packages are agents, browsers and clouds, four fifths of its 1.4 GB.
    folder = node_environment("promptfoo", "promptfoo@0.121.20", database_package(), optional=False)
    palettes = ("familiar", "plain")
    config = {
        "prompts": ["{{question}}"],
        "providers": [
            {
                "id": f"openai:chat:{served.palette(name)}",
                "label": name,
                "config": {"apiBaseUrl": served.url},
            }
            for name in palettes
        ],
        "tests": [{"vars": {"question": prompt}} for prompt in PROMPTS],
    }
    (tmp_path / "promptfooconfig.json").write_text(json.dumps(config), encoding="utf-8")
    program = str(folder / "node_modules" / ".bin" / "promptfoo")
    quiet = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "OPENAI_API_KEY": "none"}
    command = [program, "eval", "-c", "promptfooconfig.json", "--no-cache", "--no-table", "-o", "out.json"]
    run(command, tmp_path, PROMPTFOO_CONFIG_DIR=str(tmp_path / "config"), **quiet)
    results = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["results"]["results"]
    replies: dict[str, list[str]] = {name: [] for name in palettes}
    for result in sorted(results, key=lambda result: result["testIdx"]):
        assert not result.get("error"), result["error"]
        replies[result["provider"]["label"]].append(result["response"]["output"])
    assert all(len(outputs) == len(PROMPTS) for outputs in replies.values())
    assert replies["familiar"] != replies["plain"]


def test_openai_for_python_through_litellm(served: Served, tmp_path: Path):
    """The gateway passes the server's replies on, complete and streamed."""
    import openai

    messages: Any = [{"role": "user", "content": PROMPTS[0]}]
    replies = []
    with servers.litellm(tmp_path, served.url, served.palette("familiar")) as address:
        for url, model in ((served.url, served.palette("familiar")), (address, "tiny")):
            with openai.OpenAI(base_url=url, api_key=servers.KEY, max_retries=0, timeout=60) as client:
                completion = client.chat.completions.create(model=model, messages=messages, seed=3)
                chunks = client.chat.completions.create(model=model, messages=messages, seed=3, stream=True)
                streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            assert completion.choices[0].message.content == streamed
            replies.append(streamed)
    assert replies[0] == replies[1]
    assert replies[0]
