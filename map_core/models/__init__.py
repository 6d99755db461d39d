"""Model files and the code that reads them.

files           location and download of models: pinned packages, folders, hubs
endpoint        models on servers: NAME@URL, which may be called, the key
conversion      GGUF to safetensors, safetensors to F16 GGUF
tokenizer_file  the tokenizer of a model folder, converted where transformers would not take it as it is
chat_rendering  chats to text, by the model's chat template
chat_template   chats to tokens and tokens to text
positions       how many tokens a model reads at once
language_model  log-probabilities of given replies, in torch
embedder        sentence embeddings
telemetry       telemetry of libraries, disabled

Constraint: nothing is imported here, so that importing one module loads no model library.
"""
