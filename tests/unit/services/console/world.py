"""A shop with an outage, behind in-memory ports: what route and browser tests show pages of.

`python -m tests.unit.services.console.world` serves it on 127.0.0.1:8090 to be looked at.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.correlation.v1 import correlation_events_pb2 as correlation_events
from incidentscope.correlation.v1 import correlation_pb2 as correlation
from incidentscope.deploy.v1 import deploy_pb2
from incidentscope.deploy.v1 import deploy_service_pb2 as deploy_contract
from incidentscope.incident.v1 import incident_pb2
from incidentscope.incident.v1 import incident_service_pb2 as contract
from starlette.types import ASGIApp

from libs.access.tenants import TenantRegistry
from libs.kernel.clock import Clock
from libs.kernel.errors import Unavailable
from libs.kernel.ids import uuid7
from libs.kernel.timewindow import TimeWindow, floor_minute
from libs.runtime.health import Health
from services.console.adapters import http
from services.console.domain.models import Edge, LogSignature, MinuteHealth, ServiceSummary
from services.console.handlers.live import Change, LiveFeed
from services.console.ports import RefusalReason, Refused

TENANT = "shop"
KEY = "test-key"
CALLS = (
    ("web", "frontend", 900), ("mobile", "frontend", 600), ("frontend", "catalog", 800), ("frontend", "cart", 500),
    ("frontend", "checkout", 220), ("frontend", "recommendations", 400), ("recommendations", "catalog", 380),
    ("checkout", "cart", 220), ("checkout", "payments", 210), ("checkout", "shipping", 190), ("checkout", "inventory", 215),
    ("payments", "payments-db", 420), ("payments", "fraud", 210), ("catalog", "catalog-db", 1200), ("cart", "redis", 1000),
    ("inventory", "inventory-db", 430), ("shipping", "quotes", 190), ("orders", "inventory", 60), ("checkout", "orders", 205),
)  # fmt: skip
VIRTUAL = {"payments-db", "catalog-db", "redis", "inventory-db"}
FAILING = {"payments": 0.31, "checkout": 0.28, "frontend": 0.042, "web": 0.04}


class ListClock:
    """A clock fixed at construction, moved by hand."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """Return the instant it stands at."""
        return self.at


def stamp(at: datetime) -> Timestamp:
    """Return a protobuf timestamp."""
    made = Timestamp()
    made.FromDatetime(at)
    return made


class MemoryIncidents:
    """An incident service in memory; `down` makes it silent."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.down = False
        self.no_analysis = False
        self.kept: dict[tuple[str, str], incident_pb2.Incident] = {}
        self.entries: dict[str, list[incident_pb2.TimelineEntry]] = {}
        self.analyses: dict[str, correlation_events.HypothesesPublished] = {}

    def add(self, tenant: str, title: str, began: datetime, **more: object) -> incident_pb2.Incident:
        """Keep a new incident and return it."""
        opened = began + timedelta(minutes=2)
        made = incident_pb2.Incident(
            id=uuid7(opened), tenant_id=tenant, title=title, status=incident_pb2.INCIDENT_STATUS_OPEN,
            started_at=stamp(began), opened_at=stamp(opened), version=1, **more,  # type: ignore[arg-type]
        )  # fmt: skip
        self.kept[tenant, made.id] = made
        self.note(made.id, incident_pb2.TIMELINE_KIND_STATE_CHANGE, opened, "incident_service", "Opened by an alert.")
        return made

    def note(self, incident_id: str, kind: int, at: datetime, actor: str, text: str, url: str = "") -> None:
        """Write a timeline entry."""
        entry = incident_pb2.TimelineEntry(
            id=uuid7(at),
            incident_id=incident_id,
            kind=kind,
            occurred_at=stamp(at),
            actor=actor,
            text=text,
            url=url,  # type: ignore[arg-type]
        )
        self.entries.setdefault(incident_id, []).append(entry)

    def _find(self, tenant: str, incident_id: str) -> incident_pb2.Incident:
        self._answer()
        if (tenant, incident_id) not in self.kept:
            raise Refused(RefusalReason.NOT_FOUND, "There is no such incident.")
        return self.kept[tenant, incident_id]

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("The incident service does not answer.")

    async def open(self, tenant: str, request: contract.OpenIncidentRequest) -> contract.OpenIncidentResponse:
        """Open an incident by hand."""
        self._answer()
        if not request.title or not request.actor:
            raise Refused(RefusalReason.INVALID_ARGUMENT, "title and actor are required")
        made = self.add(tenant, request.title, self.clock.now(), severity=request.severity, services=request.services)
        return contract.OpenIncidentResponse(incident=made)

    async def get(self, tenant: str, request: contract.GetIncidentRequest) -> contract.GetIncidentResponse:
        """Return one incident."""
        return contract.GetIncidentResponse(incident=self._find(tenant, request.id))

    async def list(self, tenant: str, request: contract.ListIncidentsRequest) -> contract.ListIncidentsResponse:
        """List incidents, newest first, two pages at most."""
        self._answer()
        if request.page_token not in ("", "second"):
            raise Refused(RefusalReason.INVALID_ARGUMENT, "unknown page_token")
        mine = [i for (t, _), i in self.kept.items() if t == tenant]
        wanted = [i for i in mine if not request.statuses or i.status in request.statuses]
        wanted.sort(key=lambda i: i.id, reverse=True)
        size = request.page_size or 50
        page = wanted[size:] if request.page_token else wanted[:size]
        more = "second" if not request.page_token and len(wanted) > size else ""
        return contract.ListIncidentsResponse(incidents=page, next_page_token=more)

    def _move(self, tenant: str, incident_id: str, version: int, to: int) -> incident_pb2.Incident:
        found = self._find(tenant, incident_id)
        if version and version != found.version:
            raise Refused(RefusalReason.ABORTED, f"The incident has version {found.version}, not {version}.")
        if found.status >= to:
            raise Refused(RefusalReason.FAILED_PRECONDITION, "The incident is not open any more.")
        found.status = to  # type: ignore[assignment]
        found.version += 1
        return found

    async def acknowledge(
        self, tenant: str, request: contract.AcknowledgeIncidentRequest
    ) -> contract.AcknowledgeIncidentResponse:
        """Take an incident."""
        to = incident_pb2.INCIDENT_STATUS_ACKNOWLEDGED
        found = self._move(tenant, request.id, request.expected_version, to)
        found.acknowledged_by = request.actor
        found.acknowledged_at.CopyFrom(stamp(self.clock.now()))
        text = f"Acknowledged by {request.actor}."
        self.note(found.id, incident_pb2.TIMELINE_KIND_STATE_CHANGE, self.clock.now(), request.actor, text)
        return contract.AcknowledgeIncidentResponse(incident=found)

    async def resolve(self, tenant: str, request: contract.ResolveIncidentRequest) -> contract.ResolveIncidentResponse:
        """End an incident."""
        found = self._move(tenant, request.id, request.expected_version, incident_pb2.INCIDENT_STATUS_RESOLVED)
        found.resolved_by = request.actor
        found.resolved_at.CopyFrom(stamp(self.clock.now()))
        text = f"Resolved by {request.actor}. {request.resolution}"
        self.note(found.id, incident_pb2.TIMELINE_KIND_STATE_CHANGE, self.clock.now(), request.actor, text)
        return contract.ResolveIncidentResponse(incident=found)

    async def add_note(self, tenant: str, request: contract.AddNoteRequest) -> contract.AddNoteResponse:
        """Write a note."""
        self._find(tenant, request.id)
        self.note(request.id, incident_pb2.TIMELINE_KIND_NOTE, self.clock.now(), request.actor, request.text)
        return contract.AddNoteResponse(entry=self.entries[request.id][-1])

    async def timeline(self, tenant: str, request: contract.ListTimelineRequest) -> contract.ListTimelineResponse:
        """List the timeline."""
        self._find(tenant, request.id)
        return contract.ListTimelineResponse(entries=self.entries[request.id])

    async def hypotheses(self, tenant: str, request: contract.GetHypothesesRequest) -> contract.GetHypothesesResponse:
        """Return the analysis."""
        self._find(tenant, request.id)
        if request.id not in self.analyses or self.no_analysis:
            raise Refused(RefusalReason.NOT_FOUND, "There is no analysis yet.")
        return contract.GetHypothesesResponse(analysis=self.analyses[request.id])


