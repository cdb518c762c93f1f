"""The story: history, deploys, the outage live, what the suite says about it, and whether that is right."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from incidentscope.correlation.v1.correlation_events_pb2 import HypothesesPublished
from incidentscope.correlation.v1.correlation_pb2 import VERDICT_CAUSE_NAMED

from libs.kernel import quantities
from libs.storage.clickhouse import ClickHouse
from scripts.demo import scenario as sc
from scripts.demo.doors import Addresses, GitHub, Incidents, Otlp, rows_stored
from scripts.demo.telemetry import Exporter
from scripts.demo.traffic import Shop

NOT_YET = datetime.max.replace(tzinfo=UTC)
CHUNK = timedelta(seconds=20)
TICK_SECONDS = 2.0
SETTLE_SECONDS = 15.0  # a few healthy seconds before the onset
STORED_SECONDS = 120.0
MIN_EVIDENCE_SECONDS = 45.0  # after the incident opened: an early answer may still change
QUIET_SECONDS = 90.0  # how long "no outage" must stay without an incident


@dataclass(frozen=True, slots=True)
class Options:
    """How long and how much."""

    history: timedelta
    requests_per_second: float
    patience_seconds: float
    console_url: str


@dataclass(frozen=True, slots=True)
class Ending:
    """What the suite said in the end. `rank` is the expected cause's place, 0 when it is not among them."""

    named: str
    expected: str
    rank: int
    links: tuple[str, ...] = ()  # the pages to open

    @property
    def right(self) -> bool:
        """Tell whether the suite was right: the cause first, or nothing named where nothing happened."""
        return self.named == self.expected


def judge(analyses: Iterable[HypothesesPublished], expected: str) -> Ending:
    """Return what the last analyses of all incidents come to.

    One wrong name is a wrong ending, whatever else was named. An incident that is said to be about nothing names none:
    beside an outage there can be a false alarm.
    """
    named = [a for a in analyses if a.verdict == VERDICT_CAUSE_NAMED]
    wrong = [a for a in named if a.hypotheses[0].service != expected]
    for analysis in wrong or named:
        rank = next((h.rank for h in analysis.hypotheses if h.service == expected), 0)
        return Ending(analysis.hypotheses[0].service, expected, rank)
    return Ending("", expected, 0)


class Story:
    """Plays one scenario against a running stack."""

    def __init__(self, cause: str, seed: int, addresses: Addresses, options: Options) -> None:
        self._scenario = sc.draw(cause, seed, NOT_YET)
        self._addresses = addresses
        self._options = options
        self._shop = Shop(self._scenario, options.requests_per_second)
        self._exporter = Exporter(self._scenario)
        self._otlp = Otlp(addresses)
        self._github = GitHub(addresses)
        self._incidents = Incidents(addresses)
        self._store = ClickHouse(addresses.clickhouse_url, pool_size=1)
        self._spans_sent = 0
        self._sent_until = datetime.now(UTC) - options.history
        self._reported: set[str] = set()
        self._began = time.monotonic()

    def play(self) -> Ending:
        """Tell it all; raises grpc.RpcError or httpx.HTTPError when a door does not answer."""
        try:
            self._send_history()
            self._wait_until_stored()
            self._set_onset(datetime.now(UTC) + timedelta(seconds=SETTLE_SECONDS))
            return self._live()
        finally:
            self._otlp.close()
            self._incidents.close()
            self._store.close()

    def say(self, text: str) -> None:
        """Print one line of the story with the time since its start."""
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)

    def _send_history(self) -> None:
        start = self._sent_until
        hours = self._options.history.total_seconds() / 3600
        self.say(f"sending {hours:.1f} h of healthy history of {self._addresses.tenant}")
        total = self._options.history
        while (now := datetime.now(UTC)) - self._sent_until > timedelta(seconds=TICK_SECONDS):
            self._send_until(min(self._sent_until + CHUNK, now))
            _progress((self._sent_until - start) / total, f"{self._spans_sent:,} spans")
        _progress_done()

    def _set_onset(self, onset: datetime) -> None:
        """Decide when it goes wrong, only now that the history is in: sending it takes as long as it takes."""
        self._scenario = sc.draw(self._scenario.cause, self._scenario.seed, onset)
        self._shop.scenario = self._exporter.scenario = self._scenario

    def _send_until(self, end: datetime) -> None:
        traces = list(self._shop.requests(self._sent_until, end))
        request = self._exporter.traces(traces)
        self._otlp.send(request, self._exporter.logs(traces), self._exporter.metrics(self._sent_until, end))
        self._spans_sent += sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)
        self._sent_until = end

    def _tick(self) -> None:
        now = datetime.now(UTC)
        self._send_until(now)
        self._report_deploys(now)

    def _report_deploys(self, now: datetime) -> None:
        for deployment in self._scenario.deployments:
            if deployment.finished_at <= now and deployment.service not in self._reported:
                self._github.report(deployment)
                self._reported.add(deployment.service)
                age = (datetime.now(UTC) - deployment.finished_at).total_seconds()
                when = "now" if age < 5 * TICK_SECONDS else f"{age / 60:.0f} min ago"
                self.say(f"GitHub: deployment_status success, {deployment.service} {deployment.version} ({when})")

    def _wait_until_stored(self) -> None:
        since = datetime.now(UTC) - self._options.history - timedelta(minutes=5)
        deadline = time.monotonic() + STORED_SECONDS
        while (stored := rows_stored(self._store, self._addresses.tenant, since)) < self._spans_sent:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {stored:,} of {self._spans_sent:,} spans are queryable; see `make logs`")
            _progress(stored / self._spans_sent, "queryable")
            time.sleep(0.5)
        _progress_done()
        self.say(f"{stored:,} spans queryable")

    def _live(self) -> Ending:
        if self._scenario.cause == sc.NO_OUTAGE:
            return self._stay_quiet()
        self.say(f"live traffic; the outage begins at {self._scenario.onset:%H:%M:%S} UTC")
        patience = self._scenario.onset + timedelta(seconds=self._options.patience_seconds)
        watch = self._watch(self._scenario.onset)
        announced = False
        while datetime.now(UTC) < patience and not watch.settled():
            self._tick()
            if not announced and datetime.now(UTC) >= self._scenario.onset:
                announced = True
                self.say(f"OUTAGE: {self._scenario.cause} (what the suite does not know: {self._scenario.culprit})")
            watch.look()
            time.sleep(TICK_SECONDS)
        return watch.ending(self._scenario.culprit)

    def _watch(self, since: datetime) -> _Watch:
        return _Watch(self._incidents, self._options.console_url, self._addresses.tenant, self.say, since)

    def _stay_quiet(self) -> Ending:
        self.say(f"live traffic for {QUIET_SECONDS:.0f} s, and nothing is wrong")
        deadline = time.monotonic() + QUIET_SECONDS
        watch = self._watch(datetime.now(UTC))
        while time.monotonic() < deadline:
            self._tick()
            watch.look()
            time.sleep(TICK_SECONDS)
        return watch.ending("")


