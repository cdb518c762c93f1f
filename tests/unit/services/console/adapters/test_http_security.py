from __future__ import annotations

import pytest

from services.console.adapters.http_security import WriteCheck, check_write, known_host
from tests.unit.services.console.client import Client


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8080", True), ("localhost:8080", True), ("[::1]:8080", True), ("console", True),
        ("10.1.2.3", True), ("app.localhost", True), ("console.example.com", True), ("CONSOLE.example.com:443", True),
        ("evil.example", False), ("127.0.0.1.evil.example", False), ("", False), (":8080", False),
    ],
)  # fmt: skip
def test_only_addresses_short_names_and_listed_names_are_answered(host: str, known: bool) -> None:
    assert known_host(host, frozenset({"console.example.com"})) is known


def test_a_star_answers_to_every_name() -> None:
    assert known_host("any.example", frozenset({"*"}))


def test_a_page_under_a_strangers_name_is_refused_but_probes_are_answered(client: Client) -> None:
    strange = {"host": "evil.example"}
    answer = client.get("/", headers=strange)
    assert (answer.status_code, "CONSOLE_ALLOWED_HOSTS" in answer.text) == (421, True)
    assert client.get("/api/v1/incidents", headers=strange).status_code == 421
    assert client.get("/healthz", headers=strange).status_code == 200
    assert client.get("/readyz", headers=strange).json()["status"] == "ready"
    assert "incidentscope_console" in client.get("/metrics", headers=strange).text


def test_malformed_hosts_and_lengths_are_bad_requests(client: Client) -> None:
    assert client.get("/", headers={"host": "[broken"}).status_code == 400
    assert client.post("/", content=b"", headers={"content-length": "many"}).status_code == 400


def test_programs_without_browser_headers_may_use_rest_but_not_forms() -> None:
    assert check_write({"host": "a"}, browser_form=False) is WriteCheck.NOT_A_BROWSER
    assert check_write({"host": "a"}, browser_form=True) is WriteCheck.NO_ORIGIN


def test_an_origin_with_another_port_or_no_host_is_another_site() -> None:
    assert check_write({"host": "a:1", "origin": "http://a:2"}, browser_form=True) is WriteCheck.CROSS_SITE
    assert check_write({"origin": "http://"}, browser_form=True) is WriteCheck.CROSS_SITE
    assert check_write({"host": "a:1", "origin": "http://A:1"}, browser_form=True) is WriteCheck.SAME_ORIGIN