class MemoryDeploys:
    """A deploy service in memory."""

    def __init__(self) -> None:
        self.down = False
        self.kept: list[deploy_pb2.Deploy] = []

    def add(self, id: str, service: str, version: str, at: datetime, url: str) -> None:
        """Keep a deploy."""
        self.kept.append(
            deploy_pb2.Deploy(
                id=id, tenant_id=TENANT, service=service, environment="production", version=version,
                revision="9f8e7d6c5b4a39281706f5e4d3c2b1a098765432", status=deploy_pb2.DEPLOY_STATUS_SUCCEEDED,
                provider=deploy_pb2.PROVIDER_GITHUB, repository=f"shop/{service}", actor="mara", url=url,
                started_at=stamp(at), finished_at=stamp(at + timedelta(minutes=1)),
            )
        )  # fmt: skip

    async def list(
        self, tenant: str, request: deploy_contract.ListDeploysRequest
    ) -> deploy_contract.ListDeploysResponse:
        """List deploys of a window."""
        if self.down:
            raise Unavailable("The deploy service does not answer.")
        start, end = request.start_time.ToDatetime(UTC), request.end_time.ToDatetime(UTC)
        found = [
            d
            for d in self.kept
            if d.tenant_id == tenant
            and (not request.services or d.service in request.services)
            and start <= d.started_at.ToDatetime(UTC) < end
        ]
        return deploy_contract.ListDeploysResponse(deploys=sorted(found, key=lambda d: -d.started_at.seconds))


