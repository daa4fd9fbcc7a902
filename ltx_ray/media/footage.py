"""A file of any codec, rate and size, seen as footage: pictures at a given rate and size, and the sound under them.

Time 0 is when the file's first picture is shown, for picture and sound alike. Picture i is the one on the screen at
i / rate: pictures are left out or repeated, never mixed. It is scaled to cover the size and what juts out is cut away
on both sides alike; turned, mirrored, interlaced, transparent and stretched pixels, wide colours and untold ones are
as a player shows them. Where rate and size are the file's own,
these are exactly the pictures of ``media.read``. Everything is streamed, and a start deep inside the file is sought.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, dropwhile
from math import gcd
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from ltx_ray.errors import MediaError
from ltx_ray.media.channels import to_stereo
from ltx_ray.media.clock import Clock
from ltx_ray.media.colour import ToSdr, is_wide, to_rgb
from ltx_ray.media.fields import whole_pictures
from ltx_ray.media.listen import Heard, listen, presented_end_s, sound_stream
from ltx_ray.media.matrix import MATRICES, MatrixName, matrix_of
from ltx_ray.media.open import decoded, exact, first_picture, open_media, picture_stream
from ltx_ray.media.read import inside, silence
from ltx_ray.media.turned import Turn, turn_of
from ltx_ray.spec.grid import round_half_up
from ltx_ray.spec.recipe import Footage

#: Containers that count milliseconds are up to one off; a picture that begins so little late counts as shown.
_LATE_S = Fraction(1, 1000)
#: How much further back to look for a key frame when the nearest one is shown too late.
_FURTHER_S = 10
#: More than any file has.
_MOST_SAMPLES = 1 << 62
#: Sound is sought this much earlier: decoders need a run-up, and a resampler's filter looks back.
_RUN_UP_S = 1
#: Sound whose time is further off than this from where the samples before it end is put where it says.
_GAP_S = Fraction(1, 50)


def footage_frames(path: Path, footage: Footage, start: int, stop: int) -> Iterator[np.ndarray]:
    """Frames [start, stop) of the footage, uint8 RGB [height, width, 3]; past the end the last picture stands still.

    Raises:
        MediaError: ``path`` is no media file, is damaged, or has no picture.
    """
    if start >= stop:
        return
    pictures = _pictures_from(path, start / footage.frame_rate, footage.shifts)
    lens, shown = _Lens(path, footage), next(pictures)
    coming = next(pictures, None)
    for frame_idx in range(start, stop):
        while coming is not None and coming.time_s <= frame_idx / footage.frame_rate + _LATE_S:
            shown, coming = coming, next(pictures, None)
        yield lens.view(shown)


def footage_samples(
    path: Path,
    *,
    sample_rate_hz: int,
    start: int,
    stop: int,
    shifts: Sequence[Fraction] = (),
    track: int | None = None,
) -> Iterator[np.ndarray]:
    """Samples [start, stop) of the file's sound, float32 [2, n] in blocks; silence where it has none, exactly so many.

    One channel is heard on both sides; more than two are mixed down as ``media.channels`` says. ``shifts`` are those of
    the pictures, see ``media.clock``; ``track`` counts streams of sound from 0, None = the one that players play.

    Raises:
        MediaError: ``path`` is no media file, is damaged, or has no picture.
    """
    done = start
    for first, samples in _sound_from(path, sample_rate_hz, start, stop, shifts, track):
        wanted = samples[:, max(0, done - first) : max(0, stop - first)]
        if wanted.shape[1]:
            yield from silence(first - done)
            yield wanted
            done = max(first, done) + wanted.shape[1]
    yield from silence(stop - done)


def sound_length(path: Path, *, sample_rate_hz: int, shifts: Sequence[Fraction] = (), track: int | None = None) -> int:
    """Samples of the file's sound, from its beginning to the last one; all of it is decoded.

    Raises:
        MediaError: ``path`` is no media file, or is damaged.
    """
    end = 0
    for first, samples in _sound_from(path, sample_rate_hz, 0, _MOST_SAMPLES, shifts, track):
        end = max(end, first + samples.shape[1])
    return end


def displayed_size(frame: VideoFrame, stream: VideoStream) -> tuple[Fraction, Fraction]:
    """Width and height as a player shows the frame, in square pixels of which as many lie across as in the file."""
    width = frame.width * (exact(stream.sample_aspect_ratio) or Fraction(1))
    height = Fraction(frame.height)
    return (height, width) if turn_of(frame).is_transposed else (width, height)


class _Picture(NamedTuple):
    """A decoded frame, shown from ``time_s`` on."""

    frame: VideoFrame
    time_s: Fraction
    size: tuple[Fraction, Fraction]  #: as a player shows it
    turn: Turn
    untagged: MatrixName  #: what holds if the frame does not say its matrix


class _Lens:
    """Scales, turns and cuts; a picture that is shown again is not made again."""

    def __init__(self, path: Path, footage: Footage) -> None:
        self._path, self._size = path, (footage.width_px, footage.height_px)
        self._reflects = footage.fit == "reflect"
        self._forced = None if footage.matrix is None else MATRICES[footage.matrix]
        self._converter, self._to_sdr = VideoReformatter(), ToSdr()
        self._last: tuple[_Picture, np.ndarray] | None = None

    def view(self, picture: _Picture) -> np.ndarray:
        if self._last is None or self._last[0] is not picture:
            self._last = picture, self._made(picture)
        return self._last[1]

    def _made(self, picture: _Picture) -> np.ndarray:
        (width, height), frame = self._size, picture.frame
        if self._reflects:
            width, height = (
                min(whole, int(side) // 2 * 2) for whole, side in zip(self._size, picture.size, strict=True)
            )
        factor = max(width / picture.size[0], height / picture.size[1])
        across, down = (round_half_up(side * factor) for side in picture.size)
        if self._forced is None and is_wide(frame):
            frame = self._in_sdr(frame)
        size_px = (down, across) if picture.turn.is_transposed else (across, down)
        untagged = MATRICES[picture.untagged]
        rgb = to_rgb(self._converter, frame, size_px, untagged=untagged, forced=self._forced)
        turned = picture.turn.of(rgb)
        top, left = (down - height) // 2, (across - width) // 2
        shown = np.ascontiguousarray(turned[top : top + height, left : left + width])
        return _reflected(shown, self._size) if self._reflects else shown

    def _in_sdr(self, frame: VideoFrame) -> VideoFrame:
        try:
            return self._to_sdr.convert(frame)
        except MediaError as error:
            raise MediaError(f"{self._path}: {error}") from None


def _reflected(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """In the middle of a larger size, at the even place that ``media.write`` cuts from; the rest mirrors it."""
    height, width, _ = picture.shape
    top, left = (size[1] - height) // 4 * 2, (size[0] - width) // 4 * 2
    rows, columns = (top, size[1] - height - top), (left, size[0] - width - left)
    return np.pad(picture, (rows, columns, (0, 0)), mode="symmetric")


def _pictures_from(path: Path, time_s: Fraction, shifts: Sequence[Fraction]) -> Iterator[_Picture]:
    """Pictures in order, the first of them shown at ``time_s`` or earlier; at least one."""
    with open_media(path) as container:
        stream = picture_stream(path, container)
        first = next(decoded(container, stream), None)
        if first is None:
            raise MediaError(f"{path}: has no picture that can be decoded; check that it is whole")
        clock, untagged = _Clock(first, stream), matrix_of(container, stream, first).name
        # What is shown of an interlaced frame depends on the one before it.
        ahead_s = 2 * clock.interval_s if first.interlaced_frame else Fraction(0)
        for goal_s in () if shifts else (time_s - ahead_s, time_s - ahead_s - _FURTHER_S):
            frames = clock.seek(container, stream, goal_s)
            begin = next(frames, None)
            if begin is not None and clock.time_s(begin) <= time_s - ahead_s:
                for frame, whole in whole_pictures(chain([begin], frames)):
                    yield _picture(frame, whole, clock.time_s(frame), stream, untagged)
                return
    # Nothing to hold on to: an index that is wrong or missing, a clock that is set anew, or a start near the file's.
    with open_media(path) as container:
        stream, one_clock = picture_stream(path, container), Clock(container.format.name, shifts)
        for frame, whole in whole_pictures(decoded(container, stream)):
            shown_s = one_clock.passes(clock.time_s(frame), clock.length_s(frame))
            yield _picture(frame, whole, shown_s, stream, untagged)


def _picture(
    frame: VideoFrame, whole: VideoFrame, time_s: Fraction, stream: VideoStream, untagged: MatrixName
) -> _Picture:
    return _Picture(whole, time_s, displayed_size(frame, stream), turn_of(frame), untagged)


class _Clock:
    """Times of pictures, from the file's first; by their number and the rate where the file does not say times."""

    def __init__(self, first: VideoFrame, stream: VideoStream) -> None:
        self._tick_s = exact(first.time_base or stream.time_base)
        self._first = first.pts
        self.interval_s = 1 / (exact(stream.average_rate) or exact(stream.guessed_rate) or Fraction(25))
        self._num_untold = 0

    def time_s(self, frame: VideoFrame) -> Fraction:
        """Untold times are counted, so each frame is asked for once."""
        if self._first is not None and self._tick_s is not None and frame.pts is not None:
            return (frame.pts - self._first) * self._tick_s
        self._num_untold += 1
        return (self._num_untold - 1) * self.interval_s

    def length_s(self, frame: VideoFrame) -> Fraction:
        return (frame.duration or 0) * (self._tick_s or Fraction(0))

    def seek(self, container: InputContainer, stream: VideoStream, time_s: Fraction) -> Iterator[VideoFrame]:
        """Frames from the key frame that a seek leads to; none where there is no seeking, or no need.

        What a decoder gives before a key frame may lack what it refers to.
        """
        if self._first is None or self._tick_s is None or time_s <= 0:
            return
        try:
            container.seek(self._first + int(time_s / self._tick_s), stream=stream)
            yield from dropwhile(lambda frame: not frame.key_frame, decoded(container, stream))
        except (av.FFmpegError, OverflowError):
            return


