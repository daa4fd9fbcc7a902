"""Workflows from a manifest to a file, in one process: what the test card shows of what it was given."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from PIL import Image

from ltx_ray import api
from ltx_ray.errors import ManifestError
from ltx_ray.media.read import read_frames, sample_blocks
from ltx_ray.media.still import still_picture
from ltx_ray.models.testcard.findings import Tally
from ltx_ray.plan.images import ImagesOfTake
from ltx_ray.plan.redo import held_at_tail
from ltx_ray.proof import probe
from ltx_ray.spec.piece import Piece
from ltx_ray.spec.recipe import Still
from tests.e2e.test_checkpoints import FILES

SIZE = (256, 192)
HEAD = "model: testcard\ndefaults: {frame_rate: 24, width: 256, height: 192}\n"
#: Pixels above the strips of a card of this size.
ABOVE = 80


def picture(folder: Path, name: str, seed: int, size: tuple[int, int] = (320, 240)) -> Path:
    """An image of large random blocks."""
    blocks = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(folder / name)
    return folder / name


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Renders manifests in one folder; files by the video's id, and how many tasks were made."""
    folder = tmp_path_factory.mktemp("workflows")
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        picture(folder, name, seed)

    def render(text: str, run: str = "run") -> tuple[dict[str, Path], int]:
        (folder / f"{run}.yaml").write_text(HEAD + text)
        manifest = api.load_manifest(folder / f"{run}.yaml")
        summary = api.render(manifest, api.RenderOptions(run_dir=folder / "runs" / run, inline=True))
        assert not summary.failed and len(summary.finished) == len(manifest.videos)
        files = {video.id: folder / "runs" / run / "videos" / video.output.path for video in manifest.videos}
        return files, summary.num_made

    render.folder = folder
    return render


def proven(path: Path):
    """The frames of a file that is the card it says it is."""
    found = probe(path)
    assert not found.wrong, found.wrong
    assert found.card is not None and found.card.first_wrong is None, found.card.first_wrong
    return list(read_frames(path))


def is_shown(frame: np.ndarray, image: Path, *, rows: int | None = None) -> bool:
    """Whether a frame looks like an image in its first ``rows``, as coarsely as the card shows what it was given."""
    height, width = frame.shape[:2]
    still = Still(width_px=width, height_px=height, fit="cover", background=(0, 0, 0), crf=0)
    return likeness(frame[:rows], still_picture(image, still)[:rows]) > 0.7


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures in blocks of 16 px."""
    means = []
    for picture in (one, other):
        height, width = (side // 16 * 16 for side in picture.shape[:2])
        blocks = picture[:height, :width].reshape(height // 16, 16, width // 16, 16, 3).astype(float)
        means.append(blocks.mean(axis=(1, 3)).ravel())
    return float(np.corrcoef(*means)[0, 1])


def test_an_image_is_the_first_frame_in_both_stages_and_key_frames_lie_at_theirs(rendered):
    a, b, c = (rendered.folder / name for name in ("a.png", "b.png", "c.png"))
    files, _ = rendered(
        "videos:\n"
        "- {id: whole, prompt: p, num_frames: 49, images: [{path: a.png}, {path: b.png, at: 20}, "
        "{path: c.png, at: last}]}\n"
        "- {id: draft, prompt: p, preset: draft, num_frames: 25, image: a.png}\n"
        "- {id: single, prompt: p, stages: one, num_frames: 25, image: b.png}\n",
        "images",
    )
    whole = proven(files["whole"])
    assert is_shown(whole[0], a) and is_shown(whole[20], b, rows=ABOVE) and is_shown(whole[48], c, rows=ABOVE)
    assert not is_shown(whole[0], b) and not is_shown(whole[19], b, rows=ABOVE)
    assert not is_shown(whole[21], b, rows=ABOVE)
    assert is_shown(proven(files["draft"])[0], a) and is_shown(proven(files["single"])[0], b)


def test_in_a_long_video_each_image_is_at_its_frame_and_another_one_re_makes_what_sees_it(rendered):
    b, c = rendered.folder / "b.png", rendered.folder / "c.png"
    text = (
        "videos: [{{id: long, prompt: p, seconds: 4, segment: {{frames: 49, connector: 17}}, "
        "images: [{{path: a.png}}, {{path: {}, at: last}}]}}]"
    )
    files, first = rendered(text.format("b.png"), "long")
    assert is_shown(proven(files["long"])[95], b, rows=ABOVE)
    files, again = rendered(text.format("c.png"), "long")
    frames = proven(files["long"])
    assert is_shown(frames[95], c, rows=ABOVE) and not is_shown(frames[95], b, rows=ABOVE)
    assert again < first / 2


@pytest.mark.parametrize("model", ["tiny-2.0", "tiny-2.3", "tiny-2.5"])
def test_a_real_architecture_holds_an_image_and_says_so(rendered, model):
    text = "videos: [{{id: a, model: {}, prompt: p, num_frames: 9, width: 128, height: 128, {}}}]"
    files, _ = rendered(text.format(model, "images: [{path: a.png}, {path: b.png, at: last}]"), f"with-{model}")
    plain, _ = rendered(text.format(model, "seed: 1"), f"without-{model}")
    assert not probe(files["a"]).wrong
    shown, other = (next(read_frames(each["a"])) for each in (files, plain))
    assert np.abs(shown.astype(int) - other).mean() > 1


def test_bad_images_are_refused_all_at_once_before_any_work(rendered):
    folder = rendered.folder
    (folder / "empty.png").write_bytes(b"")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    text = "videos:\n" + "".join(
        f"- {{id: v{idx}, prompt: p, num_frames: 9, image: {name}}}\n"
        for idx, name in enumerate(("gone.png", "empty.png", "dot.png", "bad.yaml"))
    )
    (folder / "bad.yaml").write_text(HEAD + text)
    with pytest.raises(ManifestError) as raised:
        api.render(api.load_manifest(folder / "bad.yaml"), api.RenderOptions(run_dir=folder / "runs/bad", inline=True))
    lines = str(raised.value).split("\n")
    assert [line.split(": ", 2)[1] for line in lines] == [f"video 'v{idx}'" for idx in range(4)]
    assert all("images[0].path: " in line for line in lines) and not (folder / "runs/bad").exists()


def write_sound(path: Path, samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """A WAV of int16 [channels, n]; the samples."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.ascontiguousarray(samples.T).tobytes())
    return samples