class MemoryTelemetry:
    """Rollups of the shop: steady until `onset`, then payments fails and its callers with it."""

    def __init__(self, onset: datetime, now: datetime) -> None:
        self.onset, self.now = onset, now
        self.down = False
        self.empty = False

    def _check(self) -> None:
        if self.down:
            raise Unavailable("ClickHouse does not answer.")

    def _minutes(self, service: str, window: TimeWindow, by_callers: bool) -> list[MinuteHealth]:
        at, found = floor_minute(window.start), []
        base = 12 + 9 * (len(service) % 7)
        while at < min(window.end, self.now):
            n = int(at.timestamp()) // 60
            wobble = 1 + 0.12 * math.sin(n * 1.7 + len(service)) + 0.06 * math.sin(n * 0.37)
            since = (at - self.onset) / timedelta(minutes=1)
            hurt = FAILING.get(service, 0.0) * min(max(since + 1, 0) / 3, 1)
            slow = 1 + 60 * hurt * (service == "payments") + 22 * hurt * (service != "payments")
            calls = int(220 * wobble)
            noise = 1 if n % 11 == 0 else 0
            found.append(MinuteHealth(service, at, calls, int(calls * hurt) + noise, base * wobble * slow, by_callers))
            at += timedelta(minutes=1)
        return found

    async def health(self, tenant: str, services: Sequence[str], window: TimeWindow) -> list[MinuteHealth]:
        """Return the minutes of instrumented services."""
        self._check()
        own = [s for s in services if s not in VIRTUAL and tenant == TENANT and not self.empty and _exists(s)]
        return [m for s in own for m in self._minutes(s, window, False)]

    async def health_seen_by_callers(
        self, tenant: str, services: Sequence[str], window: TimeWindow
    ) -> list[MinuteHealth]:
        """Return the minutes of databases."""
        self._check()
        return [m for s in services if s in VIRTUAL and not self.empty for m in self._minutes(s, window, True)]

    async def edges(self, tenant: str, window: TimeWindow) -> list[Edge]:
        """Return who calls whom."""
        self._check()
        if self.empty or tenant != TENANT:
            return []
        minutes = window.duration / timedelta(minutes=1)
        return [self._edge(a, b, int(n * minutes)) for a, b, n in CALLS]

    @staticmethod
    def _edge(a: str, b: str, calls: int) -> Edge:
        failing = b in FAILING and a in FAILING | {"mobile": 0.04}
        errors = int(calls * FAILING[b]) if failing else 0
        kind = "database" if b in VIRTUAL else "http"
        return Edge(a, b, kind, b not in VIRTUAL, calls, errors, 240.0 if failing else 9.5)

    async def signatures(self, tenant: str, service: str, window: TimeWindow, limit: int) -> list[LogSignature]:
        """Return log shapes."""
        self._check()
        if self.empty or tenant != TENANT or not _exists(service):
            return []
        at = self.onset
        return [
            LogSignature(
                17, "NullPointerException: card token of <*> is null", "card token of 4711 is null", 812, at, at
            ),
            LogSignature(13, "retrying charge <*> after <*> ms", "retrying charge 12 after 200 ms", 2310, at, at),
            LogSignature(9, "charged <*> in <*> ms", "charged 12 in 31 ms", 48211, window.start, window.start),
        ][:limit]

    async def services(self, tenant: str, window: TimeWindow) -> list[ServiceSummary]:
        """Return the shop's services."""
        self._check()
        if self.empty or tenant != TENANT:
            return []
        names = sorted({n for a, b, _ in CALLS for n in (a, b)} - VIRTUAL)
        minutes = {n: self._minutes(n, window, False) for n in names}
        return [
            ServiceSummary(n, sum(m.calls for m in ms), sum(m.errors for m in ms), ms[-1].latency_ms, ms[-1].minute)
            for n, ms in minutes.items()
        ]