class _Watch:
    """Follows the incidents of the demo's tenant and tells what changes.

    What opened before the outage can not be about it: it is told as the false alarm it is, and not judged.
    """

    def __init__(
        self, incidents: Incidents, console_url: str, tenant: str, say: Callable[[str], None], since: datetime
    ) -> None:
        self._since = since
        self._incidents = incidents
        self._link = f"{console_url}/incidents/%s?tenant={tenant}"
        self._front = f"{console_url}/?tenant={tenant}"
        self._say = say
        self._opened: dict[str, float] = {}
        self._analyses: dict[str, HypothesesPublished] = {}
        self._false: set[str] = set()

    def look(self) -> None:
        """Ask once and say what is new."""
        for incident in self._incidents.list():
            if incident.opened_at.ToDatetime(tzinfo=UTC) < self._since:
                self._tell_false_alarm(incident.id, incident.title)
                continue
            if incident.id not in self._opened:
                self._opened[incident.id] = time.monotonic()
                self._say(f"INCIDENT: {incident.title}  {self._link % incident.id}")
            analysis = self._incidents.analysis(incident.id)
            known = self._analyses.get(incident.id)
            if analysis is not None and (known is None or analysis.version != known.version):
                self._analyses[incident.id] = analysis
                self._tell(incident.title, analysis)

    def _tell_false_alarm(self, incident_id: str, title: str) -> None:
        if incident_id not in self._false:
            self._false.add(incident_id)
            self._say(f"FALSE ALARM before the outage: {title}  {self._link % incident_id}")

    def _tell(self, title: str, analysis: HypothesesPublished) -> None:
        self._say(f"analysis {analysis.version} of {title!r}: {analysis.reason}")
        for h in analysis.hypotheses[:3]:
            self._say(f"    {h.rank}. {h.statement} ({quantities.confidence(h.confidence)} confident)")
            for evidence in h.evidence[:3] if h.rank == 1 else ():
                self._say(f"         {evidence.statement}")

    def settled(self) -> bool:
        """Tell whether a named cause had time to change and did not; where incidents disagree, of each of them."""
        named = {i: a.hypotheses[0].service for i, a in self._analyses.items() if a.verdict == VERDICT_CAUSE_NAMED}
        if not named:
            return False
        opened = [self._opened[i] for i in named]
        judged = min(opened) if len(set(named.values())) == 1 else max(opened)
        return time.monotonic() - judged >= MIN_EVIDENCE_SECONDS

    def ending(self, expected: str) -> Ending:
        """Return what the suite said of all incidents, and where to read it."""
        links = [self._link % incident for incident in (*self._opened, *self._false)]
        return replace(judge(self._analyses.values(), expected), links=(*links, self._front))


def _progress(share: float, text: str) -> None:
    if sys.stdout.isatty():
        width = 30
        done = int(width * min(1.0, share))
        print(f"\r    [{'#' * done}{'.' * (width - done)}] {share:4.0%} {text}   ", end="", flush=True)


def _progress_done() -> None:
    if sys.stdout.isatty():
        print("\r" + " " * 78 + "\r", end="", flush=True)
