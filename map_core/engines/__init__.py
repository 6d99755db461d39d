"""Engines, which draw replies from base models: contents.

draw_request     what is drawn: prompt, candidates, settings, seed
tokens           tokens as they are streamed, and the replies that they add up to
base             the contract of an engine
factory          the engine that suits a model and this machine
openvino_engine  OpenVINO GenAI, for the CPU
torch_engine     transformers and torch, for GPUs and any model
remote_engine    a model on an OpenAI-compatible server
remote_candidate the stream of one reply from a server
remote_errors    what goes wrong between here and a server, in words
probe            a model looked at before any work begins
sampling_probe   what can be told of its draws before the first one counts

Nothing is imported here, so that importing one of them loads no model library.
"""