def _sound_from(
    path: Path, sample_rate_hz: int, start: int, stop: int, shifts: Sequence[Fraction], track: int | None
) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks float32 [2, n] that hold all sound of [start, stop), each with the number of its first sample."""
    zero_s = _begin_s(path, track)
    for run_up_s in (None,) if shifts else (_RUN_UP_S, None):
        with open_media(path) as container:
            stream = sound_stream(path, container, track)
            if stream is None:
                return
            pieces = listen(path, container, stream)
            if run_up_s is not None:
                start_s = zero_s + Fraction(start, sample_rate_hz)
                begin = _sought(container, stream, pieces, start_s - run_up_s)
                if begin is None or begin.time_s is None or begin.time_s > start_s - run_up_s / 2:
                    continue
                pieces = chain([begin], pieces)
            end_s = presented_end_s(container, stream)
            if shifts:
                pieces = _on_one_clock(pieces, Clock(container.format.name, shifts))
            for first, samples in _resampled(pieces, zero_s, end_s, sample_rate_hz):
                if first >= stop:
                    break
                yield first, samples
            return


def _on_one_clock(pieces: Iterable[Heard], clock: Clock) -> Iterator[Heard]:
    for heard in pieces:
        length_s = Fraction(heard.samples.shape[1], heard.rate_hz)
        yield heard if heard.time_s is None else heard._replace(time_s=clock.passes(heard.time_s, length_s))


def _begin_s(path: Path, track: int | None) -> Fraction:
    """When the file begins on its own clock: with its first picture, or where it has none with its first sample."""
    with open_media(path) as container:
        if first_picture(container) is not None:
            first = next(decoded(container, picture_stream(path, container)), None)
            return Fraction(0) if first is None else (first.pts or 0) * (exact(first.time_base) or Fraction(0))
        stream = sound_stream(path, container, track)
        heard = None if stream is None else next(listen(path, container, stream), None)
        return Fraction(0) if heard is None or heard.time_s is None else heard.time_s


def _sought(container: InputContainer, stream: AudioStream, pieces: Iterator[Heard], time_s: Fraction) -> Heard | None:
    """The first of ``pieces`` after a seek; None where there is no need, or a time does not tell the sample."""
    tick_s = exact(stream.time_base)
    if tick_s is None or tick_s * stream.codec_context.sample_rate > 1 or time_s <= (stream.start_time or 0) * tick_s:
        return None
    try:
        container.seek(int(time_s / tick_s), stream=stream)
    except (av.FFmpegError, OverflowError):
        return None
    return next(pieces, None)


def _resampled(
    pieces: Iterable[Heard], zero_s: Fraction, end_s: Fraction | None, sample_rate_hz: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Sound at another rate, in blocks with the numbers of their first samples, counted from ``zero_s``.

    ``end_s`` is when it ends, on the file's own clock as ``zero_s``; None = with its last sample.
    """
    stretch: _Stretch | None = None
    for heard in pieces:
        rate = heard.rate_hz
        zero = round_half_up(zero_s * rate)
        at = None if heard.time_s is None else round_half_up(heard.time_s * rate) - zero
        if stretch is not None and not stretch.goes_on(at, rate):
            yield from stretch.end()
            at, stretch = stretch.stop_at(rate) if at is None else at, None
        if stretch is None:
            end = None if end_s is None else round(end_s * rate) - zero
            stretch = _Stretch(at or 0, end, rate, sample_rate_hz)
        yield from stretch.feed(to_stereo(heard.samples, heard.names))
    if stretch is not None:
        yield from stretch.end()


