"""Value Palette's engine room: target levels in, weights, certificates, trade-offs and aligned replies out.

From the ground up, an import never pointing upwards:

    errors, amounts         exceptions; numbers as text and as JSON
    glossary                the words of the product as types
    rewards                 the reward table: load, validate, save
    importing, hands        tables of other people; tables with fewer candidates
    oracle                  weights in, moments and best replies out: memory, torch, Parquet, Ray
    dual, batch             the solver, for one palette and for many
    targets                 levels as people write them
    certificate             margin and certificate, reachable ranges, the smallest conflict
    rays                    directions followed to a budget
    trust                   how many replies must carry a forecast
    nearest                 the closest palette that can be had
    feasibility             the verdict
    frontier, sensitivity   trade-offs between values; what a target costs
    confidence              error bars, the probability of a verdict, the held-out check
    sequence, baselines     one value after another; weights without targets
    groups, drift           common palettes; one palette on two tables
    delivery                forecasts against fresh replies
    reproduce               the published experiments
    values                  scorers, one file a family, one registry
    generate                models, engines, re-weighting, the model process
    build, jobs             making tables; background work
    words, figures          results in; sentences and Plotly figures out
    report                  a palette as a document, as JSON and as CSV
    command_line            python -m map_core COMMAND

Constraint: nothing here imports streamlit, and importing this package or the solver loads no model library.
"""
