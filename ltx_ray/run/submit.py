"""A run on a cluster elsewhere: what travels there, how the job is called, and which command it runs.

    id        run and attempt, ``films-3``: Ray refuses an id for ever, so of two who submit the same attempt one loses
    folder    the manifest, and below ``sent`` each file of this machine that it names, under its digest
    command   ``ltx-ray render`` there, in the words that a person would use

A run lies below $LTX_RAY_RUNS of the cluster, or in ~/ltx_ray/runs of its head: the folder of a job is gone with it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ltx_ray.errors import DoesNotFit, ManifestError, PlanError, Problem, RunSubmitted
from ltx_ray.manifest.files import name_of, opened, stem_of
from ltx_ray.manifest.load import load_manifest
from ltx_ray.manifest.moved import NamedFiles
from ltx_ray.spec.names import why_unnameable
from ltx_ray.spec.places import is_uri
from ltx_ray.store.place import check_store

if TYPE_CHECKING:
    from ltx_ray.cluster.jobs import Job, JobServer
    from ltx_ray.models.catalog import Catalog
    from ltx_ray.run.options import SubmitOptions

#: What a job exits with where its command is not found.
NOT_FOUND = 127
#: After a request to stop, a render that reaches no step may go on for so long before it is killed.
STOP_WAIT_S = 30
#: A job that runs a verb on the head needs seconds; one that begins in so long will not.
VERB_LIMIT_S = 120.0
TERMINATED = 143

_ROOT = '"${LTX_RAY_RUNS:-$HOME/ltx_ray/runs}"'
_SENT = "sent"


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that the cluster has accepted."""

    job: str
    run: str
    address: str
    sent: tuple[str, ...]  #: files of this machine that travelled, as the manifest names them
    expected: tuple[str, ...]  #: files that are not on this machine, and must be on the cluster


@dataclass(frozen=True, slots=True)
class Said:
    """What a verb answered on the cluster."""

    exit_code: int
    text: str


def submit(
    server: JobServer, source: str, overrides: Sequence[str], options: SubmitOptions, catalog: Catalog
) -> Submission:
    """Start a job that renders a manifest, and return when the cluster has accepted it.

    Raises:
        ManifestError: the manifest is wrong, or names a file that can be on no cluster.
        PlanError: ``run``, ``store`` or the size of the files is wrong.
        RunSubmitted: a job of this run is alive.
        DoesNotFit: the job server refuses.
    """
    run = run_there(options.run or ("" if source == "-" else stem_of(source)) or "run")
    _check_free(server, run)
    with TemporaryDirectory(prefix="ltx-ray-") as temp:
        folder = Path(temp)
        manifest, files = _manifest(source, overrides, folder, catalog)
        sent, expected = _files(manifest.name, files, folder) if options.sends_files else ((), ())
        command = _command(manifest.name, overrides, run, options, folder)
        job = _start(server, run, command, folder)
    return Submission(job, run, server.address, sent, expected)


def wait(server: JobServer, job: str, tell: Callable[[str], None]) -> int:
    """Pass on what a job says until it has ended; its exit code.

    Raises:
        DoesNotFit: it has not come to run its command.
        HeadLost: the job server went away.
    """
    for piece in server.follow(job):
        tell(piece)
    return exit_code_of(server.job(job))


def exit_code_of(job: Job) -> int:
    """Of a job that has ended: that of its command, or 143 if it was stopped.

    Raises:
        DoesNotFit: it has not come to run its command.
    """
    if job.state == "stopped":
        return TERMINATED
    if job.exit_code == NOT_FOUND:
        fix = "install ltx_ray on its head, into the environment that is active where `ray start` runs"
        raise DoesNotFit(f"{job.id}: the cluster knows no command ltx-ray; {fix}")
    if job.exit_code is None:
        why = (job.message.strip().splitlines() or ["the cluster does not say why"])[0]
        raise DoesNotFit(f"{job.id}: the job did not come to an end of its own: {why}; submit it again to go on")
    return job.exit_code


