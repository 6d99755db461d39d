"""Engines, which draw replies from base models: contents.

draw_request      a request: prompt, candidates, settings, seed
tokens            streamed tokens, and replies joined from them
base              the contract of an engine
factory           opens the engine that suits a model and this machine
openvino_engine   OpenVINO GenAI, for the CPU
torch_engine      transformers and torch, for GPUs and any model
remote_engine     a model on an OpenAI-compatible server
remote_candidate  the stream of one reply from a server
remote_errors     error messages for failed requests to a server
probe             a check of a model before any work begins
sampling_probe    what a probe finds out about a model's replies

Nothing is imported here, so that importing one module loads no model library of another.
"""