def _exists(service: str) -> bool:
    return any(service in (a, b) for a, b, _ in CALLS)


def evidence(
    kind: int, service: str, statement: str, observed: float, baseline: float, unit: str, at: datetime
) -> Message:
    """Return one piece of evidence over ten minutes from an instant."""
    return correlation.Evidence(
        kind=kind, service=service, statement=statement, observed=observed, baseline=baseline, unit=unit, strength=0.9,  # type: ignore[arg-type]
        start_time=stamp(at), end_time=stamp(at + timedelta(minutes=10)),
        url=f"http://127.0.0.1:8090/services/{service}?from={at:%Y-%m-%dT%H:%M:%SZ}",
    )  # fmt: skip


def bad_deploy(incident_id: str, onset: datetime, named: bool = True) -> correlation_events.HypothesesPublished:
    """Return the analysis of the shop's outage."""
    first = correlation.Hypothesis(
        rank=1, service="payments", cause_kind=correlation.CAUSE_KIND_DEPLOY, score=8.1, confidence=0.87,
        statement="payments v2.31.0 was deployed 2 minutes before its errors began, and errors of its callers follow from it.",
        chain=["payments", "checkout", "frontend"], impacted_services=["checkout", "frontend", "web"], deploy_id="d1",
        evidence=[
            evidence(correlation.EVIDENCE_KIND_ERROR_ORIGIN, "payments", "Errors begin in payments itself, not in anything it calls", 0.31, 0.0012, "1", onset),
            evidence(correlation.EVIDENCE_KIND_DEPLOY, "payments", "v2.31.0 went to production shortly before onset", 2, 0, "min", onset),
            evidence(correlation.EVIDENCE_KIND_LOG_SIGNATURE, "payments", "New log line: NullPointerException: card token of <*> is null", 81.2, 0, "{record}/min", onset),
            evidence(correlation.EVIDENCE_KIND_SELF_LATENCY, "payments", "Time spent in payments itself rose", 812, 41.3, "ms", onset),
        ],
    )  # fmt: skip
    second = correlation.Hypothesis(
        rank=2, service="inventory-db", cause_kind=correlation.CAUSE_KIND_SLOW_DEPENDENCY, score=1.9, confidence=0.07,
        statement="inventory-db answers inventory 1.4 times slower than before.",
        chain=["inventory-db", "inventory", "checkout"], impacted_services=["inventory"],
        evidence=[
            evidence(correlation.EVIDENCE_KIND_UNHEALTHY_DEPENDENCY, "inventory-db", "Callers wait longer", 14.2, 10.1, "ms", onset)
        ],
    )  # fmt: skip
    third = correlation.Hypothesis(
        rank=3, service="recommendations", cause_kind=correlation.CAUSE_KIND_RESOURCE_SATURATION, confidence=0.03,
        statement="recommendations runs at 71 % of its CPU limit, as it did before.",
        evidence=[
            evidence(correlation.EVIDENCE_KIND_RESOURCE_SATURATION, "recommendations", "CPU use", 0.71, 0.69, "1", onset)
        ],
    )  # fmt: skip
    verdict = correlation.VERDICT_CAUSE_NAMED if named else correlation.VERDICT_NOT_ENOUGH_EVIDENCE
    return correlation_events.HypothesesPublished(
        tenant_id=TENANT, incident_id=incident_id, version=2, analysed_at=stamp(onset + timedelta(minutes=5)),
        onset_at=stamp(onset), window_start_time=stamp(onset), window_end_time=stamp(onset + timedelta(minutes=10)),
        verdict=verdict, hypotheses=[third, first, second],
        reason="payments clears the threshold with 4 kinds of evidence." if named else "Nothing stands out.",
    )  # fmt: skip


