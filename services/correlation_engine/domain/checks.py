"""What would confirm or refute a hypothesis: for each class of its evidence something to look at, and where.

Queries are ClickHouse SQL over the documented tables, bound to tenant, service and time; they only read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.correlation_engine.domain.model import CauseKind, Evidence, EvidenceKind, Hypothesis, Window

MAX_CHECKS = 6
MAX_WORDS = 12  # of a log line's shape that a query asks for
BEFORE = timedelta(minutes=30)  # of the usual, to compare with
AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at; `confirms` and `refutes` say what to see there if the hypothesis holds or not."""

    kind: EvidenceKind
    service: str
    look_at: str
    confirms: str
    refutes: str
    start: datetime
    end: datetime
    query: str = ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a query is bound to, as SQL literals; `during` is a condition true since the onset."""

    tenant: str
    service: str
    start: str
    end: str
    onset: str
    evidence: Evidence

    def rows(self, column: str) -> str:
        """Return the condition for the tenant's rows of the time, by the column that has it."""
        return f"TenantId = {self.tenant} AND {column} >= {self.start} AND {column} < {self.end}"


@dataclass(frozen=True, slots=True)
class _Kind:
    """The check of one class of evidence; texts have a place for the service."""

    look_at: str
    confirms: str
    refutes: str
    query: Callable[[_Asked], str]


def checks_for(hypothesis: Hypothesis, window: Window, tenant: str) -> tuple[Check, ...]:
    """Return the checks for a hypothesis, at most six, one for each class of evidence, the strongest first.

    A deploy that is the cause comes first of all: undoing it is the surest check there is.
    """
    best: dict[EvidenceKind, Evidence] = {}
    for evidence in sorted(hypothesis.evidence, key=lambda e: -e.strength):
        best.setdefault(evidence.kind, evidence)
    named = hypothesis.cause_kind is CauseKind.DEPLOY
    ordered = sorted(best.values(), key=lambda e: (not (named and e.kind is EvidenceKind.DEPLOY), -e.strength))
    return tuple(_check(evidence, window, tenant) for evidence in ordered[:MAX_CHECKS])


