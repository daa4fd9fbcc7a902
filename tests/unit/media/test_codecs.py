"""The table of codecs against the FFmpeg that is installed."""

from __future__ import annotations

import av
import pytest

from ltx_ray.spec.codecs import CODECS, CONTAINERS, SOUND_CODECS


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_the_encoder_of_a_row_is_there_and_makes_what_the_row_says(codec):
    encoder = av.codec.Codec(codec.library, "w")
    assert encoder.canonical_name == codec.stream
    assert codec.pix_fmt in [pix_fmt.name for pix_fmt in encoder.video_formats]


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_pictures_are_8_bit_planes_because_seams_are_measured_in_them(codec):
    pix_fmt = av.VideoFormat(codec.pix_fmt, 16, 16)
    assert pix_fmt.is_planar and {part.bits for part in pix_fmt.components} == {8}


def test_containers_have_a_muxer_and_sound_has_an_encoder():
    muxers = {codec.chunk for codec in CODECS.values()} | {container.muxer for container in CONTAINERS.values()}
    assert all(av.ContainerFormat(muxer, "w").is_output for muxer in muxers)
    for name, sound in SOUND_CODECS.items():
        assert sound.sample_format in [fmt.name for fmt in av.codec.Codec(name, "w").audio_formats]


@pytest.mark.parametrize("name", CODECS)
def test_a_setting_changes_the_bytes_of_a_codec_that_has_it_and_nothing_is_asked_of_one_that_has_none(
    clip, encode, name
):
    codec, frames = CODECS[name], clip(3)
    usual = {"codec": name, "crf": codec.crf and codec.crf.default, "preset": codec.presets and codec.presets.default}
    others = []
    if codec.crf is not None:
        others.append(usual | {"crf": codec.crf.choices[-1]})
    if codec.presets is not None:
        others.append(usual | {"preset": codec.presets.choices[0]})
    chunks = [encode(frames, **settings).read_bytes() for settings in (usual, *others)]
    assert len(set(chunks)) == 1 + len(others)
