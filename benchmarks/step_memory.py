"""Peak memory of a descent of our loop against LTX2Pipeline of diffusers, on the same tiny modules, 16,384 tokens.

    python -m benchmarks.step_memory

Each side runs in a process of its own. The high-water mark of resident memory is put back when the transformer is
called for the first time, so that only the steps count: what the marks rise above the memory held at that moment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.record import keep

SIZE_PX, NUM_FRAMES, RATE = 1024, 121, Fraction(24)
SIGMAS = (1.0, 0.725, 0.421875, 0.0)
PROMPT = "A lighthouse at dusk"
ROUNDS = 5
#: Freed memory goes back at once: otherwise the heap of glibc, not the descent, decides the mark.
EXACT_HEAP = {"MALLOC_MMAP_THRESHOLD_": "65536"}


class Mark:
    """The high-water mark since the first call of a module, in MiB above what was held then."""

    def __init__(self, module: Any) -> None:
        self.base: int | None = None
        module.proj_in.register_forward_pre_hook(self._begin)  # the first that is called of a transformer

    def _begin(self, *_: object) -> None:
        if self.base is None:
            Path("/proc/self/clear_refs").write_text("5")
            self.base = _status("VmRSS")

    def mib(self) -> float:
        assert self.base is not None
        return (_status("VmHWM") - self.base) / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def ours(model: Any) -> float:
    from ltx_ray.spec.recipe import GenerateRecipe, SamplingRecipe
    from ltx_ray.stages.generate import generate

    class Silent:
        def step(self, step_idx: int, num_steps: int) -> None: ...

    recipe = GenerateRecipe(
        weights=model.facts.weights_for("generate"),
        sampling=SamplingRecipe(sampler="euler", sigmas=SIGMAS),
        video_seed=1,
        audio_seed=2,
        num_frames=NUM_FRAMES,
        frame_rate=RATE,
        width_px=SIZE_PX,
        height_px=SIZE_PX,
        origin_s=Fraction(0),
        audio_start=0,
        num_audio_cells=126,
        conditions=(),
        call=None,
    )
    text = model.text_encoder().encode(PROMPT)
    mark = Mark(model.parts.transformer)
    generate(recipe, text, model, Silent())
    return mark.mib()


def theirs(model: Any) -> float:
    from diffusers import FlowMatchEulerDiscreteScheduler, LTX2Pipeline

    parts = model.parts
    pipe = LTX2Pipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=parts.vae,
        audio_vae=parts.audio_vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        connectors=parts.connectors,
        transformer=parts.transformer,
        vocoder=parts.vocoder,
    )
    pipe.set_progress_bar_config(disable=True)
    mark = Mark(parts.transformer)
    off = {"guidance_scale": 1.0, "stg_scale": 0.0, "modality_scale": 1.0, "guidance_rescale": 0.0}
    pipe(
        prompt=PROMPT,
        width=SIZE_PX,
        height=SIZE_PX,
        num_frames=NUM_FRAMES,
        frame_rate=float(RATE),
        sigmas=list(SIGMAS[:-1]),
        output_type="latent",
        spatio_temporal_guidance_blocks=None,
        **off,
        **{f"audio_{name}": value for name, value in off.items()},
    )
    return mark.mib()


def child(side: str) -> None:
    import torch

    from ltx_ray.models.catalog import BUILT_IN
    from ltx_ray.models.load import Loaded
    from ltx_ray.models.ltx2.tiny_facts import TINY

    torch.set_num_threads(1)
    with torch.no_grad():
        model = Loaded(BUILT_IN).open(TINY["2.3"].weights)
        print(json.dumps(ours(model) if side == "ours" else theirs(model)))


def main() -> None:
    if len(sys.argv) > 1:
        child(sys.argv[1])
        return
    peaks: dict[str, list[float]] = {"ours": [], "diffusers": []}
    for _ in range(ROUNDS):
        for side, found in peaks.items():
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.step_memory", side]
            output = subprocess.check_output(command, text=True, env=os.environ | EXACT_HEAP)
            found.append(json.loads(output.splitlines()[-1]))
    ratio = median(peaks["ours"]) / median(peaks["diffusers"])
    figures = {f"peak_mib_{side}": [round(peak, 1) for peak in found] for side, found in peaks.items()}
    keep("step_memory", {**figures, "ratio": round(ratio, 3), "target": "ratio <= 1.0, within 1 %"})


if __name__ == "__main__":
    main()
