"""The aligned generator over HTTP: OpenAI's interfaces and OpenRLHF's reward model interface.

errors             errors as OpenAI's clients read them, and limits
http               bodies, JSON, server-sent events, identifiers of requests
access             authentication, and the check of local addresses without a key
keys               names and daily token budgets of keys
connections        timeouts of headers, limit of connections, graceful shutdown
steering           models and palettes by name, weights by value
fields             a request's JSON: which fields are honoured, ignored, refused
chat_body, completion_body, responses_body, reward_body
                   the body of each endpoint
prompt_tokens      token counts of prompts, and the room left in the context
request_parser     from a body to generation requests
replies            from a generation to a reply with its certificate, or to an error
chat_format, completion_format, responses_format
                   replies in each of OpenAI's interfaces, whole and as a stream
generations        submission of generations, and their responses
generation_routes, reward_routes, model_routes, status_routes, reference_page
                   the endpoints, a file per group
promises           whether the requests so far show that a palette keeps its targets, and its endpoint
metrics            measurements for Prometheus
app                the FastAPI application

Nothing is imported here, so that importing one module does not load the server.
"""
