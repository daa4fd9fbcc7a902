"""Storage faults as sentences. Which fault needs a person and which may pass is decided here and nowhere else.

A file system says an errno, a service of storage its own code or a status of HTTP; a client that got no answer raises a
class of its own. What stays until somebody does something is StoreUnusable, everything else a StoreError.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.spec.names import why_unnameable
from ltx_ray.store.answers import Answer, answer_of, clean, words_of

_FREE = "free some space, for instance with `ltx-ray gc --delete`, or name another place with --store or --run"
_GRANT = "make it writable for this user or name another place with --store or --run"

#: What the disk itself says, whoever wrote to it; a library may raise other OSErrors for reasons of its own.
DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})

#: errno -> (what is wrong, what to do). These stay until somebody does something.
_PERMANENT = {
    errno.ENOSPC: ("no space left on the device", _FREE),
    errno.EDQUOT: ("the disk quota is used up", _FREE),
    errno.EFBIG: ("the file would exceed the size limit", "raise `ulimit -f` or name a file system without the limit"),
    errno.EACCES: ("permission denied", _GRANT),
    errno.EPERM: ("operation not permitted", _GRANT),
    errno.EROFS: ("the file system is read-only", _GRANT),
    errno.ENOENT: (
        "a directory on this path does not exist",
        "was it moved or unmounted? name another with --store or --run",
    ),
    errno.ENOTDIR: ("a part of this path is a file, not a directory", "name another place with --store or --run"),
    errno.EISDIR: ("this is a directory where a file belongs", "move it away"),
    errno.ELOOP: ("links on this path lead round in a circle", "mend them or name another place with --store or --run"),
    errno.ENAMETOOLONG: ("the name is too long", "name a shorter path with --store or --run"),
    errno.EILSEQ: (
        "the file system does not take this name",
        "write another output.path, or name another place with --store or --run",
    ),
    errno.EXDEV: (
        "the file lies on another file system than the store",
        "make it inside the store's scratch directory",
    ),
    errno.ENOLCK: ("the file system has no file locks", "put the run directory on one that has, with --run"),
}

_LATER = "try again, and look at the storage if it stays"
_AGAIN = "then run the same command again"
_CREDENTIALS = f"renew the credentials of this machine, {_AGAIN}"
_CLOCK = f"set the clock of this machine, {_AGAIN}"
_PERMISSION = f"allow this account to list, read, write and delete there, {_AGAIN}"
_ACCOUNT = f"settle the account at the service, {_AGAIN}"
MAKE_BUCKET = "make the bucket or correct its name in --store"
_SPACE = "free some space, for instance with `ltx-ray gc --delete`, or raise the quota"
_REGION = "set region and endpoint of the bucket in the environment"
_ENCRYPTION = f"enable the bucket's encryption key and let this account use it, {_AGAIN}"
_ARCHIVE = f"restore the object from its archive, {_AGAIN}"
_LACKING = "the service lacks what a store needs; name another with --store"
_REFUSED = "check address, credentials and configuration"

#: What to do -> the codes of services that ask for it.
_STAYING_CODES = {
    _CREDENTIALS: """ExpiredToken ExpiredTokenException InvalidToken TokenRefreshRequired InvalidAccessKeyId
        SignatureDoesNotMatch InvalidSecurity InvalidClientTokenId UnrecognizedClientException CredentialsNotSupported
        MissingSecurityHeader MissingSecurityElement MissingAuthenticationToken AuthFailure NoCredentials
        authError required AuthenticationFailed InvalidAuthenticationInfo NoAuthenticationInformation""",
    _CLOCK: "RequestTimeTooSkewed RequestExpired RequestNotYetValid RequestInTheFuture",
    _PERMISSION: """AccessDenied AllAccessDisabled AccessForbidden Forbidden AuthorizationFailure
        AuthorizationPermissionMismatch InsufficientAccountPermissions""",
    _ACCOUNT: """AccountProblem NotSignedUp InvalidPayer PaymentRequired UserSuspended AccountIsDisabled
        accountDisabled billingNotEnabled""",
    MAKE_BUCKET: "NoSuchBucket InvalidBucketName ContainerNotFound",
    _SPACE: """XMinioStorageFull XMinioAdminBucketQuotaExceeded QuotaExceeded InsufficientStorage
        InsufficientStorageSpace StorageFull StorageQuotaExceeded TotalStorageExceeded dailyLimitExceeded""",
    _REGION: """PermanentRedirect TemporaryRedirect Redirect AuthorizationHeaderMalformed IncorrectEndpoint
        IllegalLocationConstraintException""",
    _ENCRYPTION: "KMSDisabled KMSAccessDenied KMSInvalidStateException KMSKeyDisabled KmsDisabledException",
    _ARCHIVE: "InvalidObjectState BlobArchived",
    _LACKING: "NotImplemented",
}
_REMEDIES = {code.lower(): remedy for remedy, codes in _STAYING_CODES.items() for code in codes.split()}

#: Codes that may pass though their status alone would not say so.
_PASSING_CODES = {
    code.lower()
    for code in """RequestTimeout RequestTimeoutException ConditionalRequestConflict OperationAborted SlowDown
        TooManyRequests TooManyRequestsException Throttling ThrottlingException RequestThrottled RequestLimitExceeded
        BandwidthLimitExceeded InternalError ServiceUnavailable ServerBusy OperationTimedOut IncompleteBody BadDigest
        XAmzContentSHA256Mismatch ContentSHA256Mismatch NoSuchUpload InvalidPart KMS.ThrottlingException
        rateLimitExceeded userRateLimitExceeded backendError XMinioServerNotInitialized""".split()
}
_PASSING_STATUSES = {408, 409, 423, 425, 429}
_STAYING_STATUSES = {
    401: _CREDENTIALS,
    402: _ACCOUNT,
    403: _PERMISSION,
    404: MAKE_BUCKET,
    501: _LACKING,
    505: _LACKING,
    507: _SPACE,
    511: _CREDENTIALS,
}

#: What clients raise when no answer came, besides OSErrors: what may pass stands first.
_PASSING_CLASSES = (
    ("botocore.exceptions", "ConnectionError"),
    ("botocore.exceptions", "HTTPClientError"),
    ("botocore.parsers", "ResponseParserError"),
    ("google.auth.exceptions", "TransportError"),
    ("gcsfs.retry", "ChecksumError"),
    ("azure.core.exceptions", "ServiceRequestError"),
    ("azure.core.exceptions", "ServiceResponseError"),
    ("aiohttp", "ClientError"),
    ("urllib3.exceptions", "HTTPError"),
    ("http.client", "HTTPException"),
)
_STAYING_CLASSES = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("gcsfs.retry", "HttpError"),
    ("gcsfs.retry", "NonRetryableError"),
    ("azure.core.exceptions", "AzureError"),
    ("builtins", "ValueError"),  # of gcsfs and s3fs, for a request that the service or the client calls invalid
)


def storage_error(error: OSError, where: str | Path) -> StoreError:
    """The sentence for ``error`` at ``where``; permanent ones are StoreUnusable, the others may be tried again."""
    code = error.errno if error.errno in errno.errorcode else _code_of_class(error)
    if code in _PERMANENT:
        what, remedy = _PERMANENT[code]
        return StoreUnusable(f"{where}: {what}; {remedy}")
    reason = os.strerror(code) if code else words_of(error)
    is_word = reason[1:2].islower()  # not HTTPSConnection
    return StoreError(f"{where}: {reason[:1].lower() if is_word else reason[:1]}{reason[1:]}; {_LATER}")


def client_faults() -> tuple[type[Exception], ...]:
    """Every class of error by which the installed clients of buckets report a fault of storage."""
    return (OSError, *_classes(_PASSING_CLASSES), *_classes(_STAYING_CLASSES))


def service_error(error: Exception, where: str, secrets: Mapping[str, str]) -> StoreError:
    """The sentence for one of ``client_faults`` at ``where``, with the service's own words if it spoke.

    ``secrets`` is hidden in them as ``redact`` says.
    """
    if answer := answer_of(error):
        return _answered(answer, where, secrets)
    words = clean(words_of(error), secrets)
    if isinstance(error, _classes(_PASSING_CLASSES)):
        return StoreError(f"{where}: {words}; try again, and look at the network if it stays")
    if isinstance(error, OSError):
        cls = type(error)
        if cls.__module__ != "builtins":
            cls = OSError  # with numbers of its own: a certificate that is refused has that of EPERM
        elif error.errno in errno.errorcode:
            return storage_error(error, where)
        return storage_error(cls(words), where)
    return StoreUnusable(f"{where}: {words}; {_REFUSED}")


def is_of_missing_bucket(answer: Answer) -> bool:
    """Whether the service said that the bucket itself is not there, not one object in it."""
    return _REMEDIES.get(answer.code.lower()) == MAKE_BUCKET


def taken_away(path: Path) -> StoreUnusable:
    """What is said when a run loses its directory, or this file in it, while it is being rendered."""
    return StoreUnusable(
        f"{path.parent}: this run directory, or {path.name} in it, was moved, deleted or replaced while it was being "
        "rendered; what the store has is kept: run the same command again, with --run if the directory lies elsewhere"
    )


@contextmanager
def storage_errors(where: str | Path) -> Iterator[None]:
    """Turn every OSError of the block, and a name that the system cannot take, into a StoreError with ``where``."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, where) from error
    except UnicodeEncodeError as error:
        if (why := why_unnameable(str(where))) is None:
            raise
        raise StoreUnusable(f"{where}: the name {why}") from error


