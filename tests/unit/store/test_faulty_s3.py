"""A store on an S3 that fails: what is tried again as a request, what is not, and what an operator reads."""

from __future__ import annotations

import errno

import pytest

from ltx_ray.errors import StoreError, StoreUnusable
from ltx_ray.store.layout import key_name
from ltx_ray.store.open import open_store
from tests.fakes import FakeClock

from .conformance import META, A
from .service import S3, hurried, s3_by_script


@pytest.fixture(scope="module")
def server():
    with s3_by_script() as service:
        yield service


@pytest.fixture
def service(server):
    for past in (server.objects, server.faults, server.asked):
        past.clear()
    return server


@pytest.fixture
def clock(monkeypatch):
    clock = FakeClock()
    hurried(clock, monkeypatch)
    return clock


@pytest.fixture
def store(service, clock):
    return open_store("s3://farm/st", create=False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "chunk"
    path.write_bytes(bytes(range(256)) * 400)
    return path


#: Without a status the connection is reset; the HTTP library itself tries once more after that.
FLEETING = [
    {"status": 503, "code": "SlowDown", "times": 2},
    {"status": 409, "code": "OperationAborted"},
    {"status": 500, "code": "InternalError", "is_late": True},
    {"status": 429},
    {"times": 3},
    {"is_late": True, "times": 3},
]


@pytest.mark.parametrize("fault", FLEETING, ids=str)
@pytest.mark.parametrize("as_file", [False, True])
def test_a_put_that_fails_for_a_moment_is_put_again(store, service, clock, file, fault, as_file):
    service.fail(where="PUT", **fault)
    store.shelf.put("objects/ab/x", file if as_file else file.read_bytes())
    assert service.objects == {"st/objects/ab/x": file.read_bytes()}
    assert service.num_asked("PUT") == 1 + fault.get("times", 1)
    assert clock.now_s > 0


@pytest.mark.parametrize("fault", [*FLEETING, {"status": 409, "code": "ConditionalRequestConflict"}], ids=str)
def test_a_creation_that_fails_for_a_moment_is_tried_again(store, service, fault):
    service.fail(where="PUT", **fault)
    assert store.shelf.create("keys/x", b"mine") is True
    assert service.objects == {"st/keys/x": b"mine"}


def test_a_creation_whose_answer_was_lost_is_not_taken_for_anothers(store, service):
    service.objects[f"st/{key_name(A)}"] = b"theirs"
    assert store.shelf.create(key_name(A), b"mine") is False
    store.forget(A)
    service.fail(where="PUT.*/keys/", is_late=True)
    bound = store.commit(A, b"bytes", META)
    assert store.lookup(A) == bound
    assert service.num_asked("PUT.*/objects/") == 1


@pytest.mark.parametrize("status", [412, 409])
def test_a_creation_that_is_refused_because_the_object_is_there_says_so(store, service, status):
    """Some services do not name the condition that failed; a conflict may end in a lost race."""
    service.objects["st/keys/x"] = b"theirs"
    service.fail(status, "PreconditionFailed" if status == 412 else "ConditionalRequestConflict", where="PUT")
    assert store.shelf.create("keys/x", b"mine") is False


QUESTIONS = {
    "read": lambda shelf: shelf.read("objects/a"),
    "read_many": lambda shelf: dict(shelf.read_many(["objects/a", "objects/b", "objects/c"])),
    "sizes": lambda shelf: shelf.sizes(["objects/a", "objects/c"]),
    "names": lambda shelf: shelf.names("objects"),
    "listing": lambda shelf: sorted(shelf.listing("objects")),
    "age_s": lambda shelf: shelf.age_s("objects/a") > 0,
    "remove": lambda shelf: shelf.remove("objects/a"),
    "local": lambda shelf: local_bytes(shelf, "objects/a"),
}


def local_bytes(shelf, name):
    with shelf.local(name) as path:
        return path and path.read_bytes()


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize("fault", [{"status": 503, "code": "SlowDown", "times": 2}, {}, {"is_late": True}], ids=str)
def test_every_question_is_asked_again_when_it_fails_for_a_moment(store, service, ask, fault):
    service.objects.update({"st/objects/a": b"aa", "st/objects/b": b"b"})
    right = ask(store.shelf)
    service.objects.update({"st/objects/a": b"aa", "st/objects/b": b"b"})
    service.fail(where="(GET|HEAD|DELETE)", **fault)
    assert ask(store.shelf) == right
    assert service.faults == []


@pytest.mark.parametrize("ask", [QUESTIONS["read"], QUESTIONS["local"]], ids=["read", "local"])
def test_a_body_that_is_cut_off_is_read_again(store, service, ask):
    service.objects["st/objects/a"] = bytes(100_000)
    service.fail(where="GET", num_sent=5000)
    assert ask(store.shelf) == bytes(100_000)


def test_of_many_names_only_those_that_failed_are_asked_for_again(store, service):
    service.objects.update({f"st/objects/{name}": name.encode() for name in "abc"})
    service.fail(503, "SlowDown", where="GET.*/objects/b")
    assert dict(store.shelf.read_many([f"objects/{name}" for name in "abc"])) == {
        f"objects/{name}": name.encode() for name in "abc"
    }
    assert [service.num_asked(f"GET.*/objects/{name}") for name in "abc"] == [1, 2, 1]


def test_of_many_names_one_is_asked_for_until_the_service_answers(store, service):
    service.fail(503, "SlowDown", times=999)
    with pytest.raises(StoreError, match=r"^s3://farm/st/objects/.: SlowDown; try again"):
        list(store.shelf.read_many([f"objects/{name}" for name in "abcdefgh"]))
    assert len({request.split()[1] for request in service.asked}) == 1


def test_what_became_of_a_file_is_judged_anew_before_it_is_removed_again(store, service):
    """The answer to a removal is lost, and somebody writes a good file under the name meanwhile."""
    service.objects["st/keys/x"] = b"broken"
    service.fail(503, where="DELETE", is_late=True)

    def judge(data):
        judged.append(data)
        if data == b"broken":
            service.replacing = b"good"
        return data == b"broken"

    judged = []
    store.shelf.remove_if("keys/x", judge)
    assert service.objects == {"st/keys/x": b"good"}
    assert judged == [b"broken", b"good"]


def test_a_service_that_stays_busy_is_asked_for_half_a_minute_at_most(store, service, clock):
    service.fail(503, "SlowDown", "Reduce your rate.", where="PUT", times=99)
    with pytest.raises(StoreError, match=r"^s3://farm/st/objects/x: SlowDown: Reduce your rate; try again, ") as caught:
        store.shelf.put("objects/x", b"x")
    assert caught.value.retryable
    assert service.num_asked("PUT") == 6
    assert clock.now_s <= 30


def test_the_wait_that_the_service_asks_for_is_waited(store, service, clock):
    service.fail(503, "SlowDown", where="PUT", headers={"Retry-After": "11"})
    store.shelf.put("objects/x", b"x")
    assert clock.now_s == 11


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (403, "AccessDenied", "allow this account"),
        (400, "ExpiredToken", "renew the credentials"),
        (403, "RequestTimeTooSkewed", "set the clock"),
        (507, "XMinioStorageFull", "free some space"),
        (404, "NoSuchBucket", "make the bucket"),
        (301, "PermanentRedirect", "set region"),
    ],
)
@pytest.mark.parametrize("method", ["put", "create"])
def test_what_needs_a_person_is_said_at_once_with_the_words_of_the_service(
    store, service, clock, status, code, remedy, method
):
    service.fail(status, code, "Words of the server.", where="PUT", times=9)
    with pytest.raises(StoreUnusable, match=f"^s3://farm/st/keys/x: {code}: Words of the server; {remedy}"):
        getattr(store.shelf, method)("keys/x", b"x")
    assert service.num_asked("PUT") == 1
    assert clock.now_s == 0


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (400, "ExpiredToken"), (507, "XMinioStorageFull")])
@pytest.mark.parametrize("name", ["read", "read_many", "sizes", "age_s"])
def test_what_an_answer_to_head_lacks_is_found_by_a_second_question(store, service, status, code, name):
    service.fail(status, where="HEAD", times=9)
    service.fail(status, code, "Words of the server", where="GET", times=9)
    with pytest.raises(StoreUnusable, match=f"^s3://farm/st/objects/.: {code}: Words of the server; "):
        QUESTIONS[name](store.shelf)


