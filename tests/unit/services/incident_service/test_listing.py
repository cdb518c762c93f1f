"""What a list of incidents is asked for, and the tokens of its pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.incident.v1 import incident_pb2 as pb
from incidentscope.incident.v1 import incident_service_pb2 as rpc

from libs.kernel.errors import InvalidInput
from services.incident_service.adapters.grpc_watch import admits, watched
from services.incident_service.adapters.postgres_listing import select
from services.incident_service.adapters.requests import page_token
from services.incident_service.adapters.requests_listing import listing, place, token
from services.incident_service.domain.listing import Listing, Place, Sort, id_beginning
from services.incident_service.domain.model import Incident, Severity, Status, changed

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
ID = "0190c5a0-0000-7000-8000-000000000000"
INCIDENT = Incident(ID, "t", "down", Status.OPEN, Severity.MAJOR, ("cart",), "", NOW, NOW)


def asked(**fields: Any) -> Listing:
    return listing(rpc.ListIncidentsRequest(**fields))


def stamp(at: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(at)
    return made


def test_without_filters_everything_is_listed_newest_first() -> None:
    assert asked() == Listing()
    assert asked(sort=rpc.INCIDENT_SORT_OPENED, order=rpc.SORT_ORDER_DESC) == Listing()


def test_a_request_is_read_field_by_field() -> None:
    wanted = asked(
        statuses=[pb.INCIDENT_STATUS_OPEN],
        severities=[pb.INCIDENT_SEVERITY_CRITICAL, pb.INCIDENT_SEVERITY_UNSPECIFIED],
        services=["b", " a ", "b"], q="  two  words two ", since=stamp(NOW), until=stamp(NOW + timedelta(days=1)),
        sort=rpc.INCIDENT_SORT_SEVERITY, order=rpc.SORT_ORDER_ASC,
    )  # fmt: skip
    assert wanted == Listing(
        (Status.OPEN,), (Severity.UNSPECIFIED, Severity.CRITICAL), ("a", "b"), ("two", "words"), NOW,
        NOW + timedelta(days=1), None, Sort.SEVERITY, True,
    )  # fmt: skip


def test_a_relative_time_is_counted_from_the_moment_of_listing() -> None:
    wanted = asked(last=Duration(seconds=3600))
    assert wanted.last == timedelta(hours=1)
    assert wanted.at(NOW) == Listing(since=NOW - timedelta(hours=1))
    assert Listing(since=NOW).at(NOW + timedelta(days=1)) == Listing(since=NOW)


@pytest.mark.parametrize("seconds", [0, -1, 3661 * 86400])
def test_looking_back_nothing_or_too_far_is_refused(seconds: int) -> None:
    with pytest.raises(InvalidInput, match="at most 3660 days"):
        asked(last=Duration(seconds=seconds))


PLACES = [
    (Sort.OPENED, Place(NOW, ID)),
    (Sort.UPDATED, Place(NOW + timedelta(microseconds=1), ID)),
    (Sort.SEVERITY, Place(Severity.MAJOR, ID)),
]


@pytest.mark.parametrize(("sort", "at"), PLACES)
def test_a_token_gives_back_the_place_a_page_ended(sort: Sort, at: Place) -> None:
    wanted = Listing(sort=sort)
    assert place(wanted, token(wanted, at)) == at
    assert place(wanted, "") is None


OTHERS = [
    {"statuses": (Status.OPEN,)}, {"severities": (Severity.MINOR,)}, {"services": ("a",)}, {"words": ("a",)},
    {"since": NOW}, {"until": NOW}, {"last": timedelta(hours=1)}, {"sort": Sort.UPDATED}, {"ascending": True},
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_a_token_goes_with_its_filters_and_sorting_only(other: dict[str, Any]) -> None:
    given = token(Listing(), Place(NOW, ID))
    with pytest.raises(InvalidInput, match="page_token belongs to another listing or filter"):
        place(replace(Listing(), **other), given)


def test_the_same_filters_in_another_order_are_the_same_listing() -> None:
    one = asked(services=["a", "b"], q="x y", statuses=[1, 2])
    assert asked(services=["b", "a"], q="y  x", statuses=[2, 1]).scope == one.scope


@pytest.mark.parametrize(
    "position", ["", ID, f"x {ID}", f"2026-03-01 {ID}", f"2026-03-01T03:00:00+00:00 {ID[:-1]}", f"1 {ID}"]
)
def test_a_token_with_a_forged_place_is_refused(position: str) -> None:
    with pytest.raises(InvalidInput, match="page_token was not given out"):
        place(Listing(), page_token(Listing().scope, position))


def test_a_severity_that_is_none_is_no_place() -> None:
    wanted = Listing(sort=Sort.SEVERITY)
    with pytest.raises(InvalidInput, match="page_token"):
        place(wanted, page_token(wanted.scope, f"9 {ID}"))


def test_an_incident_stands_where_it_is_sorted() -> None:
    later = changed(INCIDENT, NOW + timedelta(minutes=1))
    assert (later.version, later.updated_at, INCIDENT.updated_at) == (2, NOW + timedelta(minutes=1), NOW)
    assert Listing().place_of(later) == Place(NOW, ID)
    assert Listing(sort=Sort.UPDATED).place_of(later) == Place(later.updated_at, ID)
    assert Listing(sort=Sort.SEVERITY).place_of(later) == Place(Severity.MAJOR, ID)


def test_only_a_long_hexadecimal_word_can_begin_an_id() -> None:
    assert id_beginning("0190C5A0-00") == "0190c5a0-00"
    assert id_beginning("0190c5a") is None
    assert id_beginning("checkout") is None


def test_the_statement_holds_only_what_is_asked_for() -> None:
    text, values = select(Listing(), 51, None)
    assert text.endswith("WHERE tenant_id = %(tenant)s\nORDER BY opened_at DESC, id DESC LIMIT %(limit)s")
    wanted = Listing(severities=(Severity.MAJOR,), words=("%",), sort=Sort.SEVERITY, ascending=True)
    text, values = select(wanted, 51, Place(Severity.MINOR, ID))
    assert "AND severity = ANY" in text
    assert "(severity, id) > (%(key)s, %(id)s::uuid)" in text
    assert (values["word_0"], values["key"], values["id"]) == (r"%\%%", 1, ID)


@pytest.mark.parametrize(
    ("fields", "admitted"),
    [
        ({}, True),
        ({"statuses": [1], "severities": [pb.INCIDENT_SEVERITY_MAJOR], "services": ["cart"]}, True),
        ({"services": ["x", "cart"]}, True),
        ({"statuses": [pb.INCIDENT_STATUS_CLOSED]}, False),
        ({"severities": [pb.INCIDENT_SEVERITY_UNSPECIFIED]}, False),
        ({"services": ["x"]}, False),
    ],
)  # fmt: skip
def test_a_watch_admits_what_its_filters_name(fields: dict[str, Any], admitted: bool) -> None:
    incident = pb.Incident(
        status=pb.INCIDENT_STATUS_OPEN, severity=pb.INCIDENT_SEVERITY_MAJOR, services=["cart", "payments"]
    )
    assert admits(watched(rpc.WatchIncidentsRequest(**fields)), incident) is admitted
