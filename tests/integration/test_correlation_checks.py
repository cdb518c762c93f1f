"""The queries of checks against the real tables: each runs as it is published."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from libs.storage.clickhouse import ClickHouse
from services.correlation_engine.domain.checks import checks_for
from services.correlation_engine.domain.model import CauseKind, Evidence, EvidenceKind, Hypothesis
from tests.unit.services.correlation_engine.builders import WINDOW

if TYPE_CHECKING:
    from tests.servers import Servers

AWKWARD = "o'neil\\ <*> %s %(x)s"


@pytest.fixture
def clickhouse(stack: Servers) -> Iterator[ClickHouse]:
    opened = ClickHouse(stack.clickhouse_url, 1)
    yield opened
    opened.close()


@pytest.mark.parametrize("service", ["payments", AWKWARD])
@pytest.mark.parametrize("kind", list(EvidenceKind))
def test_the_query_of_every_check_runs(clickhouse: ClickHouse, kind: EvidenceKind, service: str) -> None:
    evidence = Evidence(
        kind, service, "words", 1.0, 0.0, "1", 0.9, WINDOW.onset, WINDOW.end, signature=f"{service} null"
    )
    hypothesis = Hypothesis(1, service, CauseKind.SERVICE_FAULT, "It fails.", 0.8, 0.8, (evidence,))

    (check,) = checks_for(hypothesis, WINDOW, "shop")

    assert clickhouse.query(check.query) == []


def test_a_query_finds_what_it_asks_for(clickhouse: ClickHouse) -> None:
    clickhouse.execute(
        "INSERT INTO gauges_1m (TenantId, Minute, ServiceName, MetricName, ValueSum, ValueCount, ValueMin, ValueMax) "
        "SELECT 'checked', toDateTime(%(at)s), %(service)s, 'container.cpu.utilization', 1.8, 2, 0.8, 1.0",
        {"at": int(WINDOW.onset.timestamp()), "service": AWKWARD},
    )
    kind = EvidenceKind.RESOURCE_SATURATION
    evidence = Evidence(kind, AWKWARD, "words", 1.0, 0.0, "1", 0.9, WINDOW.onset, WINDOW.end)
    hypothesis = Hypothesis(1, AWKWARD, CauseKind.RESOURCE_SATURATION, "It is full.", 0.8, 0.8, (evidence,))

    (check,) = checks_for(hypothesis, WINDOW, "checked")

    rows = clickhouse.query(check.query)
    assert [(row[0], row[2], row[3]) for row in rows] == [("container.cpu.utilization", 1.0, 0.9)]
    (elsewhere,) = checks_for(hypothesis, WINDOW, "other")
    assert clickhouse.query(elsewhere.query) == []


def test_a_query_finds_log_lines_by_words_whatever_stands_between_them(clickhouse: ClickHouse) -> None:
    shapes = (
        "GET <*> failed: price_rule is 100% missing",
        "GET <*> failed: priceXrule is 100 percent missing",
        "other",
    )
    for number, shape in enumerate(shapes):
        clickhouse.execute(
            "INSERT INTO log_signatures_1m (TenantId, Minute, ServiceName, SeverityNumber, SignatureHash, Signature, "
            "Example, Count, FirstSeen, LastSeen) SELECT 'worded', toDateTime(%(at)s), 'catalog', 17, %(number)s, "
            "%(shape)s, '', 3, toDateTime64(%(at)s, 9), toDateTime64(%(at)s, 9)",
            {"at": int(WINDOW.onset.timestamp()), "number": number, "shape": shape},
        )
    evidence = Evidence(
        EvidenceKind.LOG_SIGNATURE, "catalog", "words", 1.0, 0.0, "1", 0.9, WINDOW.onset, WINDOW.end,
        signature="GET failed price_rule 100% missing",
    )  # fmt: skip
    hypothesis = Hypothesis(1, "catalog", CauseKind.SERVICE_FAULT, "It fails.", 0.8, 0.8, (evidence,))

    (check,) = checks_for(hypothesis, WINDOW, "worded")

    assert [(row[2], row[4]) for row in clickhouse.query(check.query)] == [(shapes[0], 3)]
