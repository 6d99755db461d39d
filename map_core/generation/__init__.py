"""Base models and what draws replies from them.

models            where models lie: default ones from pinned packages, folders, hubs
conversion        GGUF to safetensors, safetensors to F16 GGUF
chat              tokenizer, chat template, text that grows token by token
endpoint          models on servers, which of them may be called, and their key
engine            the contract of an engine, and :func:`~map_core.engines.factory.open_engine`
openvino_engine   OpenVINO GenAI, for the CPU
torch_engine      transformers and torch, for GPUs and any model
remote_engine     a model on an OpenAI-compatible server
language_model    log-probabilities of given replies, in torch
embedder          sentence embeddings
reweight, aligned from K candidates and their rewards to one reply
service           the model in a process of its own

Nothing is imported here, so that looking at one of them loads no model library.
"""
