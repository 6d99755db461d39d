"""The aligned generator for programs: OpenAI's interfaces and OpenRLHF's reward models over HTTP.

errors             errors as OpenAI's clients read them, and limits
http               bodies, JSON, server-sent events, identifiers of requests
access             the key, and who may ask without one
keys               whose each key is, and its tokens a day
connections        headers in time, room for whole requests, an orderly end
steering           models and palettes by name, weights by value
fields             a request's JSON: what is honoured, ignored, refused
chat_body, completion_body, responses_body, reward_body
                   the body of each address, and what it holds
prompt_tokens      a prompt's tokens, and the room that they leave
request_parser     a body as generation requests
replies            from a generation to a reply with its certificate, or to a failure in words
chat_format, completion_format, responses_format
                   replies in each of OpenAI's interfaces, whole and as a stream
generations        submits generations and answers with what comes of them
generation_routes, reward_routes, model_routes, status_routes, reference_page
                   the addresses, a file a group
promises           whether the requests so far show that a palette keeps its targets, and its address
metrics            what the server does, for Prometheus
app                the FastAPI application

Nothing is imported here, so that looking at one of them loads no server.
"""