def find_jobs(server: JobServer, named: str) -> list[Job]:
    """The jobs of a run, or the one job of this id, in order.

    Raises:
        PlanError: there is none.
    """
    run, jobs = run_there(named), server.jobs()
    found = [job for job in jobs if job.run == run] or [job for job in jobs if job.id == named]
    if not found:
        there = sorted({job.run for job in jobs})
        known = f"runs there: {', '.join(there[:10])}" if there else "none was submitted there"
        raise PlanError(f"{named}: no job at {server.address} renders a run of this name; {known}")
    return found


def stop(server: JobServer, named: str) -> Job:
    """Ask the job of a run to stop, and wait until it has.

    Raises:
        PlanError: none of its jobs is alive.
    """
    job = find_jobs(server, named)[-1]
    if not job.is_live:
        raise PlanError(f"{named}: nothing renders it now, so there is nothing to cancel")
    server.stop(job.id)
    until = time.monotonic() + STOP_WAIT_S + 10
    while (job := server.job(job.id)).is_live and time.monotonic() < until:
        time.sleep(0.3)
    return job


def ask(server: JobServer, run: str, verb: str, arguments: Sequence[str] = ()) -> Said:
    """Run a verb of a run on the head of the cluster, as a job that is forgotten afterwards.

    Raises:
        DoesNotFit: it did not come to an end.
    """
    id_ = f"{_slug(run)}-{verb}-{secrets.token_hex(4)}"
    words = ["ltx-ray", verb, _place(run), *map(shlex.quote, arguments)]
    server.submit(id_, " ".join(words), run=None, folder=None, env={})
    until = time.monotonic() + VERB_LIMIT_S
    while (job := server.job(id_)).is_live:
        if time.monotonic() > until:
            server.stop(id_)
            raise DoesNotFit(f"{server.address}: `ltx-ray {verb}` has no answer there within {VERB_LIMIT_S:g} s")
        time.sleep(0.2)
    said = Said(exit_code_of(job), _own_words(server.output(id_)))
    server.forget(id_)
    return said


def run_there(text: str) -> str:
    """The name of a run on a cluster: relative to its root, or an absolute path there.

    Raises:
        PlanError: it is neither.
    """
    where = f"--run {text or repr(text)}"
    if not text.strip() or is_uri(text) or {"\\", "\0"} & {*text} or why_unnameable(text) is not None:
        raise PlanError(f"{where}: is no name of a run; give a name such as films, or a path of the cluster")
    path = PurePosixPath(text)
    if ".." in path.parts or str(path) in (".", "/"):
        raise PlanError(f"{where}: names no run below the cluster's folder of runs; give a name such as films")
    return str(path)


def _check_free(server: JobServer, run: str) -> None:
    for job in server.jobs(run):
        if job.is_live:
            raise RunSubmitted(run, job.id, server.address)


def _start(server: JobServer, run: str, command: str, folder: Path) -> str:
    from ltx_ray.cluster.jobs import IdTaken, number_of

    slug = _slug(run)
    # The number is made of the list that shows whether one lives: who submitted since the last look is in it, or has
    # the same number.
    there = server.jobs()
    for each in there:
        if each.is_live and each.run == run:
            raise RunSubmitted(run, each.id, server.address)
    taken = [number_of(each.id) for each in there if each.id.rpartition("-")[0] == slug]
    job = f"{slug}-{max(taken, default=0) + 1}"
    try:
        # A render stops at the next step for either signal; to SIGTERM Ray adds pages of its own to the output.
        env = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S), "RAY_JOB_STOP_SIGNAL": "SIGINT"}
        server.submit(job, command, run=run, folder=folder, env=env)
    except IdTaken as error:  # by somebody who submits at this moment
        raise RunSubmitted(run, job, server.address) from error
    return job


def _manifest(source: str, overrides: Sequence[str], folder: Path, catalog: Catalog) -> tuple[Path, NamedFiles]:
    """A copy of the manifest, unpacked, after it was checked as a render checks it; and the files that it names."""
    name = "manifest.jsonl" if source == "-" else name_of(source).removesuffix(".gz")
    copy = folder / name
    with opened(source) as file, copy.open("wb") as target:
        shutil.copyfileobj(file, target)
    is_read = source == "-"  # which can be done once; what it names is as seen from the working directory
    files = NamedFiles(beside=Path() if is_read else None)
    load_manifest(str(copy) if is_read else source, overrides, models=catalog, files=files)
    return copy, files