class World:
    """The shop, its outage, and the console in front of it."""

    def __init__(self, folder: Path, now: datetime | None = None, anonymous: str = TENANT, empty: bool = False) -> None:
        self.now = now or datetime.now(UTC)
        self.clock = ListClock(self.now)
        self.onset = floor_minute(self.now - timedelta(minutes=19))
        self.incidents = MemoryIncidents(self.clock)
        self.deploys = MemoryDeploys()
        self.telemetry = MemoryTelemetry(self.onset, self.now)
        self.feed = LiveFeed()
        self.tenants = registry(folder, anonymous)
        self.telemetry.empty = empty
        if not empty:
            self._outage()
            self._history()

    def _outage(self) -> None:
        self.main = self.incidents.add(
            TENANT, "checkout: error rate 28 % (threshold 5 %)", self.onset,
            severity=incident_pb2.INCIDENT_SEVERITY_CRITICAL, services=["checkout", "frontend"],
            group_key="{service=checkout}",
        )  # fmt: skip
        at = self.onset + timedelta(minutes=2)
        alert, note = incident_pb2.TIMELINE_KIND_ALERT, incident_pb2.TIMELINE_KIND_NOTE
        self.incidents.note(self.main.id, alert, at, "alert_router", "checkout: error rate 28 % for 2 minutes")
        self.incidents.note(
            self.main.id, alert, at + timedelta(minutes=1), "alert_router", "frontend: error rate 4.2 %"
        )
        text = "Likely cause: payments (bad deploy), 87 % confident."
        kind = incident_pb2.TIMELINE_KIND_HYPOTHESIS
        self.incidents.note(self.main.id, kind, at + timedelta(minutes=3), "correlation_engine", text)
        text = "Looked at payments: stack traces since the deploy.\nRolling back."
        self.incidents.note(self.main.id, note, at + timedelta(minutes=6), "Ana", text)
        self.incidents.analyses[self.main.id] = bad_deploy(self.main.id, self.onset)
        page = "https://github.com/shop/payments/deployments/1"
        self.deploys.add("d1", "payments", "v2.31.0", self.onset - timedelta(minutes=2), page)
        self.deploys.add("d2", "recommendations", "v1.9.2", self.onset - timedelta(minutes=21), "")
        self.deploys.add("d3", "quotes", "2026-11-21.4", self.onset - timedelta(minutes=95), "")

    def _history(self) -> None:
        titles = (
            "cart: p95 latency 1.2 s (threshold 500 ms)",
            '<script>alert(1)</script> & "quotes"',
            "quotes: no calls for 10 minutes",
        )
        for n, title in enumerate(titles, start=1):
            began = self.now - timedelta(hours=7 * n * n)
            made = self.incidents.add(
                TENANT, title, began, severity=3 - n if n < 3 else 0, services=[title.partition(":")[0][:20]],
            )  # fmt: skip
            made.status = [2, 3, 3][n - 1]  # type: ignore[assignment]
            if made.status == incident_pb2.INCIDENT_STATUS_RESOLVED:
                made.resolved_at.CopyFrom(stamp(began + timedelta(minutes=37)))
                made.resolved_by = "alertmanager"

    def app(self) -> ASGIApp:
        """Return the console of this world."""
        health = Health("console")
        health.started()
        return http.build(
            self.incidents, self.deploys, self.telemetry, self.feed, self.tenants, self.clock, health.routes()
        )

    def tell(self, kind: str, subject: str, topic: str = "incidents.events") -> None:
        """Announce a change, from any thread."""
        self.feed.announce_from_thread(Change(TENANT, topic, kind, subject))


def registry(folder: Path, anonymous: str) -> TenantRegistry:
    """Return a registry of two tenants; the shop has a key."""
    import hashlib

    digest = hashlib.sha256(KEY.encode()).hexdigest()
    path = folder / "tenants.json"
    path.write_text(json.dumps({"tenants": [{"id": TENANT, "api_keys_sha256": [digest]}, {"id": "other"}]}))
    return TenantRegistry(path, anonymous, trust_header=True)


async def _serve() -> None:
    import sys
    import tempfile

    import uvicorn

    world = World(Path(tempfile.mkdtemp()), empty="--empty" in sys.argv)
    world.feed.open()
    world.feed.set_connected(True)
    await uvicorn.Server(uvicorn.Config(world.app(), port=8090, log_level="warning", lifespan="off")).serve()


if __name__ == "__main__":
    asyncio.run(_serve())
