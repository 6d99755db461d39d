"""Model files and the code that reads them.

files           location and download of models: pinned packages, folders, hubs
endpoint        models on servers: NAME@URL, which may be called, the key
request_extra   further fields of the requests to a server
refused_fields  fields that a server refuses, left out from then on
server_reasons  a server's reason for a refusal, fit to be repeated
tuned           models that the app has tuned, by name
adapters        LoRA adapters merged into their model
conversion      GGUF to safetensors, safetensors to F16 GGUF
tokenizer_file  the tokenizer of a model folder, converted where transformers would not take it as it is
chat_rendering  chats to text, by the model's chat template
chat_template   chats to tokens and tokens to text
rendered_chat   text that a template has rendered, back to a chat
positions       how many tokens a model reads at once
language_model  log-probabilities of given replies, in torch
embedder        sentence embeddings
embed_texts     the same by a process of its own
quiet           what model libraries print, kept off the terminal
telemetry       telemetry of libraries, disabled

Constraint: nothing is imported here, so that importing one module loads no model library.
"""
