"""The weights of a report as a program for TRL's RLOO trainer, whose fixed point is the aligned model.

Checked against TRL 1.16: its rewards are sum_j weight_j r_j - beta sum_t (log p - log p0), both at the trainer's
temperature over the whole vocabulary. With normalize_advantages off, the baseline of a completion is the mean reward of
the prompt's other completions and no advantage is rescaled, so that with beta 1 and one iteration the gradient is that
of E[lambda . r] - KL(p || p0), which p0 exp(lambda . r) / Z maximises. GRPO has another fixed point: it divides by the
group's standard deviation and differentiates an estimator of the divergence.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping

from map_core.core import amounts
from map_core.core.types import Form, SamplingSettings
from map_core.palettes.palette import ALL
from map_core.report.commands import VALUES_FILE, WITH_VALUES, added_values, command_text, model_argument
from map_core.report.contents import Report
from map_core.scoring import FAMILIES, cards, from_metadata, scorable_values

#: Completions per prompt in one step of the trainer.
GENERATIONS = 16


def trainer(report: Report, weights: Mapping[str, float]) -> str:
    """Return a program that tunes the table's model with TRL: one reward function per value, weighted by lambda.

    Args:
        report: the report of the palette; it has a solution.
        weights: lambda by value, in 1 / reward.

    Returns:
        Python code that runs unchanged where the table and its model are on the machine; the reward function of a
        value without a scorer raises NotImplementedError until it is written.
    """
    recorded = from_metadata(report.source.metadata)
    scorable = scorable_values(recorded)
    from_values_file = [name for name, value in recorded.items() if name not in scorable and value.family in FAMILIES]
    unscored = {
        name: _identifier(name, k)
        for k, name in enumerate(weights)
        if name not in {*scorable, *cards(), *from_values_file}
    }
    scored = [name for name in weights if name not in unscored]
    settings = SamplingSettings.from_metadata(report.source.metadata)
    lines = [
        "# Tunes a model on a palette with TRL 1.16: the best policy is p0(y|x) exp(lambda . r) / Z.",
        "# Needs: pip install 'value-palette[generate,tune]'",
        f"# Weights in 1 / reward, solved on the table {report.source.fingerprint[:16]}.",
        *(f"# {line}" for line in sampling_notes(report)),
        "import os",
        "",
        "import map_core as vp",
        "from map_core.models.files import locate",
        "",
        'os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # else TRL reports its use',
        "",
        f"TABLE = vp.load_table({', '.join(_table_arguments(report))})",
        f"MODEL = {model_argument(report)!r}  # that wrote the table's replies: a name from `models list`, or a folder",
        "WEIGHTS = {  # the log's rewards/NAME/mean beside the forecast",
        *(f"    {name!r}: {weight!r},  # {_forecast(report, name)}" for name, weight in weights.items()),
        "}",
    ]
    if scored:
        file = f", values_file={VALUES_FILE!r}" if any(name in from_values_file for name in scored) else ""
        if file:
            lines.append(f"# {VALUES_FILE} is the values file that the table was built with.")
        names = "WEIGHTS" if not unscored else repr(scored)
        lines.append(
            f"REWARDS = {{f.__name__: f for f in vp.reward_functions({names}, table=TABLE{file}, model=MODEL)}}"
        )
    else:
        lines.append("REWARDS = {}")
    for name, function in unscored.items():
        lines += [
            "",
            "",
            f"def {function}(prompts, completions, **columns):",
            f"    raise NotImplementedError({f'Return one reward per completion for {name}, as in the table.'!r})",
            "",
            "",
            f"REWARDS[{name!r}] = {function}",
        ]
    lines += [
        "",
        'if __name__ == "__main__":',
        "    from datasets import Dataset",
        "    from trl import RLOOConfig, RLOOTrainer",
        "",
        "    settings = RLOOConfig(",
        "        beta=1.0,  # the KL coefficient; the divergence is part of the reward, summed over the reply",
        "        reward_weights=list(WEIGHTS.values()),  # lambda",
        "        normalize_advantages=False,  # a rescaled reward is another palette",
        "        num_iterations=1,",
        f"        num_generations={GENERATIONS},",
        f"        per_device_train_batch_size={GENERATIONS},",
        "        disable_dropout=True,  # p0 has none",
        f"        temperature={settings.temperature!r},",
        "        top_p=1.0,",
        "        top_k=0,",
        f"        max_completion_length={settings.max_new_tokens},",
        "        logging_steps=1,",
        "    )",
        *_prompts(report),
        f'    dataset = Dataset.from_list([{{"prompt": {_prompt(report)}}} for prompt in prompts])',
        "    trainer = RLOOTrainer(",
        "        model=str(locate(MODEL).folder),",
        "        reward_funcs=[REWARDS[name] for name in WEIGHTS],",
        "        args=settings,",
        "        train_dataset=dataset,",
        "    )",
        "    trainer.train()",
        '    trainer.save_model("tuned")',
    ]
    return "\n".join(lines) + "\n"


def sampling_notes(report: Report) -> list[str]:
    """Explain in lines of text how the table's p0 differs from a trainer's; empty where they are the same.

    A trainer's p0 is the model at the trainer's temperature over the whole vocabulary.
    """
    sampling = report.source.metadata.get("sampling")
    sampling = sampling if isinstance(sampling, Mapping) else {}
    unknown = [name for name in ("temperature", "top_p", "top_k") if not isinstance(sampling.get(name), (int, float))]
    settings = SamplingSettings.from_metadata(report.source.metadata)
    cuts = [f"top_p {amounts.significant(settings.top_p)}"] if settings.top_p < 1 else []
    cuts += [f"top_k {settings.top_k}"] if settings.top_k else []
    notes = []
    if cuts:
        notes.append(f"The table was drawn at {' and '.join(cuts)}; a trainer's p0 has the whole vocabulary.")
    if unknown:
        notes.append(f"The table does not say at which {', '.join(unknown)} its replies were drawn.")
    if notes:
        notes.append("So the forecast is not of what is tuned here. Draw a table for tuning and solve on it:")
        words = ["--prompts", "prompts.jsonl", "--model", model_argument(report), "--temperature"]
        words += [amounts.significant(settings.temperature), "--top-p", "1", "--top-k", "0", "--out", "tuning.parquet"]
        notes += [f"  {line}" for line in command_text("build", *words).replace(" \\\n ", "").splitlines()]
    if report.oracle.form is Form.POOLED:
        notes.append("The pooled form also re-weights prompts, which no policy can do: it falls short of the forecast.")
    return notes


def _forecast(report: Report, name: str) -> str:
    """Return a value's base and realised level in reward units, as a comment."""
    assert report.solution is not None, "only a solution has weights"
    j = report.table.index(name)
    base, level = report.oracle.base[j], report.oracle.rewards_at(report.solution.levels)[j]
    return f"from {amounts.significant(base, 4)} to {amounts.significant(level, 4)}"


