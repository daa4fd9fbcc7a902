"""Every error a user can meet, with its exit code.

    LtxRayError                1   our bug unless a subclass says otherwise
      ManifestError            2   bad input: every problem of a file at once
      PlanError                2   input that parses but cannot be planned
      ModelError               2   unknown, incomplete or mismatched weights
      MediaError               2   a media file that cannot be read or written as asked
      RunIncomplete            3   finished with failed or blocked tasks
      StoreError               4   storage: disk full, unreadable, unwritable
        StoreUnusable          4   a person must act first: full, read-only, no permission, newer format
          StoreAbsent          4   no store is where one must be
        KeyFileBroken          4   a key file that says nothing usable; it counts as absent
        ArtifactMissing        4   a key or object that should be there is not
        ArtifactCorrupt        4   bytes do not match the digest in their key file
      DoesNotFit               5   the cluster cannot run the plan, or Ray cannot start or be joined
      ProofFailed              6   a file is not what it must be
      HeadLost                 7   the head of the cluster is gone; the run resumes
      RunLocked               11   another process is rendering this run
      RunSubmitted            11   a job of a cluster is rendering this run
      Interrupted        130, 143  stopped by a signal; the run resumes

Text: where the user can change it, what is wrong with the value, the nearest valid one, what to run next; one
sentence without a full stop. Fields go to ``super().__init__(*fields)`` and the text is made in ``__str__``, because an
exception that formats its text in ``__init__`` does not survive pickling, and these travel between processes.
"""

from __future__ import annotations

from dataclasses import dataclass


class LtxRayError(Exception):
    """Base of the tree. ``exit_code`` is what the command line returns; ``retryable`` is what the engine may do."""

    exit_code = 1
    retryable = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the input: ``where`` is file, video id and field; ``what`` says value, rule and remedy."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class ManifestError(LtxRayError):
    """All problems of a manifest, found before any work."""

    exit_code = 2

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class _TextError(LtxRayError):
    """An error whose one field is its sentence."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return self.text


class PlanError(_TextError):
    exit_code = 2


class ModelError(_TextError):
    exit_code = 2


class MediaError(_TextError):
    exit_code = 2


class RunIncomplete(LtxRayError):
    """The run ended with tasks that failed for good, or that wait for one that did; or with videos left out."""

    exit_code = 3

    def __init__(self, num_failed: int, num_blocked: int, num_cancelled: int, run_dir: str) -> None:
        super().__init__(num_failed, num_blocked, num_cancelled, run_dir)
        self.num_failed, self.num_blocked, self.run_dir = num_failed, num_blocked, run_dir
        self.num_cancelled = num_cancelled  #: videos

    def __str__(self) -> str:
        if self.num_cancelled and not self.num_failed:
            videos = "1 video was" if self.num_cancelled == 1 else f"{self.num_cancelled} videos were"
            return f"{self.run_dir}: {videos} cancelled; the same command makes the rest"
        return (
            f"{self.run_dir}: {self.num_failed} tasks failed and {self.num_blocked} wait for them; "
            f"`ltx-ray status {self.run_dir}` tells why, `ltx-ray render ... --retry-failed` tries again"
        )


class StoreError(_TextError):
    exit_code = 4
    retryable = True
    retry_after_s: float | None = None  #: the wait that a service asked for
    is_after_patience: bool = False  #: the store itself has tried again until it gave up


class StoreUnusable(StoreError):
    """Storage that stays unusable until a person acts: trying again is pointless."""

    retryable = False


class StoreAbsent(StoreUnusable):
    """No store is where one must be."""


class KeyFileBroken(StoreError):
    retryable = False


class ArtifactMissing(LtxRayError):
    exit_code = 4

    def __init__(self, key: str, where: str) -> None:
        super().__init__(key, where)
        self.key, self.where = key, where

    def __str__(self) -> str:
        return f"artifact {self.key[:12]} is not in {self.where}; `ltx-ray render` makes it again"


class ArtifactCorrupt(LtxRayError):
    exit_code = 4

    def __init__(self, key: str, expected: str, actual: str) -> None:
        super().__init__(key, expected, actual)
        self.key, self.expected, self.actual = key, expected, actual

    def __str__(self) -> str:
        return (
            f"artifact {self.key[:12]} is corrupt: digest {self.actual[:12]}, its key file says {self.expected[:12]}; "
            "`ltx-ray verify RUN --repair` forgets it, then `ltx-ray render` makes it again"
        )


class DoesNotFit(_TextError):
    exit_code = 5


class ProofFailed(_TextError):
    exit_code = 6


class HeadLost(LtxRayError):
    """The head of the cluster, or Ray on this machine, is gone. Everything committed is kept."""

    exit_code = 7

    def __init__(self, cluster: str) -> None:
        super().__init__(cluster)
        self.cluster = cluster

    def __str__(self) -> str:
        return f"{self.cluster}: the cluster's head is gone; the same command resumes"


class RunLocked(LtxRayError):
    exit_code = 11

    def __init__(self, run_dir: str, host: str, pid: int, since: str) -> None:
        super().__init__(run_dir, host, pid, since)
        self.run_dir, self.host, self.pid, self.since = run_dir, host, pid, since

    @property
    def place(self) -> str:
        return f"{self.run_dir}: locked by process {self.pid} on {self.host} since {self.since}"

    def __str__(self) -> str:
        return (
            f"{self.place}; "
            f"wait for it, stop it: `ltx-ray cancel {self.run_dir}`, or if it is dead: `ltx-ray unlock {self.run_dir}`"
        )


class RunSubmitted(LtxRayError):
    exit_code = 11

    def __init__(self, run: str, job: str, address: str) -> None:
        super().__init__(run, job, address)
        self.run, self.job, self.address = run, job, address

    def __str__(self) -> str:
        return (
            f"{self.run}: job {self.job} at {self.address} renders it; wait for it: `ltx-ray logs {self.run} --follow "
            f"--address {self.address}`, or stop it: `ltx-ray cancel {self.run} --address {self.address}`"
        )


class Interrupted(LtxRayError):
    """Stopped by SIGINT (130), SIGTERM or SIGHUP (143). Everything committed is kept; the same command goes on."""

    def __init__(self, run_dir: str, exit_code: int) -> None:
        super().__init__(run_dir, exit_code)
        self.run_dir, self.exit_code = run_dir, exit_code

    def __str__(self) -> str:
        return f"{self.run_dir}: stopped; the same command resumes it"


class Cancelled(LtxRayError):
    """Raised inside a stage at a step boundary after it was asked to stop. Never counts against the task."""

    def __str__(self) -> str:
        return "cancelled"
