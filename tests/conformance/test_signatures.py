"""Webhook signatures against published values."""

from __future__ import annotations

from typing import Any

import pytest

from services.deploy_normalizer.domain.signature import Verdict, check_github
from tests.conformance.vectors import cases


@pytest.mark.parametrize("case", cases("signatures.json", scheme="github"))
def test_githubs_signature_is_judged_as_published(case: dict[str, Any]) -> None:
    headers = {name.lower(): value for name, value in case["headers"].items()}
    verdict = check_github((case["secret"],), case["body"].encode(), headers.get("x-hub-signature-256", ""))
    assert (verdict is Verdict.AUTHENTIC) is case["expect_valid"]
