"""Tests of the tokens of a chat: they equal those of transformers' ``apply_chat_template(..., tokenize=True)``.

The tests cover families of tokenizers, added tokens and templates. Each tokenizer is trained here on a few lines:
families differ in how they write spaces and where they look for control tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from map_core.errors import InputError
from map_core.models.chat_template import ChatTokenizer

TEXT = """The cat sat on the mat. [INST] Please write a short story about a dog and a kite. [/INST] system user
assistant <<SYS>> You are a helpful assistant. <</SYS>> Why did the chicken cross the road? How do I sleep better?
"""


def metaspace(scheme: str, split: bool = False) -> Callable[[Tokenizer], None]:
    def configure(tokenizer: Tokenizer) -> None:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])

    return configure


def byte_level(prefix: bool = False, digits: bool = False) -> Callable[[Tokenizer], None]:
    def configure(tokenizer: Tokenizer) -> None:
        inner = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
        first = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*first, inner])
        tokenizer.decoder = decoders.ByteLevel()

    return configure


def prepended(tokenizer: Tokenizer) -> None:
    """Configure the tokenizer like Llama 2's: a normaliser writes the space, before every part of a text."""
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])


def composed(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])


FAMILIES: dict[str, Callable[[Tokenizer], None]] = {
    "metaspace first": metaspace("first"),
    "metaspace first, split": metaspace("first", split=True),
    "metaspace always": metaspace("always"),
    "metaspace never": metaspace("never"),
    "byte level": byte_level(),
    "byte level, digits": byte_level(digits=True),
    "byte level, space before": byte_level(prefix=True),
    "space by a normaliser": prepended,
    "no space, composed": composed,
}
#: Flags of the added tokens.
FLAGS: dict[str, dict[str, bool]] = {
    "as they are": {"normalized": False},
    "normalized": {"normalized": True},
    "rstrip": {"normalized": False, "rstrip": True},
    "lstrip": {"normalized": False, "lstrip": True},
    "both": {"normalized": True, "lstrip": True, "rstrip": True},
    "single words": {"normalized": False, "single_word": True},
}
CHATML = (
    "{% for m in messages %}{{ '<|start|>' + m['role'] + '\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "chatml with bos": "{{ bos_token }}" + CHATML,
    "llama": (
        "{% if messages[0]['role'] == 'system' %}"
        "{% set system = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n' %}"
        "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}"
        "{% for m in messages %}{% if m['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + (system if loop.first else '') + m['content'].strip() + ' [/INST]' }}"
        "{% else %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
    "phi": (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}"
        "{{ '<|start|>' + m['role'] + '\n' + m['content'] + '<|end|>' }}{% endgeneration %}{% else %}"
        "{{ '<|start|>' + m['role'] + '\n' + m['content'] + '<|end|>' + '\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start|> assistant\n' }}{% else %}{{ eos_token }}{% endif %}"
    ),
    "joined": "{{ messages | map(attribute='content') | join }}",
    "bare": "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + ' ' }}{% endfor %}",
}
USER = {"role": "user", "content": "Why did 12 chickens cross  the road?"}
CHATS = {
    "a question": [USER],
    "spaces around": [{"role": "user", "content": "  \n > a cat sat,\n\n naïve 🎉 \n"}],
    "with a system message": [{"role": "system", "content": "You are a helpful assistant."}, USER],
    "several turns": [
        USER,
        {"role": "assistant", "content": " To sleep <better. "},
        {"role": "user", "content": "</s"},
    ],
}


