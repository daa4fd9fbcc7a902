"""What scripts and notebooks import, and all that the command line goes through: a function for every verb.

    manifest = load_manifest("films.yaml", ["seed=7"])
    dry = dry_run(manifest)          # what would be made, and why
    summary = render(manifest)       # make it; the same call goes on where it stopped
    status("runs/films")             # where it stands, from another terminal

Nothing is decided here. Whatever is heavy is imported where it is used, so a verb loads what it needs alone: planning
loads neither torch nor ray. Beside the errors that it names, a function raises StoreError if a storage does not answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltx_ray.run.background import FinishedVideo
from ltx_ray.run.dry import DryRun
from ltx_ray.run.estimate import shown_duration
from ltx_ray.run.options import GcOptions, RenderOptions, SubmitOptions
from ltx_ray.run.standing import RunStatus
from ltx_ray.run.submit import Said, Submission
from ltx_ray.run.summary import Observer, Progress, Progressed, Silent, Summary
from ltx_ray.store.place import run_path

if TYPE_CHECKING:
    from ltx_ray.cluster.jobs import Job, JobServer
    from ltx_ray.manifest.preset_table import Presets
    from ltx_ray.manifest.schema import Manifest
    from ltx_ray.models.catalog import Catalog
    from ltx_ray.models.listing import ListedModel
    from ltx_ray.models.scan import Found
    from ltx_ray.run.cancel import Asked
    from ltx_ray.run.collect import Freed
    from ltx_ray.run.doctor import Looked
    from ltx_ray.run.estimate import Ceilings
    from ltx_ray.run.explain import TaskStory
    from ltx_ray.run.foresee import Foreseen
    from ltx_ray.run.preview import Preview
    from ltx_ray.run.probe import Probed
    from ltx_ray.run.record import Run
    from ltx_ray.run.verify import Verification
    from ltx_ray.store.lock import Holder

__all__ = [
    "DryRun",
    "FinishedVideo",
    "GcOptions",
    "Observer",
    "Progress",
    "Progressed",
    "RenderOptions",
    "RunStatus",
    "Submission",
    "SubmitOptions",
    "Summary",
    "ask_there",
    "calibrate",
    "cancel",
    "cancel_job",
    "ceilings",
    "check_models",
    "default_run_dir",
    "doctor",
    "dry_run",
    "explain",
    "foresee",
    "gc",
    "init",
    "is_ray_left_behind",
    "jobs",
    "list_models",
    "load_manifest",
    "lock_models",
    "logs",
    "manifest_keys",
    "models",
    "presets",
    "preview",
    "probe",
    "render",
    "render_async",
    "render_videos",
    "run_path",
    "scan_models",
    "schema",
    "shown_duration",
    "status",
    "submit",
    "unlock",
    "verify",
    "wait",
    "watch_spot",
]

RUNS = Path("runs")


def load_manifest(
    source: str | Path,
    overrides: Sequence[str] = (),
    *,
    catalog: Catalog | None = None,
    files: str | Path | None = None,
) -> Manifest:
    """Read, merge and check a manifest. Raises ManifestError with every problem at once.

    Args:
        catalog: the models that it may name, for this and for whatever is done with it; None = those built in.
        files: a JSON file with the place of each file that lies elsewhere than the manifest says, as ``submit`` sends
            along.
    """
    from ltx_ray.manifest.load import load_manifest
    from ltx_ray.manifest.moved import read_moved

    moved = None if files is None else read_moved(files)
    return load_manifest(str(source), overrides, models=_models(catalog), files=moved)


def default_run_dir(manifest: Manifest) -> Path:
    """``runs/<manifest stem>``."""
    from ltx_ray.manifest.files import stem_of

    return RUNS / (stem_of(manifest.source) or "run")


def presets(family: str | None = None) -> Presets:
    """What every preset of a family means, None = of each family. Raises PlanError: there is no such family."""
    from ltx_ray.manifest.preset_table import presets_of

    return presets_of(family)


def init(manifest: str | Path, prompts: str | Path | None = None) -> int:
    """Write a commented manifest to begin with; how many videos it has.

    Args:
        prompts: a file with one prompt a line, "-" = standard input; None = one video to try.
    Raises:
        ManifestError: ``manifest`` is there already or cannot be written, or ``prompts`` holds none.
    """
    from ltx_ray.manifest.files import name_of, read_text
    from ltx_ray.manifest.problems import refuse
    from ltx_ray.manifest.starter import prompts_of, starter

    told = [] if prompts is None else prompts_of(read_text(str(prompts)), name_of(str(prompts)))
    path = Path(manifest)
    if path.suffix not in (".yaml", ".yml"):
        raise refuse(str(path), "is not named as YAML; end it in .yaml")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter(str(path), told))
    except FileExistsError:
        raise refuse(str(path), "is there already; name another file") from None
    except OSError as error:
        raise refuse(str(path), f"cannot be written: {error.strerror}") from error
    return max(1, len(told))


def schema() -> dict[str, Any]:
    """What a manifest may hold, as JSON Schema: types, ranges and choices of single values."""
    from ltx_ray.manifest.json_schema import manifest_schema

    return manifest_schema()


def manifest_keys() -> str:
    """Every key of a manifest with its values, as a page of Markdown."""
    from ltx_ray.manifest.reference import reference_page

    return reference_page()


def dry_run(
    manifest: Manifest,
    *,
    run_dir: str | Path | None = None,
    store: str | None = None,
    catalog: Catalog | None = None,
) -> DryRun:
    """Plan ``manifest`` and compare it with the store and the run's last plan; writes nothing.

    Args:
        run_dir: None = ``default_run_dir``.
        store: directory or URI of the artifacts; None = that of the run, or ``.store`` beside it.
    Raises:
        ManifestError: a file that a video goes on from cannot be read.
        PlanError: ``run_dir`` or ``store`` is no place for one.
    """
    from ltx_ray.run.dry import plan_run
    from ltx_ray.run.record import Run

    run = Run(default_run_dir(manifest) if run_dir is None else run_dir, store=store)
    return plan_run(run, manifest, _models_of(manifest, catalog))


def foresee(
    dry: DryRun,
    options: RenderOptions | None = None,
    *,
    catalog: Catalog | None = None,
    cluster: str | None = None,
    address: str | None = None,
    run_dir: str | Path | None = None,
) -> Foreseen | None:
    """Which workers would make it on a cluster, and what that takes: a render there does just this.

    Args:
        cluster: a file that describes one, or ``auto``: the cluster of Ray at ``address``, or this machine; None =
            this machine, if it has cards.
        run_dir: of a run whose measured times correct the estimate; None = none.
    Raises:
        ManifestError: the file describes no cluster.
        DoesNotFit: the plan does not fit there, or takes more than ``options.ceilings`` allow.
    """
    from ltx_ray.run.foresee import foresee as foresee_plan
    from ltx_ray.run.record import Run

    chosen = RenderOptions() if options is None else options
    history = () if run_dir is None else Run(run_dir).history.records
    return foresee_plan(dry, chosen, _models(catalog), cluster=cluster, address=address, history=history)


def ceilings(*, gpu_hours: float | None = None, cost: float | None = None, deadline: str | None = None) -> Ceilings:
    """What a render may take at most. Raises PlanError: ``deadline`` is no length of time, as 90, 45m or 2h30m."""
    from ltx_ray.run.estimate import Ceilings, read_duration

    seconds = None if deadline is None else read_duration(deadline, "--deadline")
    return Ceilings(gpu_hours=gpu_hours, cost=cost, seconds=seconds)


def render(
    manifest: Manifest,
    options: RenderOptions | None = None,
    observer: Observer | None = None,
    *,
    catalog: Catalog | None = None,
) -> Summary:
    """Make what is missing of ``manifest``. Calling it again goes on; a finished run starts no Ray and loads no model.

    Raises:
        ManifestError, PlanError: as ``dry_run``.
        RunLocked: another process renders it.
        DoesNotFit: the cluster cannot run it, or Ray cannot start or be joined.
        HeadLost: the cluster's head went away; the same call resumes.
        Interrupted: a signal came while Ray started.
    """
    from ltx_ray.run.record import Run
    from ltx_ray.run.rounds import render_run

    options = options or RenderOptions()
    run = Run(default_run_dir(manifest) if options.run_dir is None else options.run_dir, store=options.store)
    return render_run(run, manifest, _models_of(manifest, catalog), options, observer or Silent())


def render_videos(
    manifest: Manifest,
    options: RenderOptions | None = None,
    observer: Observer | None = None,
    *,
    catalog: Catalog | None = None,
) -> Iterator[FinishedVideo]:
    """``render`` that gives each video as soon as its file is in place, first those finished before.

    It renders in another thread, also while nobody asks for the next video; ``observer`` is called there. Who leaves
    the loop stops the render at its next step, and waits for that.

    Raises:
        LtxRayError: what ``render`` raises, and after the last video RunIncomplete if some could not be made.
    """
    from ltx_ray.run.background import finished_videos

    options, stop = _stoppable(manifest, options)

    def run(watcher: Observer) -> Summary:
        return render(manifest, options, watcher, catalog=catalog)

    return finished_videos(run, stop, observer or Silent())


async def render_async(
    manifest: Manifest,
    options: RenderOptions | None = None,
    observer: Observer | None = None,
    *,
    catalog: Catalog | None = None,
) -> Summary:
    """``render`` in another thread, for programs with a loop; ``observer`` is called there.

    A caller that is cancelled stops the render at its next step, and waits for that.
    """
    from functools import partial

    from ltx_ray.run.background import rendered

    options, stop = _stoppable(manifest, options)
    return await rendered(partial(render, manifest, options, observer, catalog=catalog), stop)


def _stoppable(manifest: Manifest, options: RenderOptions | None) -> tuple[RenderOptions, Callable[[], object]]:
    """The options with the run directory as it is now, and what asks a render there to stop."""
    from dataclasses import replace

    from ltx_ray.run.cancel import ask_to_stop

    options = options or RenderOptions()
    run_dir = Path(default_run_dir(manifest) if options.run_dir is None else options.run_dir).absolute()

    def stop() -> object:
        return ask_to_stop(_open(run_dir, options.store), None, wait_s=0.0)

    return replace(options, run_dir=run_dir), stop


def submit(
    source: str | Path, overrides: Sequence[str] = (), *, options: SubmitOptions, catalog: Catalog | None = None
) -> Submission:
    """Have a cluster elsewhere render a manifest; returns when it has accepted the job. Again = resume.

    Raises:
        ManifestError: the manifest is wrong, or names a file that can be on no cluster.
        PlanError: an option, or the size of the files that would travel, is wrong.
        RunSubmitted: a job of this run is alive.
        DoesNotFit: no job server answers, or it refuses.
    """
    from ltx_ray.run.submit import submit

    return submit(_job_server(options.address), str(source), overrides, options, _models(catalog))


def wait(job: str, address: str, tell: Callable[[str], None] = lambda text: None) -> int:
    """Wait for a job, passing on what it says in pieces; its exit code, which is that of ``ltx-ray render``.

    Raises:
        DoesNotFit: it did not come to render.
        HeadLost: the job server went away.
    """
    from ltx_ray.run.submit import wait

    return wait(_job_server(address), job, tell)


def jobs(address: str, run: str | None = None) -> list[Job]:
    """The jobs of a run on a cluster, or of every run, in order. Raises PlanError: there is no such run."""
    from ltx_ray.run.submit import find_jobs

    server = _job_server(address)
    return server.jobs() if run is None else find_jobs(server, run)


def logs(run: str, address: str, *, follow: bool = False) -> Iterator[str]:
    """What the last job of a run, or the job of this id, has said; with ``follow`` until it ends.

    Raises:
        PlanError: there is no such job.
    """
    from ltx_ray.run.submit import find_jobs

    server = _job_server(address)
    job = find_jobs(server, run)[-1]
    return server.follow(job.id) if follow else iter([server.output(job.id)])


def cancel_job(run: str, address: str) -> Job:
    """Stop the job of a run on a cluster; the next ``submit`` goes on. Raises PlanError: none is alive."""
    from ltx_ray.run.submit import stop

    return stop(_job_server(address), run)


def ask_there(run: str, address: str, verb: str, arguments: Sequence[str] = ()) -> Said:
    """Run a verb such as ``status`` on the cluster where the run is, and return what it says.

    Raises:
        PlanError: there is no such run.
        DoesNotFit: it has no answer there.
    """
    from ltx_ray.run.submit import ask, find_jobs

    server = _job_server(address)
    return ask(server, find_jobs(server, run)[-1].run, verb, arguments)


def status(run_dir: str | Path, *, store: str | None = None) -> RunStatus:
    """Where a run stands, from what is on disk; changes nothing and needs no lock.

    Raises:
        PlanError: there is no run at ``run_dir``.
        StoreUnusable: its store is not there.
    """
    from ltx_ray.run.standing import standing_of

    return standing_of(_open(run_dir, store))


def doctor(*, address: str | None = None, store: str | None = None, models: str | None = None) -> Iterator[Looked]:
    """What was found of each machine, of this one or of those of a cluster; whatever is wrong comes with its remedy.

    Args:
        address: of a cluster of Ray; None = this machine.
        store: is written and read, if it is named.
    Raises:
        PlanError, DoesNotFit: there is no such cluster.
        ModelError: ``models`` is no file.
    """
    from ltx_ray.models.listed import find_models
    from ltx_ray.run.doctor import examine

    return examine(address=address, store=store, models=find_models(models, None))


def explain(run_dir: str | Path, task: str, *, store: str | None = None) -> list[TaskStory]:
    """Why a task of a run, or each that ``task`` may mean, ran, was reused or failed; changes nothing, needs no lock.

    Args:
        task: its name, its unit, or six and more characters of its key.
    Raises:
        PlanError: no such run or task.
    """
    from ltx_ray.run.explain import tell

    return tell(_open(run_dir, store), task)


def cancel(run_dir: str | Path, video: str | None = None, *, store: str | None = None) -> Asked:
    """Ask whoever renders this run to stop at the next step, or to leave out one video; the next render makes it.

    Raises:
        PlanError: nothing renders it, it has no such video, or the video is finished.
    """
    from ltx_ray.run.cancel import ask_to_stop

    return ask_to_stop(_open(run_dir, store), video)


def preview(
    run_dir: str | Path,
    video: str,
    *,
    out: str | Path | None = None,
    store: str | None = None,
    silent: bool = False,
    catalog: Catalog | None = None,
) -> Preview:
    """Join the finished beginning of a video, also while it is being rendered; needs no lock.

    Args:
        out: None = below ``preview/`` of the run; otherwise a file with the video's own suffix.
        silent: leave the sound out, which otherwise may have to be decoded.
    Raises:
        PlanError: no such run or video, nothing of it is finished yet, or ``out`` is no place for it.
    """
    from ltx_ray.run.preview import make_preview

    run = _open(run_dir, store)
    return make_preview(run, video, _models(catalog), out=None if out is None else Path(out), silent=silent)


def verify(run_dir: str | Path, *, store: str | None = None, repair: bool = False) -> Verification:
    """Hash every artifact of the run's plan that is bound, and every finished file.

    Returns:
        How many were looked at, and (kind, name, detail) of what is wrong. With ``repair`` what is wrong is forgotten
        or removed, so that the next render makes it again.
    Raises:
        PlanError: there is no run at ``run_dir``.
        StoreUnusable: with ``repair``, its store is not there, or may be another run's.
        RunLocked: it is rendered now, and ``repair`` would take away what that makes.
    """
    from ltx_ray.run.verify import verify_run

    return verify_run(run_dir, store=store, repair=repair)


def probe(files: Iterable[str | Path]) -> Iterator[Probed]:
    """What is in media files, one after the other; a test card is read back and proven.

    A file that is not there, or cannot be read, is answered by a sentence and raises nothing.
    """
    from ltx_ray.run.probe import probe_files

    return probe_files(files)


def gc(options: GcOptions | None = None) -> Freed:
    """Say what nothing in a store refers to and what no run needs any more, or free it.

    Raises:
        PlanError: the runs and the store do not go together, or all would go and nobody said so.
        StoreError: there is no store, or a run that may need it cannot be read: nothing is deleted then.
    """
    from ltx_ray.run.collect import free

    return free(options or GcOptions())


def unlock(run_dir: str | Path) -> Holder | None:
    """Break the lock of a render that died on another machine; whose it was, None = it was not locked.

    Raises:
        PlanError: there is no run at ``run_dir``.
        RunLocked: its holder lives on this machine.
    """
    from ltx_ray.store.layout import RunLayout
    from ltx_ray.store.lock import break_lock
    from ltx_ray.store.run_dir import check_is_run

    layout = RunLayout(run_path(run_dir))
    check_is_run(layout)
    return break_lock(layout.lock)


def watch_spot(cloud: str, address: str | None, tell: Callable[[str], None]) -> None:
    """Wait for the notice by which a cloud (aws, gcp, azure) takes this spot machine away, and drain its node of Ray.

    Raises:
        DoesNotFit: no cluster of Ray runs on this machine.
    """
    from ltx_ray.cluster.environment import prepare_environment

    prepare_environment()
    from ltx_ray.cluster.spot import watch

    watch(cloud, address, tell)


def is_ray_left_behind() -> bool:
    """Whether Ray still waits for a cluster's head that is gone, and would hold up the end of this process."""
    from ltx_ray.cluster.owner import owner_left_behind

    return owner_left_behind() is not None


