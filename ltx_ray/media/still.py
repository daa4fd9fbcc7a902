"""Images as a viewer shows them: upright, in sRGB, 8 bits a channel, at the size that a model wants.

Pillow reads the formats listed here and no other, because some of what it knows starts other programs (EPS). Pixels
past ``MAX_PIXELS`` are refused by the head, before memory is taken. 16-bit grey is scaled to 8 bits; Pillow by itself
cuts it off. Transparency is put over a colour. An embedded colour profile is followed.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ltx_ray.errors import MediaError
from ltx_ray.media.read import read_frames
from ltx_ray.media.regular import irregular
from ltx_ray.media.source import digest_of_file
from ltx_ray.media.write import encode_chunk
from ltx_ray.spec.grid import round_half_up
from ltx_ray.spec.recipe import EncodeSettings, Still
from ltx_ray.spec.source import StillFacts

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "TGA")
#: A picture that is smaller has nothing to show; one that is larger is scaled down anyway.
MIN_SIDE_PX, MAX_SIDE_PX, MAX_PIXELS = 16, 16_384, 16_384 * 8_192
#: As of films: a side so many times the other is a broken file.
_LONGEST_SIDE = 32
#: Of H.264 for a single picture. Source: encode_single_frame of Lightricks/LTX-2@400fd31, media_io.
_PRESET = "veryfast"
_16_BITS = ("I;16", "I;16B", "I;16L", "I;16N", "I")

#: Pillow warns and refuses by its own limit; ours is checked at the head.
Image.MAX_IMAGE_PIXELS = None


def read_still(path: Path) -> StillFacts:
    """Facts of an image, and its digest; its pixels are decoded once, so a damaged one is refused here.

    Raises:
        MediaError: the file is missing, no image, damaged, or of a size that cannot be used.
    """
    if (what := irregular(path)) is not None or not path.is_file():
        raise MediaError(f"{path}: {what or 'there is no such file'}; name an image that is there")
    digest, num_bytes = digest_of_file(path)
    with _opened(path) as image:
        notes = tuple(_notes(image))
        upright = _upright(path, image)
    return StillFacts(sha256=digest, num_bytes=num_bytes, width_px=upright.width, height_px=upright.height, notes=notes)


def still_picture(path: Path, still: Still) -> np.ndarray:
    """The image as the recipe wants it, uint8 RGB [height, width, 3].

    Raises:
        MediaError: the file is no image, or is damaged.
    """
    with _opened(path) as image:
        rgb = _over(_in_srgb(_upright(path, image)), still.background)
    size = (still.width_px, still.height_px)
    fitted = _covering(rgb, size) if still.fit == "cover" else _padded(rgb, size, still.background)
    picture = np.asarray(fitted, np.uint8)
    return _coded(picture, still.crf) if still.crf else picture


def _opened(path: Path) -> Image.Image:
    """The file with its head read and its size checked."""
    try:
        Image.init()
        image = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])  # older ones read no AVIF
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        what = "is empty" if not path.stat().st_size else "is not an image that is read"
        raise MediaError(f"{path}: {what}; name a file of {', '.join(FORMATS[:5])} or another usual one") from error
    if (wrong := _size_problem(*image.size)) is not None:
        image.close()
        raise MediaError(f"{path}: is {image.width}x{image.height} px{wrong}")
    return image


def _size_problem(width: int, height: int) -> str | None:
    """What is wrong with an image of this size, and what to do."""
    if min(width, height) < MIN_SIDE_PX:
        return f"; an image needs {MIN_SIDE_PX} px a side at least"
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        return f"; at most {MAX_SIDE_PX} a side and {MAX_PIXELS >> 20} MP are read, so scale it down first"
    if max(width, height) > _LONGEST_SIDE * min(width, height):
        return f", a side more than {_LONGEST_SIDE} times the other; crop it first"
    return None


def _upright(path: Path, image: Image.Image) -> Image.Image:
    """Decoded, and turned as its EXIF says."""
    try:
        image.load()
        return ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, MemoryError, EOFError) as error:
        raise MediaError(f"{path}: is damaged ({error}); save it anew or name another") from error


def _notes(image: Image.Image) -> Iterator[str]:
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        yield "has several pictures; the first one is taken"


def _in_srgb(image: Image.Image) -> Image.Image:
    """8 bits a channel, RGB or RGBA."""
    if image.mode in _16_BITS:
        levels = np.clip(np.asarray(image), 0, 65_535).astype(np.uint32)
        return Image.fromarray(((levels * 255 + 32_767) // 65_535).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(np.clip(np.rint(np.asarray(image) * 255), 0, 255).astype(np.uint8)).convert("RGB")
    has_alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
    profile = image.info.get("icc_profile")
    plain = image.convert("RGBA") if has_alpha else image if image.mode == "CMYK" and profile else image.convert("RGB")
    return plain if not profile else _by_profile(plain, profile)


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """The colours that ``profile`` means; a profile that is broken or of another kind of picture means nothing."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        colours = image.convert("RGB") if image.mode == "RGBA" else image
        converted = ImageCms.profileToProfile(colours, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image if image.mode == "RGBA" else image.convert("RGB")
    assert converted is not None
    if image.mode == "RGBA":
        converted.putalpha(image.getchannel("A"))
    return converted


def _over(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Without transparency."""
    if image.mode != "RGBA":
        return image
    under = Image.new("RGBA", image.size, (*background, 255))
    return Image.alpha_composite(under, image).convert("RGB")


def _covering(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scaled so that it covers ``size`` and cut around its centre."""
    width, height = size
    factor = max(Fraction(width, image.width), Fraction(height, image.height))
    across, down = width / factor, height / factor
    left, top = (image.width - across) / 2, (image.height - down) / 2
    box = (float(left), float(top), float(left + across), float(top + down))
    return image.resize(size, Image.Resampling.LANCZOS, box=box)


def _padded(image: Image.Image, size: tuple[int, int], background: tuple[int, int, int]) -> Image.Image:
    """Scaled so that all of it is inside ``size``, in the middle of ``background``."""
    width, height = size
    factor = min(Fraction(width, image.width), Fraction(height, image.height))
    inner = max(1, round_half_up(image.width * factor)), max(1, round_half_up(image.height * factor))
    whole = Image.new("RGB", size, background)
    scaled = image.resize(inner, Image.Resampling.LANCZOS)
    whole.paste(scaled, ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return whole


def _coded(picture: np.ndarray, crf: int) -> np.ndarray:
    """As it comes out of one frame of H.264: models saw stills so, because they learned from coded films."""
    settings = EncodeSettings(codec="h264", crf=crf, preset=_PRESET, gop_frames=1, threads=1, crop_px=None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "still"
        encode_chunk([picture[None]], file, settings=settings, frame_rate=Fraction(1))
        return next(read_frames(file))