def test_an_answer_to_head_that_nothing_explains_says_its_status(store, service):
    service.objects["st/objects/a"] = b"a"
    service.fail(403, where="HEAD")
    with pytest.raises(StoreUnusable, match=r"^s3://farm/st/objects/a: HTTP 403: Forbidden; allow this account"):
        store.shelf.sizes(["objects/a"])


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_a_bucket_that_is_not_there_is_no_empty_store(service, clock, ask):
    shelf = open_store("s3://frm/st", create=False).shelf
    with pytest.raises(StoreUnusable, match=r"^s3://frm/st.*: NoSuchBucket: The specified .* not exist; make the"):
        ask(shelf)
    assert clock.now_s == 0


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.known([A]),
        lambda store: store.lookup(A),
        lambda store: store.keys(),
        lambda store: store.verify(),
    ],
)
def test_a_store_opened_for_reading_says_that_its_bucket_is_not_there(service, ask):
    with pytest.raises(StoreUnusable, match="NoSuchBucket"):
        ask(open_store("s3://frm/st", create=False))


@pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)
def test_what_is_not_in_a_bucket_is_absent(store, ask):
    shelf = store.shelf
    if ask is QUESTIONS["age_s"]:
        assert shelf.age_s("objects/a") is None
    else:
        assert not ask(shelf)