def _table_arguments(report: Report) -> list[str]:
    path = WITH_VALUES if added_values(report) else report.source.table
    words = [repr(path)] if path else []
    return words + ([f"use_case={report.palette.use_case!r}"] if report.palette.use_case != ALL else [])


def _prompts(report: Report) -> list[str]:
    """Return the lines that select the prompts to tune on, each with the frequency that the solver counted it with."""
    weights = report.table.prompt_weights
    if weights is None:
        return ["    prompts = TABLE.rewards.prompts"]
    weighted = "TABLE.rewards.prompts, TABLE.rewards.prompt_weights"
    if len(set(weights[weights > 0].tolist())) == 1:
        return [f"    prompts = [prompt for prompt, weight in zip({weighted}) if weight]  # without held-out prompts"]
    draws = 10 * len(weights)
    return [
        "    import random",
        "",
        f"    prompts = random.Random(0).choices({weighted}, k={draws})  # by weight, without held-out prompts",
    ]


def _prompt(report: Report) -> str:
    """Return the Python expression of a prompt: chat messages, or the text for a model without a chat template."""
    metadata = report.source.metadata
    engine, system = metadata.get("engine"), metadata.get("system")
    if isinstance(engine, Mapping) and engine.get("preamble") == "" and not system:
        return "prompt"
    first = f'{{"role": "system", "content": {str(system)!r}}}, ' if system else ""
    return f'[{first}{{"role": "user", "content": prompt}}]'


def _identifier(name: str, index: int) -> str:
    """Return a value's name as a Python identifier; ``value_INDEX`` where it has none."""
    word = re.sub(r"\W+", "_", name).strip("_").lower()
    return word if word.isidentifier() and not keyword.iskeyword(word) else f"value_{index}"
