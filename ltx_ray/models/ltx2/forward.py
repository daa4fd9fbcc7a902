"""One evaluation of the LTX-2 transformer, over the parameters that diffusers' classes hold.

The arithmetic is that of the official model, where diffusers' own forward differs from it:
- In the attention between picture and sound the gate takes the noise level of the *other* modality as a whole, and
  scale and shift those of a modality's *own* tokens, in every family.
- Guidance without self-attention (STG) impairs the modality that asks for it.
- What modulates a token depends on its level, and there are only a handful of levels: they are computed for LEVEL_ROWS
  levels at once, always as many, and gathered where they are used. So a token's modulation depends on its level and on
  nothing else, and costs no memory a token.

B batch, T tokens, C channels, R levels. Everything but levels and positions is in the transformer's type.
Source: ltx_core/model/transformer/{model,transformer,modality}.py, Lightricks/LTX-2@400fd31; names of parameters:
LTX2VideoTransformer3DModel, diffusers 0.42.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ltx_ray.models.ltx2.offload import each_block

#: Levels whose modulations are computed at once. A matrix product may round otherwise for another number of rows.
LEVEL_ROWS = 8


@dataclass(frozen=True, slots=True)
class Levels:
    """Noise levels of the tokens of a modality, 0 to 1."""

    rows: Tensor  #: float32 [R], R a multiple of LEVEL_ROWS
    index: Tensor | None  #: [B, T], the row of each token; None = row 0 for all
    whole: Tensor  #: float32 [1], of the modality as a whole; 0 where it is given


@dataclass(frozen=True, slots=True)
class Side:
    """One modality as the transformer sees it."""

    latent: Tensor  #: [B, T, C]
    text: Tensor  #: [B, L, C]
    levels: Levels
    positions: Tensor  #: float32 [B, axes, T, 2], [start, end) of each token
    skipped: frozenset[int] = frozenset()  #: blocks without self-attention
    is_first_frame: Tensor | None = None  #: [B, T, 1], not 0 on tokens of a single frame; LTX-2.5 marks them


def levels_of(values: Tensor, index: Tensor | None, *, whole: float) -> Levels:
    """Levels of tokens that have one of ``values`` [n], padded to whole chunks of LEVEL_ROWS."""
    rows = values.new_zeros(-(-len(values) // LEVEL_ROWS) * LEVEL_ROWS)
    rows[: len(values)] = values
    return Levels(rows, index, values.new_full((1,), whole))


def velocities(transformer: Any, video: Side, audio: Side, *, isolate: bool = False) -> tuple[Tensor, Tensor]:
    """Velocities [B, T, C] of picture and sound; ``isolate`` leaves out the attention between them."""
    config = transformer.config
    picture = _begin(transformer.proj_in, transformer.rope, transformer.cross_attn_rope, video)
    sound = _begin(transformer.audio_proj_in, transformer.audio_rope, transformer.cross_attn_audio_rope, audio)
    if config.use_keyframes_abs_pos_embedding and video.is_first_frame is not None:
        mark = transformer.keyframes_abs_pos_embedding.to(picture.hidden.dtype)
        picture.hidden = picture.hidden + (video.is_first_frame > 0).to(mark.dtype) * mark
    if config.use_prompt_embeddings:
        picture.text = transformer.caption_projection(video.text)
        sound.text = transformer.audio_caption_projection(audio.text)
    scale = float(config.timestep_scale_multiplier)
    gate_scale = float(config.cross_attn_timestep_scale_multiplier)
    embedded = []
    for side, given, other, prefix in ((picture, video, audio, ""), (sound, audio, video, "audio_")):
        name, gate = ("audio", "v2a") if prefix else ("video", "a2v")
        side.time, end = _modulations(getattr(transformer, f"{prefix}time_embed"), given.levels.rows * scale, side)
        side.cross, _ = _modulations(
            getattr(transformer, f"av_cross_attn_{name}_scale_shift"), given.levels.rows * scale, side
        )
        cross_gate = getattr(transformer, f"av_cross_attn_{name}_{gate}_gate")
        side.cross_gate = _of_whole(cross_gate, other.levels.whole * gate_scale, side)
        if transformer.prompt_modulation and config.use_prompt_adaln_single:
            side.prompt = _of_whole(getattr(transformer, f"{prefix}prompt_adaln"), given.levels.whole * scale, side)
        embedded.append(end)
    for block_idx, block in each_block(transformer):
        _block(block, block_idx, picture, sound, isolate=isolate)
    return (
        _end(transformer.norm_out, transformer.proj_out, transformer.scale_shift_table, picture, embedded[0]),
        _end(
            transformer.audio_norm_out,
            transformer.audio_proj_out,
            transformer.audio_scale_shift_table,
            sound,
            embedded[1],
        ),
    )


@dataclass(slots=True)
class _Running:
    """One modality on its way through the blocks; modulations are [R, parameters, C]."""

    hidden: Tensor
    text: Tensor
    index: Tensor | None
    skipped: frozenset[int]
    rotary: tuple[Tensor, Tensor]
    cross_rotary: tuple[Tensor, Tensor]
    time: Tensor
    cross: Tensor
    cross_gate: Tensor
    prompt: Tensor | None = None

    def of(self, rows: Tensor) -> Tensor:
        """What modulates each token, [B, T, C], of [R, C]; [1, 1, C] where all have one level."""
        return rows[None, :1] if self.index is None else rows[self.index]

    def modulated(self, normed: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """``normed`` * (1 + scale) + shift, in its place."""
        return normed.mul_(self.of(1 + scale)).add_(self.of(shift))

    def add(self, update: Tensor, gate: Tensor | None = None) -> None:
        self.hidden = self.hidden + (update if gate is None else update.mul_(gate))


def _begin(project: Any, rope: Any, cross_rope: Any, side: Side) -> _Running:
    nothing = side.latent.new_empty(0)
    return _Running(
        hidden=project(side.latent),
        text=side.text,
        index=side.levels.index,
        skipped=side.skipped,
        rotary=rope(side.positions),
        cross_rotary=cross_rope(side.positions[:, :1]),
        time=nothing,
        cross=nothing,
        cross_gate=nothing,
    )


def _modulations(embed: Any, levels: Tensor, side: _Running) -> tuple[Tensor, Tensor]:
    """Of every level its parameters [R, parameters, C], and what the output is modulated with, [R, C]."""
    chunks = [embed(chunk, hidden_dtype=side.hidden.dtype) for chunk in torch.split(levels, LEVEL_ROWS)]
    found = torch.cat([parameters for parameters, _ in chunks])
    return found.reshape(len(found), embed.num_mod_params, -1), torch.cat([embedded for _, embedded in chunks])


def _of_whole(embed: Any, level: Tensor, side: _Running) -> Tensor:
    """The parameters of a modality's level as a whole, [1, parameters, C]."""
    return _modulations(embed, level.expand(LEVEL_ROWS), side)[0][:1]


