"""Reading HTTP requests: parameters, credentials, encodings, and which part is the statement."""

from __future__ import annotations

import pytest

from infra.local.clickhouse_gateway.errors import EngineError
from infra.local.clickhouse_gateway.http_request import read_request
from infra.local.clickhouse_gateway.http_statement import find_statement


def test_parameters_are_told_from_settings() -> None:
    url = {
        "query": "SELECT 1",
        "database": "d",
        "max_threads": "2",
        "param_x": "5",
        "default_format": "CSV",
        "client_protocol_version": "54405",
    }
    request = read_request("POST", url, {"accept-encoding": "gzip"})
    assert (request.query, request.database, request.output) == ("SELECT 1", "d", "CSV")
    assert request.settings == {"max_threads": "2"}
    assert request.parameters == {"x": "5"}
    assert not request.read_only
    assert request.encoding_out == ""
    assert len(request.query_id) == 36
    assert (request.revision, read_request("POST", {}, {}).revision) == (54405, 0)


def test_headers_stand_in_for_parameters() -> None:
    headers = {
        "x-clickhouse-database": "d",
        "x-clickhouse-format": "JSON",
        "x-clickhouse-query-id": "q",
        "accept-encoding": "gzip",
    }
    request = read_request("GET", {"enable_http_compression": "1"}, headers)
    assert (request.database, request.output, request.query_id) == ("d", "JSON", "q")
    assert request.encoding_out == "gzip"
    assert request.read_only


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        ({}, {}, ("default", "")),
        ({"user": "u", "password": "p"}, {}, ("u", "p")),
        ({"user": "u"}, {"authorization": "Basic YTpiOmM="}, ("a", "b:c")),
        ({}, {"x-clickhouse-user": "u", "x-clickhouse-key": "k", "authorization": "Basic YTpi"}, ("u", "k")),
    ],
)
def test_credentials_come_from_headers_before_the_url(
    url: dict[str, str], headers: dict[str, str], expected: tuple[str, str]
) -> None:
    request = read_request("GET", url, headers)
    assert (request.user, request.password) == expected


@pytest.mark.parametrize(
    ("url", "headers", "code"),
    [
        ({}, {"authorization": "Basic ???"}, 516),
        ({}, {"authorization": "Basic /w=="}, 516),
        ({"session_timeout": "0"}, {}, 374),
        ({"session_timeout": "4000"}, {}, 374),
        ({"session_timeout": "x"}, {}, 374),
        ({"client_protocol_version": "-1"}, {}, 36),
        ({"client_protocol_version": "1" * 10}, {}, 36),
    ],
)
def test_a_malformed_request_is_refused(url: dict[str, str], headers: dict[str, str], code: int) -> None:
    with pytest.raises(EngineError) as failed:
        read_request("GET", url, headers)
    assert failed.value.code == code


def _found(query: str, body: bytes, size: int | None = None) -> tuple[str, str, bytes, int]:
    statement = find_statement(query, body, len(body) if size is None else size)
    return statement.sql, statement.data_format, statement.data_start, statement.data_offset


def test_the_statement_is_told_from_its_data() -> None:
    assert _found("", b"SELECT 1") == ("SELECT 1", "", b"", 0)
    assert _found("SELECT 1,", b"2") == ("SELECT 1,\n2", "", b"", 0)
    assert _found("INSERT INTO t FORMAT CSV", b"1,2") == ("INSERT INTO t FORMAT CSV", "CSV", b"", 0)
    assert _found("INSERT INTO t", b"(1)") == ("INSERT INTO t", "Values", b"", 0)
    assert _found("", b"INSERT INTO t FORMAT CSV\n\xff,2", 1000)[1:] == ("CSV", b"\xff,2", 26 + 2)
    assert _found("", b"INSERT INTO t VALUES (1)") == ("INSERT INTO t VALUES (1)", "", b"", 0)
    assert _found("", b"INSERT INTO t VALUES (1)", 1000)[1:] == ("Values", b" (1)", 24)


@pytest.mark.parametrize(
    ("query", "body", "size", "code"),
    [
        ("", b"SELECT 1", 1000, 229),
        ("", b"SELECT '\xff'", None, 62),
        ("INSERT INTO t FROM INFILE 'x' FORMAT CSV", b"", None, 48),
    ],
)
def test_a_statement_that_cannot_be_taken_is_refused(query: str, body: bytes, size: int | None, code: int) -> None:
    with pytest.raises(EngineError) as failed:
        _found(query, body, size)
    assert failed.value.code == code
