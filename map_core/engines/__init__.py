"""Engines, which draw replies from base models: contents.

draw_request     what is drawn: prompt, candidates, settings, seed
tokens           tokens as they are streamed, and the replies that they add up to
base             the contract of an engine
factory          the engine that suits a model and this machine
openvino_engine  OpenVINO GenAI, for the CPU
torch_engine     transformers and torch, for GPUs and any model
remote_engine    a model on an OpenAI-compatible server
probe            a model looked at before any work begins

Nothing is imported here, so that importing one of them loads no model library.
"""
