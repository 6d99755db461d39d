"""Model files and what reads them: contents.

files           where models are: default ones from pinned packages, folders, hubs
endpoint        models on servers: NAME@URL, and the key
conversion      GGUF to safetensors, safetensors to F16 GGUF
tokenizer_file  the file tokenizer.json of a model folder
chat_template   text to tokens and back, chat template included
language_model  log-probabilities of given replies, in torch
embedder        sentence embeddings
telemetry       what libraries would report stays here

Nothing is imported here, so that looking at one of them loads no model library.
"""