@pytest.mark.parametrize(("status", "retryable"), [(502, True), (403, False)])
@pytest.mark.parametrize("page", [b"<html><p>a proxy</p></html>", b"<html>a proxy", b"a proxy"])
def test_an_answer_that_is_no_xml_says_its_status(store, service, monkeypatch, status, retryable, page):
    monkeypatch.setattr(S3, "error", lambda *args: page)
    service.fail(status, times=99)
    with pytest.raises(StoreError, match=f"^s3://farm/st/objects/x: HTTP {status}[:;]") as caught:
        store.shelf.put("objects/x", b"x")
    assert caught.value.retryable is retryable


def test_words_of_the_service_are_one_line_without_secrets(store, service, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token")
    words = (
        "id AKIAIOSFODNN7EXAMPLE\n and a-session-token\n\n\u202eand http://h/?X-Amz-Signature=abcdef12&x=1 "
        + "long " * 99
    )
    service.fail(403, "SignatureDoesNotMatch", words, where="PUT")
    with pytest.raises(StoreUnusable) as caught:
        store.shelf.put("objects/x", b"x")
    sentence = str(caught.value)
    assert "SignatureDoesNotMatch: id *** and *** and http://h/?X-Amz-Signature=***&x=1 long" in sentence
    assert sentence.isprintable()
    assert len(sentence) < 500
    assert caught.value.__cause__ is None, "a traceback would repeat the words as they came"


def test_credentials_of_the_configuration_are_hidden_too(store, service, monkeypatch):
    import fsspec.config

    monkeypatch.setitem(fsspec.config.conf, "s3", {"key": "minio-farmer", "secret": "minio-secret"})
    shelf = open_store("s3://farm/st", create=False).shelf
    service.fail(403, "InvalidAccessKeyId", "minio-farmer with minio-secret is nobody", where="PUT")
    with pytest.raises(StoreUnusable, match=r"InvalidAccessKeyId: \*\*\* with \*\*\* is nobody; renew"):
        shelf.put("objects/x", b"x")


def test_a_full_disk_of_this_machine_is_not_taken_for_a_full_bucket(store, service, monkeypatch):
    import tempfile

    def refuse(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store.shelf.file_system, "get_file", refuse)
    with pytest.raises(StoreUnusable, match=f"^{tempfile.gettempdir()}/ltx-ray-.*: no space left on the device; "):
        local_bytes(store.shelf, "objects/a")


def test_a_file_of_this_machine_that_is_gone_is_named(store, tmp_path):
    with pytest.raises(StoreUnusable, match=f"^{tmp_path}/gone: "):
        store.shelf.put("objects/x", tmp_path / "gone")
