"""The model in a process of its own: contents.

service        one worker, a queue before it, and a buffer for each generation
shared         the services that all sessions of an app share
request_queue  the queue: fair turns among viewers, limits
running        what is being served, and what has room to start beside it
scoring_calls  calls to score given replies that are under way
worker_client  the parent's end: start the worker, talk to it, notice when it ends
worker         the process that owns the engine and the scorers
generation     one generation as its readers see it: the buffer
snapshot       the same at one moment, frozen
batch          many prompts, a few requests in flight
messages       the messages between service and worker
records        outcomes as plain records

Nothing is imported here, so that looking at one of them loads no model library.
"""