class _Stretch:
    """Stereo without a gap, at the file's rate, brought to another.

    What lies outside [0, ``end``) is dropped. The resampler is fed from a sample that both rates share, so a sample is
    the same wherever reading began, but for the few milliseconds its filter looks back.
    """

    def __init__(self, at: int, end: int | None, rate: int, sample_rate_hz: int) -> None:
        step = rate // gcd(rate, sample_rate_hz)
        self._stop = at  #: the number, at the file's rate, of the sample after those fed
        self._begin, self._end = max(0, at // step * step), end
        self._next = self._begin * sample_rate_hz // rate
        self._rate, self._sample_rate_hz = rate, sample_rate_hz
        self._resampler: av.AudioResampler | None = None
        self._lead = max(0, at - self._begin)  # silence up to the first sample

    def goes_on(self, at: int | None, rate: int) -> bool:
        """Whether sound at ``rate`` that is heard from sample ``at`` on (None = at once) is part of this stretch."""
        return rate == self._rate and (at is None or abs(at - self._stop) <= _GAP_S * rate)

    def stop_at(self, rate: int) -> int:
        """The sample after those fed, counted at another rate."""
        return round_half_up(Fraction(self._stop * rate, self._rate))

    def feed(self, samples: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        first = self._stop
        self._stop += samples.shape[1]
        samples = inside(samples, first, self._end)
        if samples.shape[1]:
            yield from self._convert(np.pad(samples, ((0, 0), (self._lead, 0))))
            self._lead = 0

    def end(self) -> Iterator[tuple[int, np.ndarray]]:
        """What the resampler still holds."""
        if self._resampler is not None:
            yield from self._numbered(frame.to_ndarray() for frame in self._resampler.resample(None))

    def _convert(self, samples: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        if self._rate == self._sample_rate_hz:
            yield from self._numbered([samples])
            return
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=self._sample_rate_hz)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), format="fltp", layout="stereo")
        frame.sample_rate = self._rate
        resampled = self._resampler.resample(frame)
        yield from self._numbered(frame.to_ndarray() for frame in resampled)

    def _numbered(self, blocks: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        for block in blocks:
            yield self._next, block
            self._next += block.shape[1]