def _answered(answer: Answer, where: str, secrets: Mapping[str, str]) -> StoreError:
    name = clean(answer.code, secrets) or f"HTTP {answer.status}"
    said = clean(answer.message, secrets).rstrip(" .;")
    what = f"{name}: {said}" if said else name
    if remedy := _remedy(answer):
        return StoreUnusable(f"{where}: {what}; {remedy}")
    wait = f" in {answer.retry_after_s:.0f} s" if answer.retry_after_s else ""
    error = StoreError(f"{where}: {what}; try again{wait}, and look at the storage if it stays")
    error.retry_after_s = answer.retry_after_s
    return error


def _remedy(answer: Answer) -> str | None:
    """What a person must do; ``None`` if it may pass. The code knows better than the status."""
    code, status = answer.code.lower(), answer.status
    if code in _PASSING_CODES:
        return None
    if code in _REMEDIES:
        return _REMEDIES[code]
    if code.startswith("kms."):
        return _ENCRYPTION
    if status in _STAYING_STATUSES:
        return _STAYING_STATUSES[status]
    if status in _PASSING_STATUSES or status >= 500:
        return None
    return _REGION if status < 400 else _REFUSED


def _classes(names: tuple[tuple[str, str], ...]) -> tuple[type[Exception], ...]:
    """Those of the named classes whose module is loaded: any other has raised nothing."""
    found = (getattr(sys.modules.get(module), name, None) for module, name in names)
    return tuple(cls for cls in found if cls is not None)


def _code_of_class(error: OSError) -> int | None:
    # Object-store clients raise the right class without an errno.
    match error:
        case PermissionError():
            return errno.EACCES
        case FileNotFoundError():
            return errno.ENOENT
        case _:
            return None