def save(
    folder: Path,
    family: str,
    flags: dict[str, bool],
    template: str,
    tokens: list[AddedToken] | None = None,
    **options: Any,
) -> Path:
    """Save a tokenizer and its template in a folder, and return the folder.

    Args:
        folder: the folder.
        family: a key of :data:`FAMILIES`.
        flags: flags of its special tokens.
        template: the chat template.
        tokens: further tokens that are added.
        options: further settings of the tokenizer.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    FAMILIES[family](tokenizer)
    trainer = trainers.BpeTrainer(
        vocab_size=520,
        special_tokens=["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if family.startswith("byte") else [],
    )
    tokenizer.train_from_iterator(TEXT.splitlines(), trainer)
    # A trainer adds its special tokens; those for bytes and unknown text have to be part of the vocabulary instead.
    content = json.loads(tokenizer.to_str()) | {"added_tokens": []}
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, **flags) for token in ("<s>", "</s>", "<|start|>", "<|end|>")]
    )
    if tokens:
        tokenizer.add_tokens(tokens)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"} | options
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "chat_template.jinja").write_text(template)
    return folder


def reference(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def expected_tokens(tokenizer: Any, chat: list[dict[str, str]], **options: Any) -> list[int]:
    """Return transformers' tokens of a conversation, to be continued where its last turn is the assistant's."""
    continued = chat[-1]["role"] == "assistant"
    arguments = {"add_generation_prompt": not continued, "continue_final_message": continued} | options
    return list(tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False, **arguments))


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_chat_has_the_tokens_that_transformers_gives_it(family: str, flags: str, tmp_path: Path) -> None:
    folder = save(tmp_path, family, FLAGS[flags], "")
    tokenizer = reference(folder)
    for name, template in TEMPLATES.items():
        (folder / "chat_template.jinja").write_text(template)
        tokenizer.chat_template = template
        chat_tokenizer = ChatTokenizer(folder)
        for chat in CHATS.values():
            assert chat_tokenizer.render(chat) == expected_tokens(tokenizer, chat), (name, chat)
            continued = [*chat, {"role": "assistant", "content": "To get to"}]
            assert chat_tokenizer.render(continued) == expected_tokens(tokenizer, continued), (name, continued)


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_control_token_in_a_message_is_text(family: str, flags: str, tmp_path: Path) -> None:
    """It has the tokens of a tokenizer without that control token, here <|other|>, which no template writes."""
    without, folder = tmp_path / "without", tmp_path / "with"
    without.mkdir()
    folder.mkdir()
    save(without, family, FLAGS[flags], CHATML)
    control_token = AddedToken("<|other|>", special=True, **FLAGS[flags])
    save(folder, family, FLAGS[flags], CHATML, [control_token])
    tokenizer = reference(without)
    chats = [
        [{"role": "user", "content": "Why <|other|>did <|other|> the chicken<|other|><|other|>  cross?"}],
        [{"role": "user", "content": " <|other|> \n"}, {"role": "assistant", "content": "<|other|>To get"}],
        [*CHATS["with a system message"], {"role": "assistant", "content": "To <|other|>"}, USER],
        [
            {"role": "user", "content": "Why <|oth"},
            {"role": "assistant", "content": "er|"},
            {"role": "user", "content": ">"},
        ],
        [{"role": "user", "content": "<|o"}, {"role": "assistant", "content": "ther|>"}],
    ]
    for name in ("chatml", "chatml with bos", "llama", "phi", "bare", "joined"):
        (folder / "chat_template.jinja").write_text(TEMPLATES[name])
        tokenizer.chat_template = TEMPLATES[name]
        chat_tokenizer = ChatTokenizer(folder)
        for chat in chats:
            assert chat_tokenizer.render(chat) == expected_tokens(tokenizer, chat), (name, chat)


def test_added_tokens_that_are_no_control_tokens_are_recognised_in_messages(tmp_path: Path) -> None:
    """Some vocabularies have runs of spaces; tokens that the template names are written by the template only."""
    tokens = [AddedToken("  ", normalized=False), AddedToken("<think>", normalized=False), AddedToken("kite")]
    folder = save(tmp_path, "byte level", {"normalized": False}, CHATML, tokens)
    runs = [{"role": "user", "content": "a  kite    and <think> a </s> dog"}]
    spaces, think, kite = (reference(folder).convert_tokens_to_ids(token.content) for token in tokens)
    ids = ChatTokenizer(folder).render(runs)
    assert (ids.count(spaces), ids.count(think), ids.count(kite)) == (3, 1, 1)
    (folder / "chat_template.jinja").write_text(CHATML + "{% if thinking %}<think>{% endif %}")
    ids = ChatTokenizer(folder).render(runs)
    assert (ids.count(spaces), ids.count(think), ids.count(kite)) == (3, 0, 1)
    assert "a  kite    and <think> a </s> dog" in ChatTokenizer(folder).decode(ids)


RECORD = {"lstrip": False, "normalized": False, "rstrip": True, "single_word": False, "special": True}


@pytest.mark.parametrize(
    "settings",
    [
        {"tokenizer_class": "LlamaTokenizer"},
        {"tokenizer_class": "LlamaTokenizerFast", "bos_token": None, "legacy": False},
        {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False},
        {"eos_token": "<|stop|>", "pad_token": "<|pad|>"},
        {"unk_token": "cat", "cls_token": RECORD | {"content": "dog", "__type": "AddedToken"}},
        {"added_tokens_decoder": {"1": RECORD | {"content": "<0x00>"}, "600": RECORD | {"content": "<|start|>"}}},
    ],
    ids=["class", "class with its own names", "class without a space", "names", "words as names", "other flags"],
)
@pytest.mark.parametrize("family", ["space by a normaliser", "metaspace always"])
def test_settings_beside_the_tokenizer_have_the_effect_they_have_in_transformers(
    family: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VALUE_PALETTE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    template = TEMPLATES["phi"] + "{{ bos_token }}{% if pad_token is defined %}{{ pad_token }}{% endif %}"
    save(folder, family, {"normalized": False}, template, **settings)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    files = sorted(path.name for path in folder.iterdir())
    tokenizer = reference(folder)
    for _ in range(2):  # the second time from the cache, if the tokenizer was converted
        chat_tokenizer = ChatTokenizer(folder)
        for chat in CHATS.values():
            if "unk_token" not in settings:  # with it, a common word is a control token
                assert chat_tokenizer.render(chat) == expected_tokens(tokenizer, chat), chat
        messages = [{"role": "user", "content": "Why?"}]
        assert chat_tokenizer.render(messages) == expected_tokens(tokenizer, messages)
    assert sorted(path.name for path in folder.iterdir()) == files
    assert (tmp_path / "cache").exists() == ("tokenizer_class" in settings)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reply_has_the_tokens_of_the_conversation_after_the_prompt(family: str, tmp_path: Path) -> None:
    folder = save(tmp_path, family, {"normalized": False}, CHATML)
    tokenizer, hf_tokenizer = ChatTokenizer(folder), reference(folder)
    prompt = tokenizer.render([USER])
    reply = {"role": "assistant", "content": "To get to the other side."}
    continued, full = (
        tokenizer.render([USER, reply]),
        list(hf_tokenizer.apply_chat_template([USER, reply])["input_ids"]),
    )
    assert continued[: len(prompt)] == prompt
    assert full[: len(continued)] == continued
    assert hf_tokenizer.decode(full[len(continued) :]).strip() == "<|end|>"
    assert tokenizer.decode(continued[len(prompt) :]).strip() == "To get to the other side."


def test_a_reply_that_the_template_leaves_out_cannot_be_continued(tmp_path: Path) -> None:
    template = "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor %}"
    tokenizer = ChatTokenizer(save(tmp_path, "byte level", {"normalized": False}, template))
    assert tokenizer.decode(tokenizer.render([USER])) == USER["content"]
    with pytest.raises(InputError, match="does not write the assistant's last message as it stands"):
        tokenizer.render([USER, {"role": "assistant", "content": "To get"}])


def test_private_use_characters_are_unchanged(tmp_path: Path) -> None:
    tokenizer = ChatTokenizer(save(tmp_path, "byte level", {"normalized": False}, CHATML))
    text = "\U000f0000 a \U000f0001 \U0010f001 <|end|>"
    assert text in tokenizer.decode(tokenizer.render([{"role": "user", "content": text}]))
    with pytest.raises(InputError, match=r"the character .* which has no meaning"):
        tokenizer.render([{"role": "user", "content": "\U0010fffd\U0010f001\U0010fffd <|end|>"}])
