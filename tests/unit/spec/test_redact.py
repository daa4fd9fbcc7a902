from __future__ import annotations

import pytest

from ltx_ray.spec.redact import redact


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("s3://AKIA:wJalrXUt@bucket/key", "s3://***@bucket/key"),
        ("s3://AKIA:wJal/K7MD/bPx@bucket/key", "s3://***@bucket/key"),
        ("http://host:8080/fox@2x.png", "http://host:8080/fox@2x.png"),
        ("no file at 's3://a:b@c@host/x' today", "no file at 's3://***@host/x' today"),
        ("https://x.com/a?X-Amz-Signature=abc&size=3", "https://x.com/a?X-Amz-Signature=***&size=3"),
        ("https://x.com/a?v=1&sig=abc", "https://x.com/a?v=1&sig=***"),
        ("gs://bucket/fox@2x.png and me@home.net", "gs://bucket/fox@2x.png and me@home.net"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_credentials_in_a_uri_are_hidden_and_the_rest_stays(text, kept):
    assert redact(text, {}) == kept


def test_values_of_secret_variables_are_hidden_wherever_they_stand():
    environ = {"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI", "HF_TOKEN": "hf_longer_token", "HOME": "/home/fox"}
    assert redact("wJalrXUtnFEMI in /home/fox, hf_longer_token!", environ) == "*** in /home/fox, ***!"


def test_the_address_of_a_webhook_is_hidden():
    environ = {"LTX_RAY_NOTIFY_URL": "https://hooks.example/T0KEN"}
    assert redact("POST https://hooks.example/T0KEN failed", environ) == "POST *** failed"


@pytest.mark.parametrize(
    "name",
    [
        "RAY_AUTH_TOKEN_PATH",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "secret_dir",
    ],
)
def test_the_place_of_a_secret_is_shown_and_the_secret_is_not(name):
    environ = {name: "/etc/farm/token.json", "RAY_AUTH_TOKEN": "0badc0de0badc0de"}
    told = "/etc/farm/token.json: cannot be read; 0badc0de0badc0de"
    assert redact(told, environ) == "/etc/farm/token.json: cannot be read; ***"


def test_a_key_where_its_place_belongs_is_hidden():
    key = '{"private_key": "MIIEvQIBADANBg"}'
    assert redact(f"File {key} was not found", {"GOOGLE_APPLICATION_CREDENTIALS": key}) == "File *** was not found"


@pytest.mark.parametrize("name", ["GOOGLE_CREDENTIALS", "TOKEN_FILE_KEY", "PATH_TOKEN", "FILE_PASSWORD"])
def test_a_secret_of_a_place_is_still_a_secret(name):
    assert redact("it is 0badc0de0badc0de", {name: "0badc0de0badc0de"}) == "it is ***"


def test_short_values_are_no_secrets():
    assert redact("a test of 1", {"MY_TOKEN": "test", "API_KEY": "1"}) == "a test of 1"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the key AKIAIOSFODNN7EXAMPLE is unknown", "the key *** is unknown"),
        ("Credential=ASIAIOSFODNN7EXAMPLE/2026/s3, Signature=0badc0de0badc0de", "Credential=***, Signature=***"),
        ("x-amz-security-token:FwoGZXIvYXdz\nhost:h", "x-amz-security-token:***\nhost:h"),
        ('{"x-amz-security-token": "FwoGZXIvYXdz"}', '{"x-amz-security-token": "***"}'),
        ("GET /o?a=1&amp;X-Goog-Signature=0badc0de&amp;b=2", "GET /o?a=1&amp;X-Goog-Signature=***&amp;b=2"),
        ("<AWSAccessKeyId>farmer</AWSAccessKeyId><Code>c</Code>", "<AWSAccessKeyId>***</AWSAccessKeyId><Code>c</Code>"),
        ("<StringToSign>AWS4\n2026</StringToSign>", "<StringToSign>***</StringToSign>"),
        ("authorization: Basic Zm9vOmJhcg==", "authorization: Basic ***"),
        ("Bearer ya29.a0AfH6SMBx is not valid", "Bearer *** is not valid"),
    ],
)
def test_what_a_service_repeats_of_a_signed_request_is_hidden(text, shown):
    assert redact(text, {}) == shown


@pytest.mark.parametrize(
    "text",
    [
        "The request signature we calculated does not match the signature you provided. Check your key.",
        f"s3://farm/st/objects/ab/{'ab' * 32}: the credential is of AKIA",
        "the bearer of bad news: signature: none",
    ],
)
def test_words_about_secrets_are_no_secrets(text):
    assert redact(text, {}) == text
