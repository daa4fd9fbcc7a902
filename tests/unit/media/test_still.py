"""Images of every kind as the picture that a model is given."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageCms

from ltx_ray.errors import MediaError
from ltx_ray.media.still import read_still, still_picture
from ltx_ray.spec.recipe import Still

LEFT, RIGHT = (200, 40, 40), (40, 40, 200)


def halves(width=96, height=64, left=LEFT, right=RIGHT):
    """Left and right half of one colour each."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:, : width // 2], picture[:, width // 2 :] = left, right
    return Image.fromarray(picture)


@pytest.fixture
def shown(tmp_path):
    """What an image becomes, and its facts."""

    def shown(image, name="a.png", *, size=(96, 64), fit="cover", background=(0, 0, 0), crf=0, **saved):
        path = tmp_path / name
        image.save(path, **saved)
        still = Still(width_px=size[0], height_px=size[1], fit=fit, background=background, crf=crf)
        return still_picture(path, still), read_still(path)

    return shown


def test_a_plain_picture_of_the_right_size_is_taken_bit_for_bit(shown):
    image = halves()
    picture, facts = shown(image)
    assert np.array_equal(picture, np.asarray(image))
    assert (facts.width_px, facts.height_px, facts.notes) == (96, 64, ())


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.bmp", "a.tiff", "a.gif", "a.avif", "a.ppm", "a.tga"])
def test_usual_formats_are_read(shown, name):
    picture, _ = shown(halves(), name)
    assert np.abs(picture[32, [10, 80]].astype(int) - [LEFT, RIGHT]).max() <= 12


@pytest.mark.parametrize("mode", ["RGBA", "P", "1", "L", "LA", "CMYK"])
def test_every_mode_becomes_rgb(shown, mode):
    image = halves(left=(0, 0, 0), right=(255, 255, 255)).convert(mode)
    picture, _ = shown(image, "a.tiff" if mode == "CMYK" else "a.png")
    assert np.abs(picture[32, [10, 80]].astype(int) - [[0] * 3, [255] * 3]).max() <= 2


def test_sixteen_bits_of_grey_are_scaled_and_not_cut_off(shown):
    levels = np.zeros((64, 96), np.uint16)
    levels[:, 48:] = 32_768
    picture, _ = shown(Image.fromarray(levels))
    assert picture[0, 0].tolist() == [0, 0, 0] and picture[0, 80].tolist() == [128, 128, 128]


def test_what_is_transparent_shows_the_background(shown):
    image = halves().convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat([[255] * 48 + [0] * 48], 64, axis=0).astype(np.uint8)))
    picture, _ = shown(image, background=(10, 200, 30))
    assert picture[0, 0].tolist() == [*LEFT] and picture[0, 80].tolist() == [10, 200, 30]


def test_a_transparent_colour_of_a_palette_shows_the_background_too(shown):
    image = halves().convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    picture, _ = shown(image, background=(255, 255, 255), transparency=image.getpixel((0, 0)))
    assert picture[0, 0].tolist() == [255] * 3 and picture[0, 80].tolist() == [*RIGHT]


def test_a_picture_is_turned_as_its_exif_says(shown):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right
    picture, facts = shown(halves(), "a.jpg", size=(64, 96), exif=exif, quality=95)
    assert (facts.width_px, facts.height_px) == (64, 96)
    assert np.abs(picture[[10, 80], 32].astype(int) - [LEFT, RIGHT]).max() <= 12


def test_a_profile_of_colours_is_followed(shown):
    plain, _ = shown(halves())
    same, _ = shown(halves(), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert np.abs(same.astype(int) - plain).max() <= 1
    broken, _ = shown(halves(), icc_profile=b"no profile")
    assert np.array_equal(broken, plain)


@pytest.mark.parametrize(
    ("size", "fit", "corner", "middle"),
    [((64, 64), "cover", LEFT, LEFT), ((96, 96), "pad", (1, 2, 3), LEFT), ((192, 64), "pad", (1, 2, 3), LEFT)],
)
def test_another_shape_is_covered_and_cut_or_padded(shown, size, fit, corner, middle):
    picture, _ = shown(halves(), size=size, fit=fit, background=(1, 2, 3))
    assert picture.shape == (size[1], size[0], 3)
    assert picture[0, 0].tolist() == [*corner] and picture[size[1] // 2, size[0] // 2 - 12].tolist() == [*middle]


def test_cutting_takes_the_middle(shown):
    picture, _ = shown(halves(192, 64), size=(64, 64))
    assert picture[0, 0].tolist() == [*LEFT] and picture[0, 63].tolist() == [*RIGHT]


def test_a_coded_picture_is_near_the_plain_one_and_the_same_every_time(shown):
    noise = np.random.default_rng(7).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    (plain, _), (coded, _), (again, _) = (shown(Image.fromarray(noise), crf=crf) for crf in (0, 33, 33))
    assert np.array_equal(plain, noise) and np.array_equal(coded, again)
    assert 5 < np.abs(coded.astype(int) - noise).mean() < 60


def test_of_several_pictures_the_first_is_taken_and_noted(shown):
    frames = [halves(), halves(left=RIGHT)]
    picture, facts = shown(frames[0], "a.gif", save_all=True, append_images=frames[1:])
    assert facts.notes == ("has several pictures; the first one is taken",)
    assert np.abs(picture[32, 10].astype(int) - LEFT).max() <= 4


@pytest.mark.parametrize(
    ("size", "what"),
    [
        ((1, 1), r"is 1x1 px; an image needs 16 px a side at least"),
        ((30_000, 16), r"is 30000x16 px; at most 16384 a side"),
        ((16 * 40, 16), r"is 640x16 px, a side more than 32 times the other"),
    ],
)
def test_sizes_that_cannot_be_used_are_refused(tmp_path, size, what):
    Image.new("RGB", size).save(tmp_path / "a.png")
    with pytest.raises(MediaError, match=what):
        read_still(tmp_path / "a.png")


def test_what_is_no_whole_image_is_refused(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(MediaError, match="there is no such file; name an image that is there"):
        read_still(path)
    path.write_bytes(b"")
    with pytest.raises(MediaError, match="is empty"):
        read_still(path)
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n")
    with pytest.raises(MediaError, match="is not an image that is read"):
        read_still(path)
    halves(512, 512).save(path, compress_level=0)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(MediaError, match=r"a\.png: is damaged"):
        read_still(path)
