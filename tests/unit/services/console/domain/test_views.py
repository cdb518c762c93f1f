from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from libs.kernel import starts
from libs.kernel.timewindow import TimeWindow
from services.console.domain import views, windows
from services.console.domain.charts import Marker
from services.console.domain.models import (
    Analysis,
    Deploy,
    Hypothesis,
    Incident,
    MinuteHealth,
    ServiceSummary,
    Severity,
    Status,
)

NOW = datetime(2026, 1, 31, 14, 0, tzinfo=UTC)


def incident(status: Status = Status.OPEN, resolved_at: datetime | None = None) -> Incident:
    began = NOW - timedelta(minutes=42)
    return Incident("i", "t", status, Severity.MAJOR, ("web",), began, began, 1, resolved_at=resolved_at)


def analysis(named: bool = True) -> Analysis:
    first = Hypothesis(1, "db", "slow dependency", "", 0.8, chain=("db", "api", "web"), impacted=("api", "web", "app"))
    second = Hypothesis(2, "cache", "service fault", "", 0.16)
    third = Hypothesis(3, "mail", "service fault", "", 0.02)
    return Analysis(1, named, "", (first, second, third))


def test_a_row_names_the_cause_only_when_one_was_named() -> None:
    assert views.row(incident(), analysis(), NOW).cause == "db"
    assert views.row(incident(), analysis(named=False), NOW).confidence is None
    assert views.row(incident(), None, NOW).confidence is None
    assert views.row(incident(), Analysis(1, True, "", ()), NOW).confidence is None


def test_an_incident_lasts_until_it_is_resolved() -> None:
    since = incident().started_at
    assert views.age(incident(), since, NOW) == "42 min"
    assert views.age(incident(Status.RESOLVED, NOW - timedelta(minutes=30)), since, NOW) == "12 min"
    assert views.age(incident(Status.RESOLVED, NOW - timedelta(hours=3)), since, NOW) == "0 s"


def test_an_incident_began_at_its_onset_once_that_is_known_and_lasts_since_then() -> None:
    onset = NOW - timedelta(minutes=45)
    known = replace(analysis(), onset=onset)
    assert views.began(incident(), None, NOW) == views.began(incident(), analysis(), NOW) == incident().started_at
    assert views.began(incident(), known, NOW) == onset
    assert views.onset(incident(), known, NOW) == onset
    assert views.row(incident(), known, NOW).age == "45 min"


def test_a_reopened_incident_still_began_with_its_first_trouble_and_is_charted_around_the_latest() -> None:
    second = replace(analysis(), onset=NOW - timedelta(minutes=5))
    assert views.began(incident(), second, NOW) == incident().started_at
    assert views.onset(incident(), second, NOW) == NOW - timedelta(minutes=5)
    assert views.row(incident(), second, NOW).age == "42 min"


def summary(calls: int, errors: int) -> ServiceSummary:
    return ServiceSummary("web", calls, errors, 12.0, NOW)


@pytest.mark.parametrize(
    ("now", "before", "failing", "errors"),
    [
        ((1000, 20), (1000, 20), False, "2 %"),  # many failures, as ever
        ((1000, 26), (3000, 60), False, "2.6 %"),  # chance
        ((1000, 310), (1000, 1), True, "0.1 % → 31 %"),
        ((1000, 0), (1000, 300), False, "0 %"),
        ((3, 1), (1000, 0), False, "33 %"),  # one failure
        ((1000, 310), None, True, "31 %"),  # nobody's usual
        ((1000, 10), None, False, "1 %"),
        ((0, 0), (1000, 0), False, "0 %"),
    ],
)
def test_a_service_of_the_list_is_judged_by_its_own_hour_before(
    now: tuple[int, int], before: tuple[int, int] | None, failing: bool, errors: str
) -> None:
    row = views.ServiceRow(summary(*now), summary(*before) if before else None)
    assert (row.failing, row.errors.replace("\N{NO-BREAK SPACE}", " ")) == (failing, errors)


@pytest.mark.parametrize("started_at", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
def test_no_start_makes_a_page_fail(started_at: datetime) -> None:
    odd = replace(incident(), started_at=started_at)
    onset = views.began(odd, None, NOW)
    assert NOW - starts.LONGEST <= onset <= NOW
    window = windows.around_onset(odd, onset, NOW)
    assert windows.troubled(odd, onset, window, NOW).duration > timedelta()
    assert views.row(odd, None, NOW).age in {"0 s", "180 d"}


def test_only_plausible_suspects_are_marked_and_never_as_affected() -> None:
    roles = views.roles(incident(), analysis())
    assert roles.suspects == {"db": 1, "cache": 2}
    assert roles.affected == {"api", "web", "app"}


def test_without_a_named_cause_nobody_is_suspected() -> None:
    roles = views.roles(incident(), analysis(named=False))
    assert (roles.suspects, roles.affected) == ({}, {"web"})


def test_charts_begin_with_the_likeliest_cause_then_who_alerted() -> None:
    assert views.charted(incident(), analysis()) == ["db", "web", "api", "cache", "app", "mail"]
    assert views.charted(incident(), None) == ["web"]


def test_a_card_says_what_onset_changed() -> None:
    minutes = [
        MinuteHealth("db", NOW + timedelta(minutes=n), 100, 0 if n < 5 else 31, 20.0 if n < 5 else 500.0, True)
        for n in range(10)
    ]
    window = TimeWindow(NOW, NOW + timedelta(minutes=10))
    card = views.card("db", ("suspect", "x"), minutes, window, [Marker(NOW + timedelta(minutes=5), "onset", "onset")])
    assert (card.latency_change, card.error_change) == ("20 ms → 500 ms", "0 % → 31 %")
    assert card.latency.title == "Mean latency seen by callers"
    assert views.card("db", ("plain", ""), [], window, []).latency_change == ""


def test_deploys_of_other_services_are_marked_only_when_a_hypothesis_names_them() -> None:
    deploys = [
        Deploy(str(n), service, "prod", "v2", "", "succeeded", "github", "", "", "", "", NOW)
        for n, service in enumerate(("db", "web", "mail"))
    ]
    markers = views.deploy_markers(deploys, ["web"], frozenset({"0"}))
    assert [m.label for m in markers] == ["db v2", "v2"]
