"""A prompt to what the transformer attends to: Gemma, then the text connectors, in one go.

Gemma's stacked hidden states are 385 MB a prompt at real size; what the connectors make of them is 12 to 16 MB. One
prompt at a time, so that the bytes of one never depend on which others are encoded. Gemma is let go before the
connectors are asked for, so that a device which does not hold both encodes.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

import torch
from torch import Tensor

from ltx_ray.errors import ModelError

_log = logging.getLogger(__name__)
#: Tokens of a prompt, padding included: what the connectors and the transformer were trained on.
NUM_TOKENS = 1024


class TextParts(Protocol):
    """What text is encoded with; each of them may leave a device when the next one is asked for."""

    @property
    def text_encoder(self) -> Any: ...
    @property
    def tokenizer(self) -> Any: ...
    @property
    def connectors(self) -> Any: ...


class Ltx2TextEncoder:
    """Satisfies ``spec.protocols.TextEncoder``."""

    def __init__(self, parts: TextParts) -> None:
        self._parts = parts

    @torch.no_grad()
    def encode(self, prompt: str) -> dict[str, Tensor]:
        """``video_text`` [1, 1024, video width] and ``audio_text`` [1, 1024, audio width], in the model's type.

        Every position means something, registers in place of padding, so no mask belongs to it. Of a prompt that has
        more tokens than the model reads the first are taken.

        Raises:
            ModelError: the connectors fill padding with nothing, so that a mask would have to go along with the text.
        """
        hidden_BTD, mask = self._hidden(prompt.strip())
        connectors = self._parts.connectors
        if connectors.config.video_connector_num_learnable_registers is None:
            raise ModelError("connectors: no learnable registers; take a checkpoint of LTX-2 or later")
        video, audio, _ = connectors(hidden_BTD, mask, padding_side="left")
        # Contiguous, as they will be after a trip through a file: strides can change which kernel a layer takes.
        return {"video_text": video.contiguous(), "audio_text": audio.contiguous()}

    def _hidden(self, prompt: str) -> tuple[Tensor, Tensor]:
        """All hidden states of a prompt [1, 1024, width * layers], and which of its tokens are no padding."""
        tokens, encoder = self._tokenize(prompt), self._parts.text_encoder
        mask = tokens["attention_mask"].to(encoder.device)
        # Not the whole model: its head would make 262,144 numbers of every token, which nobody reads.
        said = encoder.model(
            input_ids=tokens["input_ids"].to(encoder.device),
            attention_mask=mask,
            output_hidden_states=True,
            use_cache=False,
        )
        return torch.stack(said.hidden_states, dim=-1).flatten(2, 3).to(encoder.dtype), mask

    def _tokenize(self, text: str) -> Any:
        """Left-padded to NUM_TOKENS; begins with ``<bos>``, which the tokenizer of Gemma 4 does not add itself.

        Source: ltx_core/text_encoders/gemma, Lightricks/LTX-2@400fd31.
        """
        tokenizer = self._parts.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        bos = tokenizer.bos_token_id
        ids = list(tokenizer(text)["input_ids"])
        if bos is not None and ids[:1] != [bos]:
            ids.insert(0, bos)
        if len(ids) > NUM_TOKENS:
            left_out = len(ids) - NUM_TOKENS
            _log.warning(
                "prompt '%s...': this model reads %d tokens; the last %d are left out", text[:40], NUM_TOKENS, left_out
            )
        return tokenizer.pad(
            {"input_ids": [ids[:NUM_TOKENS]]}, padding="max_length", max_length=NUM_TOKENS, return_tensors="pt"
        )