def _files(manifest: str, files: NamedFiles, folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Copy the files of this machine; those that travel, and those that must be on the cluster, as they are named."""
    here: dict[str, Path] = {}
    expected: list[str] = []
    problems: list[Problem] = []
    for written, place in files.found.items():
        path = Path(place).expanduser()
        if path.is_file():
            here[written] = path
        elif path.exists() or not path.is_absolute():
            what = "is no file" if path.exists() else "is not on this machine, and a relative path is nowhere else"
            problems.append(
                Problem(manifest, f"{written}: {what}; give a file of this machine, or a path of the cluster")
            )
        else:
            expected.append(written)
    if problems:
        raise ManifestError(tuple(problems))
    _check_size(here)
    sent: dict[str, str] = {}
    for written, path in here.items():
        digest = _digest(path)
        copy = folder / _SENT / digest[:16] / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        sent[written] = str(copy.relative_to(folder / _SENT))
    if sent:
        (folder / _SENT / "files.json").write_text(json.dumps(sent, sort_keys=True))
    return tuple(sent), tuple(expected)


def _check_size(here: dict[str, Path]) -> None:
    from ltx_ray.cluster.jobs import MAX_FOLDER_BYTES

    sizes = {str(path): path.stat().st_size for path in here.values()}
    if (total := sum(sizes.values())) <= MAX_FOLDER_BYTES:
        return
    largest = max(sizes, key=lambda path: sizes[path])
    with_others = f"{largest} and {len(sizes) - 1} more come to" if len(sizes) > 1 else f"{largest} has"
    raise PlanError(
        f"{with_others} {total / 2**20:.0f} MiB, and a job takes {MAX_FOLDER_BYTES // 2**20} MiB along; "
        "copy large files to where the cluster sees them, and write their path there"
    )


def _command(manifest: str, overrides: Sequence[str], run: str, options: SubmitOptions, folder: Path) -> str:
    words = ["ltx-ray", "render", shlex.quote(manifest), *map(shlex.quote, overrides)]
    words += ["--address", "auto", "--run", _place(run), _store(options.store)]
    if (folder / _SENT / "files.json").exists():
        words += ["--files", f"{_SENT}/files.json"]
    if options.models is not None:
        words += ["--models", shlex.quote(_models(options.models, folder))]
    return " ".join([*words, *map(shlex.quote, options.arguments)])


def _place(run: str) -> str:
    """A run directory of the cluster, for a shell."""
    if run.startswith("~/"):
        return f'"$HOME"/{shlex.quote(run[2:])}'
    return shlex.quote(run) if run.startswith("/") else f"{_ROOT}/{shlex.quote(run)}"


def _store(store: str | None) -> str:
    if store is None:
        return '${LTX_RAY_STORE:+--store "$LTX_RAY_STORE"}'
    check_store(store)
    if not is_uri(store) and not store.startswith(("/", "file:///")):
        what = "is relative, and the folder of a job is gone with it"
        raise PlanError(f"--store {store}: {what}; give a path of the cluster that starts with /, or a URI")
    return f"--store {shlex.quote(store)}"


def _models(models: str, folder: Path) -> str:
    """Copy a list of models, and what is locked of it; its place in the folder."""
    from ltx_ray.models.lock import lock_of

    source = Path(models).expanduser()
    target = folder / _SENT / "models.yaml"
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)
    if (lock := lock_of(source)).exists():
        shutil.copyfile(lock, lock_of(target))
    return str(target.relative_to(folder))


def _slug(run: str) -> str:
    """Of a run, what stands in the ids of its jobs and so in addresses."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", PurePosixPath(run).name).strip("_.")[:80] or "run"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_words(output: str) -> str:
    """What the command of a job wrote, without what Ray writes before it."""
    lines = output.splitlines(keepends=True)
    begins = next((idx + 1 for idx, line in enumerate(lines) if line.startswith("Running entrypoint for job ")), 0)
    return "".join(lines[begins:])
