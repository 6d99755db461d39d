"""The model in a process of its own: contents.

service        one worker, a queue before it, and a buffer for each generation
worker_client  the parent's end: start the worker, talk to it, notice when it ends
worker         the process that owns the engine and the scorers
generation     one generation as its readers see it
batch          many prompts, a few requests in flight
messages       the messages between service and worker
records        outcomes as plain records

Nothing is imported here, so that looking at one of them loads no model library.
"""
