"""The aligned generator for programs: OpenAI's chat completions over HTTP.

errors          errors as OpenAI's clients read them, and limits
request_body    a request's JSON, read and checked
request_parser  a body as generation requests: palette, weights, chat, seeds
responses       from a generation to OpenAI's JSON, with its certificate
app             the FastAPI application: routes, streams, keys, clients that vanish

Nothing is imported here, so that looking at one of them loads no server.
"""
