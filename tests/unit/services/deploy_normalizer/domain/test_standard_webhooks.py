"""Standard Webhooks signatures and plain tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.deploy_normalizer.domain.signature import Verdict, check_token
from services.deploy_normalizer.domain.standard_webhooks import SignedHeaders, check_standard, standard_signature

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = b'{"object_kind":"deployment"}'
STAMP = str(int(NOW.timestamp()))
SIGNED = SignedHeaders("msg_1", STAMP, standard_signature(SECRET, "msg_1", STAMP, BODY))


def test_the_signature_is_over_id_time_and_body_with_the_decoded_secret() -> None:
    expected = hmac.new(KEY, b"msg_1." + STAMP.encode() + b"." + BODY, hashlib.sha256).digest()

    assert SIGNED.signature == "v1," + base64.b64encode(expected).decode()


def test_a_right_signature_is_authentic_beside_others_and_while_secrets_rotate() -> None:
    among_others = replace(SIGNED, signature=f"v1a,AAAA v1,AAAA {SIGNED.signature}")

    assert check_standard(["older", SECRET], BODY, among_others, NOW) is Verdict.AUTHENTIC


@pytest.mark.parametrize("off", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_a_right_signature_of_another_time_is_expired(off: timedelta) -> None:
    assert check_standard([SECRET], BODY, SIGNED, NOW + off) is Verdict.EXPIRED
    assert check_standard([SECRET], BODY, SIGNED, NOW + off * (300 / 301)) is Verdict.AUTHENTIC


@pytest.mark.parametrize(
    "changed", [{"id": "msg_2"}, {"timestamp": str(int(STAMP) + 1)}, {"signature": "v1,AAAA"}, {"signature": "v1,é"}]
)
def test_a_changed_header_does_not_match(changed: dict[str, str]) -> None:
    assert check_standard([SECRET], BODY, replace(SIGNED, **changed), NOW) is Verdict.MISMATCH


@pytest.mark.parametrize(
    "changed", [{"signature": "sha256=00"}, {"timestamp": "soon"}, {"timestamp": "²"}, {"timestamp": "9" * 5000}]
)
def test_a_header_of_another_form_is_malformed(changed: dict[str, str]) -> None:
    assert check_standard([SECRET], BODY, replace(SIGNED, **changed), NOW) is Verdict.MALFORMED


@pytest.mark.parametrize("absent", [{"id": ""}, {"timestamp": ""}, {"signature": ""}])
def test_an_absent_header_is_missing(absent: dict[str, str]) -> None:
    assert check_standard([SECRET], BODY, replace(SIGNED, **absent), NOW) is Verdict.MISSING


def test_without_a_secret_nothing_is_authentic() -> None:
    assert check_standard([], BODY, SIGNED, NOW) is Verdict.NOT_CONFIGURED
    assert check_token([], "token") is Verdict.NOT_CONFIGURED


def test_a_secret_that_is_not_base64_is_said_to_be_wrong() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        check_standard(["whsec_?"], BODY, SIGNED, NOW)


def test_a_token_is_one_of_the_live_ones_or_refused() -> None:
    assert check_token(["old", "new"], "new") is Verdict.AUTHENTIC
    assert check_token(["old", "new"], "nw") is Verdict.MISMATCH
    assert check_token(["old"], "é") is Verdict.MISMATCH
    assert check_token(["old"], "") is Verdict.MISSING
