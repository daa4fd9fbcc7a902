"""A webhook: which addresses are one, what is signed, and that neither address nor secret is ever said."""

from __future__ import annotations

import pytest

from ltx_ray.errors import PlanError
from ltx_ray.run import webhook
from ltx_ray.run.options import RenderOptions
from ltx_ray.run.webhook import Webhook, signature
from tests.unit.run.receiver import SECRET, TOKEN, documented_check, receiving

BODY = b'{"id": "1", "type": "video"}'


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"ftp://hooks.example/{TOKEN}", "--notify hooks.example: only http and https are spoken"),
        (f"https://me:{TOKEN}@hooks.example/x", "--notify hooks.example: a user or password does not belong in an"),
        (f"hooks.example/{TOKEN}", "--notify: is no address; write https://HOST/PATH"),
        (f"https:///{TOKEN}", "--notify: is no address"),
        (f"https://hooks.example:{TOKEN}/x", "--notify: is no address"),
        (f"https://[::1/{TOKEN}", "--notify: is no address"),
        (f"https://hooks.example/{TOKEN}\r\nX-Other: 1", "--notify: is no address"),
        (f"https://hooks.example/{TOKEN} and more", "--notify: is no address"),
        (f"https://hooks.example/{TOKEN}\u00e9", "--notify: is no address"),
    ],
)
def test_what_is_no_address_is_bad_input_that_shows_no_more_than_the_host(url, words):
    with pytest.raises(PlanError) as refused:
        Webhook.at(url, {})
    assert str(refused.value).startswith(words) and TOKEN not in str(refused.value)
    assert refused.value.exit_code == 2


def test_neither_address_nor_secret_is_in_what_is_shown_of_it():
    url = f"https://hooks.example/{TOKEN}"
    shown = repr(Webhook.at(url, {webhook.SECRET_VARIABLE: SECRET})) + repr(RenderOptions(notify=url))
    assert TOKEN not in shown and SECRET not in shown and "hooks.example" in shown


def test_a_message_is_signed_with_its_time_and_the_check_of_the_docs_takes_it():
    with receiving() as receiver:
        assert Webhook.at(receiver.url, {webhook.SECRET_VARIABLE: SECRET}).post(BODY) is None
        assert Webhook.at(receiver.url, {webhook.SECRET_VARIABLE: "another"}).post(BODY) is None
        assert Webhook.at(receiver.url, {}).post(BODY) is None
    assert len(receiver.taken()) == 3 and receiver.refused == [BODY.decode()] * 2


def test_the_check_of_the_docs_refuses_other_bytes_and_old_times():
    import time

    is_ours, now = documented_check(), str(int(time.time()))

    def headers(sent_at, body):
        return {"X-Ltx-Ray-Time": sent_at, "X-Ltx-Ray-Signature": signature(SECRET.encode(), sent_at, body)}

    assert is_ours(headers(now, BODY), BODY, SECRET)
    assert not is_ours(headers(now, BODY), BODY + b" ", SECRET)
    assert not is_ours(headers(now, BODY) | {"X-Ltx-Ray-Time": str(int(now) - 1)}, BODY, SECRET)
    assert not is_ours(headers(str(int(now) - 3600), BODY), BODY, SECRET)
    assert not is_ours({}, BODY, SECRET)


@pytest.mark.parametrize("status", [301, 307, 404, 429, 500])
def test_whatever_is_no_success_is_no_acknowledgement_and_no_redirect_is_followed(status):
    with receiving((status,)) as receiver:
        assert Webhook.at(receiver.url, {}).post(BODY) == f"127.0.0.1 answered {status}"
    assert len(receiver.got) == 1


def test_a_receiver_that_hangs_or_is_not_there_is_left_with_its_host_alone(monkeypatch):
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.1)
    with receiving(hangs=True) as receiver:
        assert Webhook.at(receiver.url, {}).post(BODY) == "127.0.0.1 did not answer within 0.1 s"
    assert Webhook.at(f"http://127.0.0.1:9/{TOKEN}", {}).post(BODY) == "127.0.0.1 cannot be reached: Connection refused"
