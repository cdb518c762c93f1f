"""A webhook is authentic, or the verdict says why not."""

from __future__ import annotations

import pytest

from services.deploy_normalizer.domain.signature import Verdict, check_authorization, check_github, github_signature

BODY = b'{"zen": "\xc3\xa9"}'
GOOD = github_signature("s", BODY)


@pytest.mark.parametrize(
    ("secrets", "header", "verdict"),
    [
        (("s",), GOOD, Verdict.AUTHENTIC),
        (("new", "s"), GOOD, Verdict.AUTHENTIC),
        (("other",), GOOD, Verdict.MISMATCH),
        (("s",), "", Verdict.MISSING),
        (("s",), GOOD.removeprefix("sha256="), Verdict.MALFORMED),
        (("s",), GOOD.replace("sha256", "sha1"), Verdict.MALFORMED),
        (("s",), GOOD[:-1], Verdict.MALFORMED),
        (("s",), "sha256=" + "é" * 64, Verdict.MALFORMED),
        (("s",), "sha256=" + "0" * 64, Verdict.MISMATCH),
        ((), GOOD, Verdict.NOT_CONFIGURED),
    ],
)
def test_githubs_signature_is_checked(secrets: tuple[str, ...], header: str, verdict: Verdict) -> None:
    assert check_github(secrets, BODY, header) is verdict


def test_one_changed_byte_spoils_the_signature() -> None:
    assert check_github(("s",), BODY + b" ", GOOD) is Verdict.MISMATCH


@pytest.mark.parametrize(
    ("tokens", "header", "verdict"),
    [
        (("t",), "Bearer t", Verdict.AUTHENTIC),
        (("t",), "bearer  t ", Verdict.AUTHENTIC),
        (("new", "t"), "Bearer t", Verdict.AUTHENTIC),
        (("t",), "Bearer T", Verdict.MISMATCH),
        (("t",), "Bearer ", Verdict.MALFORMED),
        (("t",), "Basic YXJnb2NkOnQ=", Verdict.AUTHENTIC),
        (("t",), "Basic YXJnb2NkOlQ=", Verdict.MISMATCH),
        (("t",), "Token t", Verdict.AUTHENTIC),
        (("t",), "t", Verdict.AUTHENTIC),
        (("t",), "Digest username=t", Verdict.MALFORMED),
        (("t",), "Bearer \u0101", Verdict.MISMATCH),
        (("t",), "Basic t", Verdict.MALFORMED),
        (("t",), "", Verdict.MISSING),
        ((), "Bearer t", Verdict.NOT_CONFIGURED),
    ],
)
def test_a_token_is_checked_in_any_scheme(tokens: tuple[str, ...], header: str, verdict: Verdict) -> None:
    assert check_authorization(tokens, header) is verdict
