"""The command as a whole process: help, planning 10,000 videos, the demo, and memory against length.

    python -m benchmarks.command [help] [plan] [demo] [memory] [longform-memory]

Each is run several times; medians are what counts. Memory is the sum of proportional set sizes (PSS) of the command and
every process it started, Ray included, at its highest.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.record import keep

ROOT = Path(__file__).parent.parent
COMMAND = [str(Path(sys.executable).with_name("ltx-ray"))]
NUM_VIDEOS = 10_000


def measure_help() -> None:
    runs = [_timed("--help") for _ in range(9)]
    keep("help", {"wall_s": _spread([wall for wall, _ in runs]), "target": "<= 0.3 s"})


def measure_plan() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.jsonl"
        with path.open("w") as file:
            for idx in range(NUM_VIDEOS):
                row = {
                    "id": f"v{idx:05}",
                    "model": "testcard",
                    "prompt": f"Scene {idx}, a lighthouse at dusk",
                    "seed": idx,
                }
                file.write(json.dumps(row) + "\n")
        runs = [_timed("plan", str(path), "--run", folder) for _ in range(5)]
    figures = {"videos": NUM_VIDEOS, "wall_s": _spread([wall for wall, _ in runs])}
    keep("plan", figures | {"peak_mib": _spread([peak for _, peak in runs]), "target": "<= 5 s, <= 500 MiB"})


def measure_demo() -> None:
    walls = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            walls.append(_timed("render", str(ROOT / "manifests/demo.yaml"), "--run", f"{folder}/demo")[0])
    keep("demo", {"wall_s": _spread(walls), "target": "<= 90 s on 2 cores"})


def measure_memory() -> None:
    """One segment of 8 s and of 20 s at 768x512, on two Ray workers."""
    cards = {seconds: _card(768, 512, seconds, f"{{frames: {seconds * 24 + 1}}}") for seconds in (8, 20)}
    _compare_memory("memory", cards, ["--workers", "2"])


def measure_longform_memory() -> None:
    """Chained segments of 121 frames, connectors of 25: a minute and ten of them at 256x256, on Ray and without."""
    cards = {seconds: _card(256, 256, seconds, "{frames: 121, connector: 25}") for seconds in (60, 600)}
    _compare_memory("longform_memory", cards, ["--workers", "2"])
    _compare_memory("longform_memory_inline", cards, ["--inline"])


def _compare_memory(theme: str, cards: dict[int, str], arguments: list[str]) -> None:
    """Keep the peaks of rendering these manifests, by the seconds they are long; the last against the first.

    They take turns: PSS counts a library that others have open too by its share, so a busy machine moves it.
    """
    peaks: dict[int, list[float]] = {seconds: [] for seconds in cards}
    for _ in range(3):
        for seconds, card in cards.items():
            peaks[seconds].append(_peak_pss_mib(card, arguments))
    first, *_, last = (statistics.median(found) for found in peaks.values())
    figures: dict[str, object] = {f"peak_pss_mib_{seconds}_s": _spread(found) for seconds, found in peaks.items()}
    keep(theme, figures | {"ratio": round(last / first, 3), "target": "ratio <= 1.10"})


def _card(width: int, height: int, seconds: int, segment: str) -> str:
    """A manifest of one card at 24 fps."""
    return (
        f"model: testcard\nvideos: [{{id: card, prompt: A long card, width: {width}, height: {height}, "
        f"seconds: {seconds}, segment: {segment}}}]\n"
    )


def _timed(*arguments: str) -> tuple[float, float]:
    """Wall seconds and the largest resident set in MiB of one run of the command."""
    begun = time.perf_counter()
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = _wait(process)
    if status != 0:
        raise SystemExit(f"ltx-ray {' '.join(arguments)} ended with {status}")
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, int, resource.struct_rusage]:
    import os

    pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return pid, process.returncode, usage


def _peak_pss_mib(card: str, more: list[str]) -> float:
    """Highest sum of PSS while a manifest is rendered."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "card.yaml"
        manifest.write_text(card)
        arguments = ["render", str(manifest), "--run", f"{folder}/card", *more]
        process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        tree, peak = psutil.Process(process.pid), 0
        while process.poll() is None:
            peak = max(peak, sum(_pss(child) for child in [tree, *_children(tree)]))
            time.sleep(0.1)
        if process.returncode != 0:
            raise SystemExit(f"ltx-ray {' '.join(arguments)} ended with {process.returncode}")
        return peak / 2**20


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _pss(process: psutil.Process) -> int:
    try:
        return process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "runs": len(values),
    }


MEASURES = {
    "help": measure_help,
    "plan": measure_plan,
    "demo": measure_demo,
    "memory": measure_memory,
    "longform-memory": measure_longform_memory,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or MEASURES:
        MEASURES[name]()