def models(named: str | Path | None = None, *, manifest: str | Path | None = None) -> Catalog:
    """The built-in models, those of the ``models.yaml`` that counts, and those that are published, by name alone.

    Raises:
        ModelError: an entry of it, or a file that an entry names, is wrong.
    """
    from ltx_ray.models.catalog import BUILT_IN, Catalog
    from ltx_ray.models.listed import find_models, read_models
    from ltx_ray.models.published import openers

    found = find_models(None if named is None else str(named), None if manifest is None else str(manifest))
    return Catalog(*BUILT_IN.entries, later=openers()) if found is None else read_models(found)


def calibrate(families: Sequence[str] | None = None, tell: Callable[[str], object] = lambda what: None) -> str:
    """The table by which plans know memory and time, made anew, as JSON; it takes some minutes.

    Args:
        families: None = all.
        tell: is told what is counted next.
    Raises:
        PlanError: there is no such family.
    """
    from ltx_ray.models.ltx2.calibrate import as_json, calibrate

    return as_json(calibrate(families, tell))


def list_models(named: str | Path | None = None) -> tuple[Path | None, Iterator[ListedModel]]:
    """The ``models.yaml`` that counts, and what it and the program list; heads of files are read, and no more.

    Raises:
        ModelError: it is no list of models. What is wrong with an entry is said in it.
    """
    from ltx_ray.models.listed import find_models
    from ltx_ray.models.listing import list_models

    path = find_models(None if named is None else str(named), None)
    return path, list_models(path)


