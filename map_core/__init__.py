"""Value Palette's engine room: target levels in, weights, certificates, trade-offs and aligned replies out.

From the ground up, an import never pointing upwards:

    errors, glossary        exceptions and the words of the product as types
    rewards                 the reward table: load, validate, save
    oracle                  weights in; log-normaliser, levels, covariance, best replies out
    dual                    the solver
    targets                 levels as people write them
    feasibility             margin, certificate, verdict, nearest palette
    frontier, sensitivity   trade-offs between values; what a target costs
    values                  scorers, one file a family, one registry
    generate                models, engines, re-weighting, the model process
    build, jobs             making tables; background work
    words, figures          results in; sentences and Plotly figures out
    command_line            python -m map_core COMMAND

Constraint: nothing here imports streamlit, and importing this package or the solver loads no model library.
"""
