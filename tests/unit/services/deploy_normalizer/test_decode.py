"""The bytes of a webhook become its JSON object, or a refusal with a reason."""

from __future__ import annotations

import random
from urllib.parse import quote

import pytest

from libs.kernel.errors import InvalidInput
from services.deploy_normalizer.decode import FORM_TYPE, JSON_TYPE, json_object, media_type


@pytest.mark.parametrize("given", ["application/json", "Application/JSON; charset=utf-8", " application/json "])
def test_the_content_type_is_read_without_its_parameters(given: str) -> None:
    assert media_type(given, (JSON_TYPE, FORM_TYPE)) == JSON_TYPE


@pytest.mark.parametrize("given", ["", "text/plain", "application/jsonp", "application/x-protobuf"])
def test_other_content_types_are_refused(given: str) -> None:
    with pytest.raises(InvalidInput, match="application/json") as refused:
        media_type(given, (JSON_TYPE,))
    assert refused.value.reason == "unsupported_content_type"


def test_an_object_is_read_from_json_and_from_githubs_form() -> None:
    text = '{"zen": "Zurückhaltung & mehr"}'
    form = f"payload={quote(text)}".encode()
    assert json_object(text.encode(), JSON_TYPE) == json_object(form, FORM_TYPE) == {"zen": "Zurückhaltung & mehr"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a": 1', b"[]", b"null", b"7", b"\xff\xfe\x00", b"\xc3\x28", b"[" * 100_000, b"{} {}", b"9" * 5000],
    ids=["empty", "brace", "cut", "list", "null", "number", "bom", "not-utf8", "deep", "two", "long-number"],
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        json_object(body, JSON_TYPE)
    assert refused.value.reason == "malformed_json"


@pytest.mark.parametrize(
    "body",
    [b"", b"payload", b"other={}", b"payload={}&payload={}", b"payload=%ff", b"\xff", b"&".join([b"a=1"] * 20)],
)
def test_a_form_without_exactly_one_readable_payload_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        json_object(body, FORM_TYPE)
    assert refused.value.reason == "malformed_form"


def test_random_bytes_are_refused_and_nothing_else_happens() -> None:
    source = random.Random(7)
    for _ in range(500):
        body = source.randbytes(source.randrange(1, 200))
        for media in (JSON_TYPE, FORM_TYPE):
            with pytest.raises(InvalidInput):
                json_object(b"\x00" + body, media)