def check_models(names: Sequence[str], named: str | Path | None = None) -> Iterator[tuple[str, Path, str]]:
    """sha256 and path of every file of these entries, of all without names, and what is wrong with it or "".

    Raises:
        ModelError: there is no list or no such entry, or something is wrong with one.
    """
    from ltx_ray.models.listing import check_models

    return check_models(_list_that_counts(named), names)


def lock_models(names: Sequence[str], named: str | Path | None = None) -> Path:
    """Write beside the ``models.yaml`` that counts what entries come to, so that machines without files can plan.

    Returns:
        The lock.

    Raises:
        ModelError: there is no list or no such entry, or something is wrong with one.
    """
    from ltx_ray.models.listing import lock_models

    return lock_models(_list_that_counts(named), names)


def _list_that_counts(named: str | Path | None) -> Path:
    from ltx_ray.errors import ModelError
    from ltx_ray.models.listed import find_models

    path = find_models(None if named is None else str(named), None)
    if path is None:
        raise ModelError("models.yaml: there is none; `ltx-ray models scan DIR` writes one")
    return path


def scan_models(folders: Sequence[str | Path], out: str | Path | None = "models.yaml") -> tuple[Found, str]:
    """Look through folders for checkpoints and add those that are whole to the list ``out``; None = write nothing.

    Returns:
        What was found, and the entries as YAML.

    Raises:
        ModelError: a folder is not there, or ``out`` is no list of models.
    """
    from ltx_ray.models.scan import scan, text_of, write

    target = Path("models.yaml") if out is None else Path(out)
    found = scan([Path(folder).expanduser() for folder in folders], target)
    if out is not None and found.added:
        write(found, target)
    return found, text_of(found)


def _job_server(address: str) -> JobServer:
    from ltx_ray.cluster.environment import prepare_environment

    prepare_environment()
    from ltx_ray.cluster.jobs import JobServer

    return JobServer(address)


def _models_of(manifest: Manifest, catalog: Catalog | None) -> Catalog:
    """With the LoRAs that the manifest names by their files."""
    from ltx_ray.manifest.schema import lora_files_of

    return _models(catalog).with_files(lora_files_of(manifest))


def _models(catalog: Catalog | None) -> Catalog:
    from ltx_ray.models.catalog import BUILT_IN

    return BUILT_IN if catalog is None else catalog


def _open(run_dir: str | Path, store: str | None) -> Run:
    from ltx_ray.run.record import Run

    return Run.open(run_dir, store=store)
