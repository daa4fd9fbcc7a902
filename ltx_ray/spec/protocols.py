"""The seams: what a model, a stage's supervisor and a pool of workers must offer.

Tensor names follow ``sampling.state``: B batch, T tokens, C channels, F latent frames, H W latent height and width,
L audio cells. Nothing here is imported at run time beyond the standard library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ltx_ray.spec.events import Event, KillCause
from ltx_ray.spec.model import ModelFacts
from ltx_ray.spec.recipe import Call
from ltx_ray.spec.task import Task

if TYPE_CHECKING:
    from torch import Tensor

    from ltx_ray.sampling.state import LatentState

    Text = Mapping[str, Tensor]  #: what a TextEncoder made of a prompt, by name


class Control(Protocol):
    """Given to a running stage: it reports steps and is told to stop."""

    def step(self, step_idx: int, num_steps: int) -> None:
        """Report that ``step_idx`` of ``num_steps`` begins.

        Raises:
            Cancelled: the task was asked to stop.
        """

    def alive(self, *, is_loading: bool = False) -> None:
        """Report that something goes on that has no steps.

        Args:
            is_loading: weights come from files; until the first step is done, a longer silence is borne.

        Raises:
            Cancelled: the task was asked to stop.
        """


class TextEncoder(Protocol):
    def encode(self, prompt: str) -> dict[str, Tensor]:
        """Conditioning tensors of one prompt."""


class Denoiser(Protocol):
    def velocity(self, video: LatentState, audio: LatentState, sigma: float, text: Text) -> tuple[Tensor, Tensor]:
        """Velocities (x - x0) / sigma of video and audio tokens [B, T, C], float32, at noise level ``sigma``."""


@runtime_checkable
class ImpairableDenoiser(Denoiser, Protocol):
    """A denoiser that guidance can also run impaired. A negative prompt comes as a batch of 2: negative, then plain."""

    def impaired_velocity(
        self,
        video: LatentState,
        audio: LatentState,
        sigma: float,
        text: Text,
        *,
        skip_video: tuple[int, ...] = (),
        skip_audio: tuple[int, ...] = (),
        isolate: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """``velocity`` with a modality's self-attention left out in some blocks, or without that between the two."""


class Upscaler(Protocol):
    def upscale(self, latent_BCFHW: Tensor) -> Tensor:
        """The same latent at the final size, normalised before and after."""


class VideoDecoder(Protocol):
    def decode(self, latent_BCFHW: Tensor, start: int, stop: int) -> Iterator[Tensor]:
        """Frames [start, stop) of what the latent decodes to, uint8 [frames, height, width, 3], a few at a time.

        Frame 0 is the first frame of the given latent. Memory does not grow with the length.
        """


class VideoEncoder(Protocol):
    def encode(self, frames_NHWC: Tensor) -> Tensor:
        """Normalised latent [1, C, F, H, W] of uint8 frames; their count is frames_per_latent * n + 1, n >= 0."""


class AudioDecoder(Protocol):
    def decode(self, latent_BLC: Tensor, start: int, stop: int) -> Tensor:
        """Samples [start, stop) of stereo sound, float32 [2, samples] in [-1, 1]; sample 0 is time 0 of the latent."""


class AudioEncoder(Protocol):
    def encode(self, samples: Tensor, num_cells: int, *, num_context_samples: int = 0) -> Tensor:
        """Normalised latent [1, num_cells, C] of stereo sound, float32 [2, n] at the model's rate, from its time 0.

        Sound that ends before the cells do goes on in silence.

        Args:
            num_context_samples: so many of the samples lie before time 0, for models that want to know what was.
        """


class Model(Protocol):
    """A checkpoint whose parts load on first use and stay loaded."""

    @property
    def facts(self) -> ModelFacts: ...
    def text_encoder(self) -> TextEncoder: ...
    def denoiser(self, call: Call | None = None) -> Denoiser:
        """For one descent; ``call`` is what a model with ``facts.wants_call`` is told of it."""

    def upscaler(self) -> Upscaler: ...
    def video_decoder(self, tiling: str = "stream") -> VideoDecoder: ...
    def video_encoder(self) -> VideoEncoder: ...
    def audio_decoder(self) -> AudioDecoder: ...
    def audio_encoder(self) -> AudioEncoder: ...


class Pool(Protocol):
    """Workers, wherever they are. What happens to a worker or its task comes back as an event, never as an exception;
    only when no worker can come up at all does ``events`` raise, with the reason.
    """

    def start(self) -> None:
        """Bring the workers up; each announces itself with WorkerJoined."""

    def submit(self, task: Task, worker: str, attempt: int) -> None:
        """Begin one attempt; its end arrives as TaskDone, TaskFailed, TaskCancelled or WorkerLost."""

    def cancel(self, task: str, worker: str, attempt: int) -> None:
        """Ask a running attempt to stop at its next step."""

    def retire(self, worker: str) -> None:
        """End a worker for good."""

    def kill(self, worker: str, cause: KillCause) -> None:
        """End a worker's process at once; unless its node drains, a fresh one comes up under its name."""

    def events(self, timeout_s: float) -> Sequence[Event]:
        """What happened since the last call; waits at most ``timeout_s`` for the first event."""

    def stop(self) -> None:
        """End every worker and leave no process behind."""