def looked_at(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return the time to show around a time, so that there is something usual to compare with; whole minutes."""
    begin = (start - BEFORE).replace(second=0, microsecond=0)
    return begin, end.replace(second=0, microsecond=0) + AFTER


def quoted(text: str) -> str:
    """Return a text as a ClickHouse string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\x00", "\\0") + "'"


def _check(evidence: Evidence, window: Window, tenant: str) -> Check:
    kind = _KINDS[evidence.kind]
    start, end = looked_at(min(evidence.start, window.onset), max(evidence.end, window.end))
    asked = _Asked(
        quoted(tenant), quoted(evidence.service), _instant(start), _instant(end), _instant(window.onset), evidence
    )
    words = {"service": evidence.service, "onset": f"{window.onset.astimezone(UTC):%H:%M} UTC"}
    return Check(
        evidence.kind,
        evidence.service,
        _said(kind.look_at, words),
        _said(kind.confirms, words),
        _said(kind.refutes, words),
        start,
        end,
        kind.query(asked),
    )


def _said(text: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        text = text.replace(f"<{name}>", value)
    return text


def _instant(instant: datetime) -> str:
    return f"toDateTime('{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}', 'UTC')"


def _failing_spans(asked: _Asked) -> str:
    return (
        "SELECT SpanKind, SpanName, StatusMessage, count() AS Spans, any(TraceId) AS Example\n"
        f"FROM otel_traces WHERE {asked.rows('Timestamp')} AND ServiceName = {asked.service} AND StatusCode = 'Error'\n"
        "GROUP BY SpanKind, SpanName, StatusMessage ORDER BY Spans DESC LIMIT 20"
    )


def _own_time(asked: _Asked) -> str:
    return (
        f"SELECT SpanKind, SpanName, Timestamp >= {asked.onset} AS During, count() AS Spans,\n"
        "    round(quantile(0.95)(Duration) / 1e6, 1) AS P95Ms\n"
        f"FROM otel_traces WHERE {asked.rows('Timestamp')} AND ServiceName = {asked.service}\n"
        "GROUP BY SpanKind, SpanName, During ORDER BY SpanKind, SpanName, During LIMIT 100"
    )


def _gauges(asked: _Asked) -> str:
    return (
        "SELECT MetricName, Minute, max(ValueMax) AS Highest, sum(ValueSum) / sum(ValueCount) AS Mean\n"
        f"FROM gauges_1m WHERE {asked.rows('Minute')} AND ServiceName = {asked.service}\n"
        "GROUP BY MetricName, Minute ORDER BY MetricName, Minute"
    )


def _callers(asked: _Asked) -> str:
    return _edges(asked, f"Server = {asked.service}")


def _both_ends(asked: _Asked) -> str:
    return _edges(asked, f"(Server = {asked.service} OR Client = {asked.service})")


def _edges(asked: _Asked, which: str) -> str:
    return (
        f"SELECT Client, Server, Minute >= {asked.onset} AS During, sum(Calls) AS Made, sum(Errors) AS Failed,\n"
        "    round(sum(ClientDurationSum) / sum(Calls) / 1e6, 1) AS CallerWaitsMs,\n"
        "    round(sum(ServerDurationSum) / sum(Calls) / 1e6, 1) AS CalleeReportsMs\n"
        f"FROM service_edges_1m FINAL WHERE {asked.rows('Minute')} AND {which}\n"
        "GROUP BY Client, Server, During HAVING Made > 0 ORDER BY Client, Server, During"
    )


def _requests(asked: _Asked) -> str:
    return (
        "SELECT Minute, sum(Total) AS Requests, sum(Errors) AS Failed\n"
        f"FROM error_rate_1m WHERE {asked.rows('Minute')} AND ServiceName = {asked.service}\n"
        "    AND SpanKind IN ('Server', 'Consumer') GROUP BY Minute ORDER BY Minute"
    )


def _lines(asked: _Asked) -> str:
    shape = _pattern(asked.evidence.signature)
    like = f"\n    AND Signature LIKE {quoted(shape)}" if shape else ""
    return (
        "SELECT Minute, SeverityNumber, Signature, any(Example) AS ExampleLine, sum(Count) AS Lines\n"
        f"FROM log_signatures_1m WHERE {asked.rows('Minute')} AND ServiceName = {asked.service}{like}\n"
        "GROUP BY Minute, SeverityNumber, SignatureHash, Signature ORDER BY Minute, Lines DESC LIMIT 500"
    )


def _pattern(shape: str) -> str:
    """Return a LIKE pattern for the words of a shape in their order, whatever stands between them; empty for none."""
    words = [word for word in re.split(r"<\*>|\s+", shape) if word][:MAX_WORDS]
    escaped = (word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for word in words)
    return f"%{'%'.join(escaped)}%" if words else ""


def _versions(asked: _Asked) -> str:
    return (
        "SELECT ResourceAttributes['service.version'] AS Version, min(Timestamp) AS First, count() AS Requests,\n"
        "    countIf(StatusCode = 'Error') AS Failed, round(quantile(0.95)(Duration) / 1e6, 1) AS P95Ms\n"
        f"FROM otel_traces WHERE {asked.rows('Timestamp')} AND ServiceName = {asked.service}\n"
        "    AND SpanKind IN ('Server', 'Consumer') GROUP BY Version ORDER BY First"
    )


_KINDS: Mapping[EvidenceKind, _Kind] = {
    EvidenceKind.DEPLOY: _Kind(
        "Failures and latency of <service> by version; then undo the deploy, for one instance first.",
        "Only the new version fails or is slow, and the trouble ends within minutes of undoing it.",
        "The trouble of <service> began before the deploy reached it, or instances of the old version show it too.",
        _versions,
    ),
    EvidenceKind.ERROR_ORIGIN: _Kind(
        "Failing spans of <service>: those it served beside those of its own calls to others.",
        "Spans it served (Server, Consumer) fail without failing Client spans in the same trace.",
        "For nearly every failing request there is a failing Client span to the same service: look there instead.",
        _failing_spans,
    ),
    EvidenceKind.SELF_LATENCY: _Kind(
        "Duration of the requests <service> serves beside that of its calls to others, before and since <onset>.",
        "Served requests (Server) became slower while its own calls (Client) take as long as before.",
        "Its Client spans to one service grew by as much: the time is lost there.",
        _own_time,
    ),
    EvidenceKind.RESOURCE_SATURATION: _Kind(
        "Resource use of <service> against its limit, minute by minute.",
        "Use reaches its limit at about <onset>, stays there while requests suffer, and more of it ends the trouble.",
        "Use was as high on quiet days, or rose only after requests had begun to suffer.",
        _gauges,
    ),
    EvidenceKind.UNHEALTHY_DEPENDENCY: _Kind(
        "Calls to <service> by caller, before and since <onset>.",
        "Every caller sees failures or waiting from the same minute on; a call by hand from elsewhere does, too.",
        "Of several callers only one sees it: the trouble is that caller's, or on the way from it.",
        _callers,
    ),
    EvidenceKind.NETWORK_GAP: _Kind(
        "What callers wait beside what callees report for the same calls, to and from <service>, around <onset>.",
        "Callers wait longer while the callee reports as before: look at the network, proxies and connection pools.",
        "The callee reports the longer time itself: the time is lost in it, not on the way.",
        _both_ends,
    ),
    EvidenceKind.TRAFFIC_CHANGE: _Kind(
        "Requests to <service> by minute.",
        "Requests changed before latency and failures did.",
        "Requests changed after the failures: callers try again, or gave up.",
        _requests,
    ),
    EvidenceKind.LOG_SIGNATURE: _Kind(
        "Log lines of this shape of <service> by minute, and a trace that holds one.",
        "Lines change at <onset>, and the traces that hold them are those that fail.",
        "The same lines come as often on quiet days, or in traces that succeed.",
        _lines,
    ),
    EvidenceKind.LOST_BEHAVIOUR: _Kind(
        "Log lines of <service> by minute: those that used to follow.",
        "The lines stop at <onset> and nothing takes their place: that part of the work is no longer done.",
        "The lines were renamed or their level changed by a deploy, and the work is done all the same.",
        _lines,
    ),
}