def noise(num_channels: int, seconds: float, rate_hz: int) -> np.ndarray:
    shape = (num_channels, int(seconds * rate_hz))
    return np.random.default_rng(num_channels).integers(-9000, 9000, shape).astype(np.int16)


def heard(path: Path) -> np.ndarray:
    """Samples of a file as int16."""
    return np.rint(np.concatenate(list(sample_blocks(path)), axis=1) * 2**15).astype(np.int64)


@pytest.mark.parametrize(("channels", "rate_hz"), [(1, 44_100), (2, 48_000), (2, 22_050)])
def test_the_file_carries_the_sound_that_drives_it_to_the_sample(rendered, channels, rate_hz):
    samples = write_sound(rendered.folder / "noise.wav", noise(channels, 4.5, rate_hz), rate_hz)
    files, _ = rendered(
        "videos:\n"
        "- {id: a, prompt: p, seconds: 4, audio: {path: noise.wav, start: 0.5}, output.path: a.mkv, "
        "segment: {frames: 49, connector: 17}}\n"
        "- {id: d, prompt: p, seconds: 2, preset: draft, audio: noise.wav, output.path: d.mkv}\n",
        f"driven-{channels}-{rate_hz}",
    )
    proven(files["a"])
    for name, begin, seconds in (("a", rate_hz // 2, 4), ("d", 0, 2)):
        wanted = np.broadcast_to(samples, (2, samples.shape[1]))[:, begin : begin + seconds * rate_hz]
        assert np.array_equal(heard(files[name]), wanted)


def test_a_card_that_is_driven_by_its_own_tune_is_in_step_and_one_cell_later_it_is_not(rendered):
    tune, _ = rendered("videos: [{id: fox, prompt: p, seconds: 7, output.path: fox.mkv}]", "tune")
    text = "videos: [{{id: fox, prompt: p, seconds: 6, segment: {{frames: 49, connector: 17}}, audio: {{path: {}{}}}}}]"
    files, _ = rendered(text.format(tune["fox"], ""), "in-step")
    assert len(proven(files["fox"])) == 144
    files, _ = rendered(text.format(tune["fox"], ", start: 0.04"), "out-of-step")
    assert "no test card can be read" in str(probe(files["fox"]).wrong)


def test_music_lies_under_and_drives_nothing_and_a_scene_can_have_a_sound_of_its_own(rendered):
    samples = write_sound(rendered.folder / "music.wav", noise(2, 3, 48_000), 48_000)
    files, _ = rendered(
        "videos: [{id: m, output.path: m.mkv, audio: {path: music.wav, mode: lay}, scenes: ["
        "{prompt: p, seconds: 1}, {prompt: q, seconds: 1, audio: off}, {prompt: r, seconds: 1, cut: true}]}]",
        "mixed",
    )
    found = heard(files["m"])
    proven(files["m"])
    # The first scene shows 25 frames, because segments meet at 8n+1; the last one begins at 48.
    first, last = 50_000, 96_000
    assert np.array_equal(found[:, :first], samples[:, :first])
    assert np.array_equal(found[:, last:], samples[:, last:])
    assert not np.array_equal(found[:, first:last], samples[:, first:last])


def test_a_talking_head_has_its_image_and_its_sound(rendered):
    samples = write_sound(rendered.folder / "voice.wav", noise(1, 3, 48_000), 48_000)
    files, _ = rendered(
        "videos: [{id: t, prompt: p, seconds: 2, image: a.png, audio: voice.wav, output.path: t.mkv}]", "talking"
    )
    frames = proven(files["t"])
    assert is_shown(frames[0], rendered.folder / "a.png")
    assert np.array_equal(heard(files["t"])[0], samples[0, :96_000])


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_a_film_gets_a_sound_in_sync_and_its_picture_is_copied_packet_by_packet(rendered):
    given, _ = rendered("videos: [{id: fox, prompt: p, seconds: 5}]", "silent")
    text = "videos: [{{id: fox, prompt: p, picture: {}, segment: {{frames: 49, connector: 17}}{}}}]"
    head = HEAD.replace("frame_rate: 24, ", "")
    (rendered.folder / "foley.yaml").write_text(head + text.format(given["fox"], ""))
    files = {}
    for name, keys in (("foley", ""), ("coded", ", output: {path: fox.mkv, codec: ffv1}")):
        (rendered.folder / f"{name}.yaml").write_text(head + text.format(given["fox"], keys))
        manifest = api.load_manifest(rendered.folder / f"{name}.yaml")
        api.render(manifest, api.RenderOptions(run_dir=rendered.folder / "runs" / name, inline=True))
        files[name] = rendered.folder / "runs" / name / "videos" / manifest.videos[0].output.path
    assert packets(files["foley"]) == packets(given["fox"]) == packets(files["coded"])
    for path in files.values():
        found = probe(path)
        assert not found.wrong and found.card.beeps == Tally(5, 5) and found.card.coarse == Tally(120, 120)


def rendered_film(rendered, name: str, text: str) -> Path:
    """The one file of a manifest whose video takes size and rate from a film."""
    (rendered.folder / f"{name}.yaml").write_text("model: testcard\n" + text)
    manifest = api.load_manifest(rendered.folder / f"{name}.yaml")
    summary = api.render(manifest, api.RenderOptions(run_dir=rendered.folder / "runs" / name, inline=True))
    assert not summary.failed
    return rendered.folder / "runs" / name / "videos" / manifest.videos[0].output.path


@pytest.fixture(scope="module")
def card(rendered):
    """A card of 6 seconds with FLAC sound."""
    return rendered("videos: [{id: fox, prompt: p, seconds: 6, output.path: fox.mkv}]", "card")[0]["fox"]


@pytest.mark.parametrize("keys", ["", ", segment: {frames: 73, connector: 17}"])
def test_a_stretch_made_anew_fits_into_its_film_and_everything_else_is_the_films(rendered, card, keys):
    text = "videos: [{{id: fox, prompt: q, retake: {{path: {}, picture: [[2, 3]], sound: [[4, 4.5]]}}, output: {}{}}}]"
    output = "{path: fox.mkv, codec: ffv1}"
    path = rendered_film(rendered, f"retake{len(keys)}", text.format(card, output, keys))
    found = probe(path)
    assert not found.wrong and found.card.coarse == Tally(144, 144)
    old, new = (list(read_frames(each)) for each in (card, path))
    apart = [float(np.abs(one.astype(int) - other).mean()) for one, other in zip(old, new, strict=True)]
    assert max(apart[:48] + apart[72:]) < 1 < min(apart[52:68])
    before, after = heard(card), heard(path)
    outside = np.r_[0:192_000, 216_000:288_000]
    assert np.array_equal(before[:, outside], after[:, outside])


def test_sound_is_made_anew_under_a_picture_that_is_copied_and_an_end_past_the_film_extends_it(rendered, card):
    text = "videos: [{{id: fox, prompt: q, retake: {{path: {}, {}}}, output.path: fox.mkv}}]"
    path = rendered_film(rendered, "resound", text.format(card, "sound: all"))
    assert packets(path) == packets(card) and not probe(path).wrong
    path = rendered_film(rendered, "extended", text.format(card, "picture: [[5, 8]]"))
    found = probe(path)
    assert not found.wrong and found.card.coarse == Tally(192, 192) and found.card.beeps == Tally(8, 8)


def test_a_film_of_any_size_is_padded_for_the_model_and_cut_back(rendered):
    film = rendered.folder / "odd.mp4"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 150, 102, "yuv420p"
        for idx in range(40):
            picture = np.full((102, 150, 3), (5 * idx, 90, 200), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    text = "videos: [{id: a, model: tiny-2.3, prompt: q, retake: {path: odd.mp4, picture: [[0.5, 1]], sound: all}}]"
    path = rendered_film(rendered, "odd-film", text)
    frames = list(read_frames(path))
    assert len(frames) == 40 and frames[0].shape == (102, 150, 3)
    assert np.abs(frames[39].astype(int) - (195, 90, 200)).max() < 6


def moving(path: Path, num_frames: int, *, late: int = 0) -> Path:
    """A light block that moves 8 px a frame over a dark ground, and begins again at the left."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 256, 192, "yuv420p"
        for idx in range(num_frames):
            picture = np.full((192, 256, 3), 20, np.uint8)
            at = where(idx - late)
            picture[:, at : at + 32] = 235
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    return path


def where(idx: int) -> int:
    return 8 * (max(0, idx) % 28)


def block_at(frame: np.ndarray) -> float:
    """Where the light block is, in px from the left, on a row without words."""
    light = frame[68:76].mean(axis=(0, 2)) - 30
    columns = np.arange(len(light))
    return float((columns * np.clip(light, 0, None)).sum() / np.clip(light, 0, None).sum())


@pytest.mark.parametrize("late", [0, 1])
def test_a_control_guides_every_segment_at_its_frames(rendered, late):
    moving(rendered.folder / "control.mp4", 100, late=late)
    files, _ = rendered(
        "videos: [{id: c, prompt: p, stages: one, seconds: 4, control: control.mp4, "
        "segment: {frames: 49, connector: 17}}]",
        f"control-{late}",
    )
    frames = proven(files["c"])
    apart = [abs(block_at(frame) - where(idx) - 16) for idx, frame in enumerate(frames)]
    assert max(apart) < 4 if not late else min(apart[1:]) > 4, apart  # one frame late is seen in every frame


def test_a_control_of_edges_leaves_before_stage_2_and_goes_with_an_image(rendered):
    moving(rendered.folder / "film.mp4", 50)
    text = "videos: [{{id: e, prompt: p, num_frames: 25, {}control: {{path: film.mp4, kind: canny}}, image: a.png}}]"
    draft, _ = rendered(text.format("preset: draft, "), "edges-draft")
    whole, _ = rendered(text.format(""), "edges")
    assert proven(draft["e"])[12][4:34].mean() < 60  # edges on black
    assert is_shown(proven(whole["e"])[0], rendered.folder / "a.png")


def test_details_of_a_film_are_made_in_tiles_and_its_sound_is_kept(rendered, card):
    text = "videos: [{{id: fox, prompt: q, detail: {}, width: 512, height: 384, {}, output.path: fox.mkv}}]"
    path = rendered_film(rendered, "detail", text.format(card, "segment: {frames: 49, connector: 17}"))
    found = probe(path)
    assert not found.wrong and found.card.coarse == found.card.fine == Tally(144, 144)
    assert found.media.video.width_px == 512 and np.array_equal(heard(path), heard(card))


@pytest.mark.parametrize("keys", ["", "preset: draft, "])
def test_a_segment_is_made_anew_and_nothing_around_it_moves(rendered, keys):
    shape = "seconds: 8, segment: {frames: 73, connector: 17}, output: {codec: ffv1, path: r.mkv}"
    redo = ", redo: [{segment: 1, seed: 99, prompt: 'something else'}]"
    before, _ = rendered(f"videos: [{{id: r, prompt: p, {keys}{shape}}}]", f"redo{len(keys)}")
    old = proven(before["r"])
    text = f"videos: [{{id: r, prompt: p, {keys}{shape}{redo}}}]"
    after, made = rendered(text, f"redo{len(keys)}")
    apart = [bool((one != other).any()) for one, other in zip(old, proven(after["r"]), strict=True)]
    # Segments show up to frame 73, 129 and 185. What the third one began with, from frame 112 on, is as it was.
    assert not any(apart[:73]) and all(apart[80:105]) and not any(apart[113:])
    assert 0 < made <= 12 and rendered(text, f"redo{len(keys)}")[1] == 0


OFFICIAL = {
    "shown": "images: [{{path: {folder}/a.png}}, {{path: {folder}/b.png, at: last}}]",
    "driven": "audio: s.wav, redo: [{{segment: 0, seed: 5}}]",
    "retaken": "retake: {{path: {card}, picture: [[1, 1.2]], sound: [[0.5, 0.7]]}}",
    "sounded": "picture: {card}, width: 96, height: 64",
    "controlled": "control: {card}",
    "detailed": "detail: {card}",
}


def of_official_files(folder: Path, keys: str):
    """A manifest of one video on the tiny checkpoint of tests/parity/golden in the official layout of LTX-2.5."""
    (folder / "models.yaml").write_text(yaml.safe_dump({"mine": {"kind": "distilled", "precision": "fp32", **FILES}}))
    (folder / "m.yaml").write_text(f"model: mine\nvideos: [{{id: v, prompt: a bird, output.path: v.mkv, {keys}}}]")
    catalog = api.models(folder / "models.yaml")
    return api.load_manifest(folder / "m.yaml", catalog=catalog), catalog


@pytest.mark.parametrize("workflow", ["shown", "driven", "retaken", "sounded"])
def test_official_files_run_workflows(rendered, card, workflow, tmp_path):
    sound = write_sound(tmp_path / "s.wav", noise(2, 2, 48_000), 48_000)
    keys = OFFICIAL[workflow].format(card=card, folder=rendered.folder)
    if workflow in ("shown", "driven"):
        keys += ", width: 128, height: 128, seconds: 1.7, segment: {frames: 33, connector: 9}"
    manifest, catalog = of_official_files(tmp_path, keys)
    summary = api.render(manifest, api.RenderOptions(run_dir=tmp_path / "run", inline=True), catalog=catalog)
    path = tmp_path / "run/videos/v.mkv"
    assert not summary.failed and not probe(path).wrong
    if workflow == "driven":
        found = heard(path)
        assert np.array_equal(found, sound[:, : found.shape[1]])


@pytest.mark.parametrize("workflow", ["controlled", "detailed"])
def test_on_official_files_guides_need_their_lora(card, workflow, tmp_path):
    with pytest.raises(ManifestError, match=r"lora: is missing; the film is read by a LoRA of its kind"):
        of_official_files(tmp_path, OFFICIAL[workflow].format(card=card))


def test_a_redo_that_is_held_to_the_wrong_latents_is_found(rendered, monkeypatch):
    def shifted(planned, segment_idx, stage, replaced):
        for given in held_at_tail(planned, segment_idx, stage, replaced):
            piece = given.condition.piece
            moved = Piece(piece.start - 1, piece.stop - 1)
            yield given._replace(condition=replace(given.condition, piece=moved))

    monkeypatch.setattr("ltx_ray.plan.chain.held_at_tail", shifted)
    keys = "seconds: 8, segment: {frames: 73, connector: 17}, redo: [{segment: 1, seed: 4}]"
    files, _ = rendered(f"videos: [{{id: w, prompt: p, {keys}}}]", "wrong-redo")
    assert any("unreadable" in wrong or "frame" in wrong for wrong in probe(files["w"]).wrong)


def test_an_image_of_another_frame_is_found(rendered, monkeypatch):
    real = ImagesOfTake._given
    late = lambda self, planned, placed, frame, stage: real(self, planned, placed, frame + 1, stage)  # noqa: E731
    monkeypatch.setattr(ImagesOfTake, "_given", late)
    files, _ = rendered("videos: [{id: l, prompt: p, num_frames: 25, images: [{path: b.png, at: 12}]}]", "late-image")
    frames = proven(files["l"])
    b = rendered.folder / "b.png"
    assert not is_shown(frames[12], b, rows=ABOVE) and is_shown(frames[13], b, rows=ABOVE)


def test_a_storyboard_goes_from_still_to_still_and_shows_each_once(rendered):
    files, _ = rendered("videos: [{id: s, prompt: p, seconds: 2, storyboard: [a.png, b.png, c.png]}]", "storyboard")
    frames = proven(files["s"])
    a, b, c = (rendered.folder / name for name in ("a.png", "b.png", "c.png"))
    assert len(frames) == 96
    assert is_shown(frames[0], a) and is_shown(frames[48], b) and is_shown(frames[95], c, rows=ABOVE)
    assert not is_shown(frames[47], b, rows=ABOVE)
