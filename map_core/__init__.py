"""Value Palette's engine room: target levels in, weights, certificates, trade-offs and aligned replies out.

From the ground up, an import never pointing upwards:

    errors, core    exceptions; types, amounts, jobs, atomic files, file locks, safe CSV
    data            reward tables, prompts, tables from other people's files
    models          model files, tokenizers, torch language models, sentence embeddings
    oracle          weights in, moments and best replies out: memory, torch, Parquet, Ray
    solver          the dual Newton solver: one palette, many at once, along rays
    palettes        palettes, presets, targets as people write them
    feasibility     verdict, margin, conflicts, nearest palette, repairs, ranges
    scoring         scorers, one file a family, one registry
    engines         what draws replies: torch, OpenVINO, servers
    generation      one request to one aligned reply
    service         the model in a process of its own, its client, queue and records
    store           what people keep, in a database
    custom_values   values that people define in words
    building        reward tables built from prompts, and many prompts answered into a file
    catalog         the app's folder of tables
    confidence      sampling error of weights, levels and verdicts
    analysis        frontier, sensitivity, sequential alignment, baselines, drift
    groups          common palettes of several groups
    studies         delivery and reproduction
    text, figures   results in; sentences, units and Plotly figures out
    report          a palette as a document, as JSON and as CSV
    server          an OpenAI-compatible HTTP server
    cli             python -m map_core COMMAND

Constraint: nothing here imports streamlit, and importing this package or the solver loads no model library.
"""

__version__ = "0.9.0"