def _block(block: Any, block_idx: int, picture: _Running, sound: _Running, *, isolate: bool) -> None:
    tables = block.scale_shift_table, block.audio_scale_shift_table
    times = [table + side.time for table, side in zip(tables, (picture, sound), strict=True)]
    for side, time, prefix in ((picture, times[0], ""), (sound, times[1], "audio_")):
        shift, scale, gate = time[:, 0], time[:, 1], time[:, 2]
        normed = side.modulated(getattr(block, f"{prefix}norm1")(side.hidden), scale, shift)
        attend, is_skipped = getattr(block, f"{prefix}attn1"), block_idx in side.skipped
        side.add(attend(normed, query_rotary_emb=side.rotary, all_perturbed=is_skipped), side.of(gate))
        _attend_to_text(block, side, time, prefix)
    if not isolate:
        _attend_to_each_other(block, picture, sound)
    for side, time, prefix in ((picture, times[0], ""), (sound, times[1], "audio_")):
        shift, scale, gate = time[:, 3], time[:, 4], time[:, 5]
        normed = side.modulated(getattr(block, f"{prefix}norm3")(side.hidden), scale, shift)
        side.add(getattr(block, f"{prefix}ff")(normed), side.of(gate))


def _attend_to_text(block: Any, side: _Running, time: Tensor, prefix: str) -> None:
    normed, text, gate = getattr(block, f"{prefix}norm2")(side.hidden), side.text, None
    if getattr(block, f"{prefix or 'video_'}cross_attn_adaln"):
        normed, gate = side.modulated(normed, time[:, 7], time[:, 6]), side.of(time[:, 8])
    if block.cross_attn_adaln:
        table = getattr(block, f"{prefix}prompt_scale_shift_table").to(text.dtype)
        shift, scale = (table[None] if side.prompt is None else table + side.prompt).unbind(1)
        text = text * (1 + scale[:, None]) + shift[:, None]
    side.add(getattr(block, f"{prefix}attn2")(normed, encoder_hidden_states=text), gate)


def _attend_to_each_other(block: Any, picture: _Running, sound: _Running) -> None:
    """Sound into picture, then picture into sound as it was before."""
    tables = block.video_a2v_cross_attn_scale_shift_table, block.audio_a2v_cross_attn_scale_shift_table
    to_picture, to_sound = (
        (table[:4] + side.cross, table[4:] + side.cross_gate)
        for table, side in zip(tables, (picture, sound), strict=True)
    )
    seen, heard = block.audio_to_video_norm(picture.hidden), block.video_to_audio_norm(sound.hidden)

    def both(first: int) -> tuple[Tensor, Tensor]:
        """What is seen and heard, modulated by the parameters from ``first`` on, scale and then shift."""
        shown = picture.modulated(seen.clone(), to_picture[0][:, first], to_picture[0][:, first + 1])
        return shown, sound.modulated(heard.clone(), to_sound[0][:, first], to_sound[0][:, first + 1])

    shown, told = both(0)
    update = block.audio_to_video_attn(
        shown,
        encoder_hidden_states=told,
        query_rotary_emb=picture.cross_rotary,
        key_rotary_emb=sound.cross_rotary,
    )
    picture.add(update, to_picture[1][:, 0][:, None])
    shown, told = both(2)
    update = block.video_to_audio_attn(
        told,
        encoder_hidden_states=shown,
        query_rotary_emb=sound.cross_rotary,
        key_rotary_emb=picture.cross_rotary,
    )
    sound.add(update, to_sound[1][:, 0][:, None])


def _end(norm: Any, project: Any, table: Tensor, side: _Running, embedded: Tensor) -> Tensor:
    shift, scale = (table + embedded[:, None]).unbind(1)
    velocity: Tensor = project(side.modulated(norm(side.hidden), scale, shift))
    return velocity
