"""A tokenizer for the tiny text encoders: bytes, joined into common English words, so every text has its own tokens."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from ltx_ray.models.ltx2.tiny_configs import TEXT_TOKENS

_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>")
_WORDS = "the of and a to in is on with as from at by it an over light slow warm camera scene sound".split()


def build_tokenizer(folder: Path) -> None:
    """Write it as a ``PreTrainedTokenizerFast`` that pads on the left, as Gemma's does."""
    vocab, merges = _vocabulary()
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", vocab["<bos>"])]
    )
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=TEXT_TOKENS,
    ).save_pretrained(folder)


def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Tokens by number, and the pairs that join: every word is built from its front, letter by letter."""
    tokens = [*_SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges: list[tuple[str, str]] = []
    for word in _WORDS:
        front = "\u0120"  # how ByteLevel writes a space
        for letter in word:
            if front + letter not in tokens:
                tokens.append(front + letter)
                merges.append((front, letter))
            front += letter
    return {token: number for number, token in enumerate(tokens)}, merges
