from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.faults import service_error, storage_error, storage_errors


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "/x: no space left on the device; free some space"),
        (errno.EDQUOT, "/x: the disk quota is used up; free some space"),
        (errno.EACCES, "/x: permission denied; make it writable"),
        (errno.EROFS, "/x: the file system is read-only; make it writable"),
        (errno.EILSEQ, "/x: the file system does not take this name; write another output.path"),
        (errno.ENOENT, "/x: a directory on this path does not exist; was it moved or unmounted"),
    ],
)
def test_what_needs_a_person_is_not_tried_again(code, sentence):
    error = storage_error(OSError(code, "whatever"), "/x")
    assert isinstance(error, StoreUnusable)
    assert not error.retryable
    assert str(error).startswith(sentence)


@pytest.mark.parametrize("where", ["/x\ud800", "run/videos/\udfff.mp4"])
def test_a_name_that_the_system_cannot_take_needs_a_person_too(where):
    with pytest.raises(StoreUnusable, match=r"the name has '.*', and here names of files are written in utf-8"):
        with storage_errors(where):
            Path(where).stat()
    with pytest.raises(UnicodeEncodeError), storage_errors("/sound"):
        "\ud800".encode()


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE])
def test_what_may_pass_is_tried_again(code):
    error = storage_error(OSError(code, "whatever"), "/x")
    assert type(error) is StoreError
    assert error.retryable


def test_an_error_without_a_number_keeps_its_words():
    assert str(storage_error(ConnectionResetError("The peer hung up"), "s3://b")).startswith(
        "s3://b: the peer hung up;"
    )
    assert isinstance(storage_error(PermissionError("Forbidden"), "s3://b"), StoreUnusable)


def test_only_errors_of_the_system_are_translated():
    with pytest.raises(KeyError), storage_errors("/x"):
        raise KeyError
    with pytest.raises(StoreUnusable, match="/x: ") as caught, storage_errors("/x"):
        raise OSError(errno.EROFS, "Read-only file system")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_host_whose_name_is_not_found_is_told_in_words():
    error = storage_error(socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "s3://b")
    assert "emporary failure in name resolution; try again" in str(error)
    assert error.retryable


def answered(code: str, status: int, words: str = "words of the server.") -> StoreError:
    response = {"Error": {"Code": code, "Message": words}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return service_error(ClientError(response, "PutObject"), "s3://farm/x", {})


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (400, "ExpiredToken", "renew the credentials"),
        (403, "InvalidAccessKeyId", "renew the credentials"),
        (403, "SignatureDoesNotMatch", "renew the credentials"),
        (400, "TokenRefreshRequired", "renew the credentials"),
        (403, "RequestTimeTooSkewed", "set the clock"),
        (400, "RequestExpired", "set the clock"),
        (403, "AccessDenied", "allow this account"),
        (403, "AllAccessDisabled", "allow this account"),
        (404, "NoSuchBucket", "make the bucket"),
        (507, "XMinioStorageFull", "free some space"),
        (400, "XMinioAdminBucketQuotaExceeded", "free some space"),
        (403, "QuotaExceeded", "free some space"),
        (301, "PermanentRedirect", "set region and endpoint"),
        (400, "AuthorizationHeaderMalformed", "set region and endpoint"),
        (400, "KMS.DisabledException", "enable the bucket's encryption key"),
        (403, "InvalidObjectState", "restore the object"),
        (501, "NotImplemented", "the service lacks what a store needs"),
        (400, "NeverHeardOf", "check address, credentials"),
        (401, "NeverHeardOf", "renew the credentials"),
        (402, "NeverHeardOf", "settle the account"),
        (403, "NeverHeardOf", "allow this account"),
        (507, "NeverHeardOf", "free some space"),
    ],
)
def test_an_answer_that_needs_a_person_says_code_words_and_what_to_do(status, code, remedy):
    error = answered(code, status)
    assert isinstance(error, StoreUnusable)
    assert str(error).startswith(f"s3://farm/x: {code}: words of the server; {remedy}")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (409, "ConditionalRequestConflict"),
        (409, "OperationAborted"),
        (400, "RequestTimeout"),
        (503, "SlowDown"),
        (403, "RequestThrottled"),
        (500, "InternalError"),
        (503, "ServiceUnavailable"),
        (400, "KMS.ThrottlingException"),
        *((status, "NeverHeardOf") for status in (408, 409, 425, 429, 500, 502, 503, 504, 599)),
    ],
)
def test_an_answer_that_may_pass_says_code_and_words(status, code):
    error = answered(code, status)
    assert type(error) is StoreError
    assert str(error) == f"s3://farm/x: {code}: words of the server; try again, and look at the storage if it stays"


@pytest.mark.parametrize(("status", "phrase"), [(403, "Forbidden"), (503, "Service Unavailable")])
def test_an_answer_without_a_code_says_its_status(status, phrase):
    assert str(answered(str(status), status, phrase)).startswith(f"s3://farm/x: HTTP {status}: {phrase}; ")
    assert str(answered(str(status), status, "")).startswith(f"s3://farm/x: HTTP {status}; ")


def test_a_hostile_code_is_as_harmless_as_words():
    sentence = str(answered("Bad\x1b[2J\n" + "x" * 1000, 400))
    assert sentence.isprintable()
    assert len(sentence) < 200


def test_a_wait_that_the_service_asks_for_is_told():
    about = {"HTTPStatusCode": 503, "HTTPHeaders": {"retry-after": "3600"}}
    error = service_error(ClientError({"Error": {"Code": "SlowDown"}, "ResponseMetadata": about}, "Put"), "s3://b", {})
    assert str(error) == "s3://b: SlowDown; try again in 3600 s, and look at the storage if it stays"
    assert error.retry_after_s == 3600


def test_a_certificate_that_is_refused_is_no_lack_of_permission():
    error = service_error(ssl.SSLCertVerificationError(1, "certificate verify failed"), "s3://b", {})
    assert "certificate verify failed" in str(error)


@pytest.mark.parametrize(
    ("error", "is_retryable"),
    [
        (EndpointConnectionError(endpoint_url="http://nowhere"), True),
        (ConnectionResetError(errno.ECONNRESET, "reset"), True),
        (TimeoutError("no answer"), True),
        (NoCredentialsError(), False),
        (ValueError("Bad name"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_without_an_answer_the_class_decides(error, is_retryable):
    assert service_error(error, "s3://farm/x", {}).retryable is is_retryable


def test_words_of_a_client_are_cleaned_too():
    error = service_error(OSError("refused\x1b[2J by farmer-north"), "s3://b", {"secret_key": "farmer-north"})
    assert str(error).startswith("s3://b: refused [2J by ***; try again")
