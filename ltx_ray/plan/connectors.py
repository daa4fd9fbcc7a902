"""What later segments hold of their neighbours: the connector at the head, and where stages alternate also the tail."""

from __future__ import annotations

from collections.abc import Iterator

from ltx_ray.errors import PlanError
from ltx_ray.plan.conditions import Planned, Provided, SegmentStage
from ltx_ray.plan.segments import pieces_of
from ltx_ray.spec.conditions import Hold
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import ConnectRecipe
from ltx_ray.spec.task import Parent

#: Latents before a connector that are decoded with it, where the decoder looks that far: with 10 a tail comes out as in
#: the final picture to a thousandth of its spread.
CONNECTOR_CONTEXT = 10


def connector(planned: Planned, segment_idx: int, stage: SegmentStage) -> Iterator[Provided]:
    """The end of what is kept of the segment before, decoded and encoded again."""
    if segment_idx > 0 and planned.video.picture is not None:
        yield _sound_at_head(planned, segment_idx)
    elif segment_idx > 0 and not planned.is_free(segment_idx, stage):
        yield from held_at_head(planned, segment_idx, _connect(planned, segment_idx, stage))


def tail(planned: Planned, segment_idx: int, stage: SegmentStage) -> Iterator[Provided]:
    """Where stages alternate: what the segment after has settled, but its first two latents, which had no past."""
    if not planned.alternates(stage) or segment_idx % 2 == 0 or segment_idx + 1 == len(planned.take.segments):
        return
    segment, after = planned.take.segments[segment_idx : segment_idx + 2]
    step = planned.facts.video.frames_per_latent
    if after.connector < (least := 2 * step + 1):
        raise PlanError(
            f"scenes[{after.scene_idx}].segment.connector: {after.connector} is too short for "
            f"`refine: alternate`, which joins a segment to the one after it by it; at least {least}"
        )
    latents = Piece(2, planned.facts.video.num_latents(after.connector))
    cells = Piece(1, max(1, segment.own_cells.stop - after.cells.start))
    shift, first_cell = (after.start - segment.start) // step, after.cells.start - segment.cells.start
    key = planned.refined[segment_idx + 1]
    yield Provided(Hold(modality="video", piece=latents, start=shift + latents.start), key)
    if not planned.is_driven(segment_idx):
        yield Provided(Hold(modality="audio", piece=cells, start=first_cell + cells.start), key)


def held_at_head(planned: Planned, segment_idx: int, key: str) -> Iterator[Provided]:
    """A whole connector at a segment's head: its picture as strongly as the scene says, its sound bit for bit."""
    segment = planned.take.segments[segment_idx]
    latents = Piece(0, planned.facts.video.num_latents(segment.connector))
    cells = Piece(0, segment.own_cells.start - segment.cells.start)
    strength = planned.scene(segment_idx).segment.strength
    yield Provided(Hold(modality="video", piece=latents, start=0, strength=strength), key)
    if not (planned.is_driven(segment_idx) and (segment_idx == 0 or planned.is_driven(segment_idx - 1))):
        yield Provided(Hold(modality="audio", piece=cells, start=0), key)


def _sound_at_head(planned: Planned, segment_idx: int) -> Provided:
    """What the segment before hands over where the picture of both is given: its cells, as they are."""
    before, segment = planned.take.segments[segment_idx - 1 : segment_idx + 1]
    cells = Piece(segment.cells.start - before.cells.start, before.own_cells.stop - before.cells.start)
    return Provided(Hold(modality="audio", piece=cells, start=0), planned.generated[segment_idx - 1])


def _connect(planned: Planned, segment_idx: int, stage: SegmentStage) -> str:
    """Key of the connector that a stage of a segment begins with."""
    video = planned.video
    is_from_final = stage == "refine" or (video.chain == "final" and not video.is_draft)
    sources = planned.refined if is_from_final else planned.generated
    sounds = planned.generated if stage == "generate" and video.audio_from == "stage1" else sources
    recipe, keys = _recipe(planned, segment_idx, stage, sources)
    unit = f"{planned.name(segment_idx)}/{'full' if planned.is_final(stage) else 'half'}"
    parents = (*(Parent("latent", key) for key in keys), Parent("sound", sounds[segment_idx - 1]))
    key = planned.plan_.add("connect", unit, recipe, parents)
    if stage == "refine" or video.is_draft:
        planned.connectors[segment_idx] = key
    return key


def _recipe(
    planned: Planned, segment_idx: int, stage: SegmentStage, sources: dict[int, str]
) -> tuple[ConnectRecipe, list[str]]:
    """The recipe of a connector, and the keys of the latents it decodes.

    The latents of a free segment are a film of their own, so they are context for each other; waiting for the
    segment before it would chain what `alternate` has set free.
    """
    take, grid = planned.take, planned.facts.video
    before, segment = take.segments[segment_idx - 1], take.segments[segment_idx]
    reach_before, reach_after = planned.facts.decoder_reach
    is_free = planned.alternates(stage)
    shift = before.start // grid.frames_per_latent
    stop = grid.num_latents(before.kept_stop)
    first = stop - grid.num_latents(segment.connector) - min(CONNECTOR_CONTEXT, reach_before)
    first = max(shift if is_free else 0, first)
    if is_free:
        parts = [(segment_idx - 1, Piece(first - shift, stop - shift))]
    else:
        parts = list(pieces_of(take, first, stop, grid))
    last_idx, last = parts[-1]
    assert last_idx == segment_idx - 1, "the connector lies in the segment before"
    overshoot = min(before.overshoot // grid.frames_per_latent, reach_after)
    parts[-1] = last_idx, Piece(last.start, last.stop + overshoot)
    start = segment.start - first * grid.frames_per_latent
    width, height = planned.size_px(stage)
    recipe = ConnectRecipe(
        weights=planned.facts.weights_for("connect"),
        pieces=tuple(piece for _, piece in parts),
        start=start,
        stop=start + segment.connector,
        cells=Piece(segment.cells.start - before.cells.start, before.own_cells.stop - before.cells.start),
        width_px=width,
        height_px=height,
        tiling=planned.video.decode_tiling,
    )
    return recipe, [sources[part_idx] for part_idx, _ in parts]
