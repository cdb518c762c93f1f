"""The lists of the console: searched, narrowed and sorted by their address."""

from __future__ import annotations

import re

import pytest
from incidentscope.alert.v1 import alert_pb2
from incidentscope.incident.v1 import incident_pb2

from libs.kernel.timewindow import TimeWindow
from services.console.domain.models import ServiceSummary
from tests.unit.services.console.client import Client
from tests.unit.services.console.stamps import stamp
from tests.unit.services.console.world import World


def page(world: World) -> str:
    return f"/incidents/{world.main.id}"


def titles(text: str) -> list[str]:
    """Return the first words of the incidents on a list."""
    return re.findall(r'class="title" href="[^"]+">(\w+|&lt;script&gt;)', text)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["checkout", "cart", "&lt;script&gt;", "quotes"]),
        ("q=ROLLING+traces", ["checkout"]),  # of a note
        ("service=cart", ["cart"]),
        ("severity=major&severity=unspecified", ["cart", "quotes"]),
        ("status=open&status=acknowledged", ["checkout", "cart"]),
        ("last=24h", ["checkout", "cart"]),
        ("sort=severity&order=asc", ["quotes", "&lt;script&gt;", "cart", "checkout"]),
        ("sort=updated&order=asc&last=10d&status=resolved", ["quotes", "&lt;script&gt;"]),
        ("q=&service=&last=&since=&until=&sort=opened&order=desc", ["checkout", "cart", "&lt;script&gt;", "quotes"]),
    ],
)
def test_the_list_is_searched_filtered_and_sorted(client: Client, query: str, found: list[str]) -> None:
    answer = client.get(f"/?{query}")
    assert (answer.status_code, titles(answer.text)) == (200, found)


def test_a_list_holds_the_filters_in_its_form_and_offers_to_take_each_out(client: Client) -> None:
    text = client.get("/?q=%3Cb%3E+slow&service=cart&service=x&severity=major&last=24h&sort=updated&order=asc").text
    for field in (
        'name="q" value="&lt;b&gt; slow"', 'name="service" value="cart"', 'type="hidden" name="service" value="x"',
        'name="severity" value="major" checked', '<option value="24h" selected>', '<option value="updated" selected>',
        '<option value="asc" selected>', "Filter and sort (3 set)",
    ):  # fmt: skip
        assert field in text, field
    assert 'value="critical" checked' not in text
    without = 'href="/?q=%3Cb%3E+slow&amp;service=x&amp;severity=major&amp;last=24h&amp;sort=updated&amp;order=asc"'
    assert f'{without}><span class="sr">Remove filter </span>service cart' in text
    assert '<a class="clear" href="/?sort=updated&amp;order=asc">Clear all</a>' in text


def test_a_service_is_red_when_more_fails_than_in_the_hour_before_and_not_for_what_always_fails(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def services(_tenant: str, window: TimeWindow) -> list[ServiceSummary]:
        earlier = window.end <= world.now
        broken = ServiceSummary("payments", 1000, 1 if earlier else 310, 12.0, world.now)
        return [broken, ServiceSummary("reviews", 1000, 30, 12.0, world.now)]

    monkeypatch.setattr(world.telemetry, "services", services)
    rows = client.get("/services").text.replace("\N{NO-BREAK SPACE}", " ").split("<tr>")
    shown = {name: next(row for row in rows if f">{name}<" in row) for name in ("payments", "reviews")}
    assert 'class="bad">0.1 % → 31 %</td>' in shown["payments"]
    assert 'data-label="Error rate">3 %</td>' in shown["reviews"]


def test_heads_of_columns_sort_and_say_how_they_are_sorted(client: Client) -> None:
    text = client.get("/?status=open").text
    assert 'aria-sort="descending"><a href="/?status=open&amp;sort=opened&amp;order=asc">Opened' in text
    assert '<th scope="col"><a href="/?status=open&amp;sort=severity&amp;order=desc">Severity</a>' in text
    assert text.count("aria-sort") == 1
    assert 'aria-sort="ascending"' in client.get("/?sort=updated&order=asc").text


def test_a_list_without_a_match_says_what_is_set_and_how_to_clear_it(client: Client) -> None:
    text = client.get("/?q=nothing+of+it&severity=unspecified&sort=updated").text
    assert "No incident matches" in text
    assert "Filters set: “nothing of it” · severity not judged." in text
    assert '<a href="/?sort=updated">Clear all filters</a>' in text
    assert "No incidents yet" not in text


def test_the_next_page_keeps_filters_and_order(client: Client, world: World) -> None:
    for n in range(60):
        world.incidents.add("shop", f"number {n}", world.now, severity=2)
    text = client.get("/?severity=major&sort=severity&order=asc").text
    following = re.search(r'rel="next" href="([^"]+)"', text)
    assert following is not None
    assert following[1] == "/?severity=major&amp;sort=severity&amp;order=asc&amp;page=second"
    assert client.get(following[1].replace("&amp;", "&")).text.count('<tr id="i-') == 11
    assert client.get("/?severity=major&page=second").status_code == 400


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/?status=broken", "There is no status &#39;broken&#39;; there are open, acknowledged, mitigated, resolved"),
        ("/?severity=1", "There is no severity &#39;1&#39;; there are critical, major, minor, unspecified."),
        ("/?last=1h&since=2026-01-01", "last cannot be combined with since or until"),
        ("/?since=soon", "since is not a time: &#39;soon&#39;"),
        ("/?q=" + "w+" * 11, "q has 11 words"),
        ("/services?sort=name", "There is no sort &#39;name&#39;; there are errors, calls, latency, seen, service."),
        ("/deploys?last=forever", "last is not a length of time"),
    ],
)
def test_a_list_that_cannot_be_had_says_why_above_what_was_typed(client: Client, path: str, says: str) -> None:
    answer = client.get(f"{path}{'&' if '?' in path else '?'}q=kept" if "q=" not in path else path)
    assert answer.status_code == 400
    assert says in answer.text
    assert 'role="search"' in answer.text
    assert "matches" not in answer.text
    assert "q=" in path or 'value="kept"' in answer.text


def test_services_are_searched_and_sorted(client: Client) -> None:
    text = client.get("/services?q=PAY&sort=service").text
    assert re.findall(r'<tr><td><a class="service" href="/services/([^"]+)"', text) == ["payments"]
    assert 'aria-sort="ascending"><a href="/services?q=PAY&amp;sort=service&amp;order=desc">Service' in text
    assert "No service of the last hour matches" in client.get("/services?q=nobody").text


def test_deploys_are_searched_and_filtered(client: Client, world: World) -> None:
    def services(query: str) -> list[str]:
        text = client.get(f"/deploys?{query}").text
        return re.findall(r'data-label="Service"><a class="service" href="/services/([^"]+)"', text)

    assert services("") == ["payments", "recommendations", "quotes"]
    assert services("q=v2.31+MARA") == ["payments"]
    assert services("service=quotes&service=payments") == ["payments", "quotes"]
    assert services("last=1h") == ["payments", "recommendations"]
    until = f"{world.onset:%Y-%m-%dT%H:%M:%SZ}"
    assert services(f"until={until}&q=quotes") == ["quotes"]
    text = client.get("/deploys?q=nothing").text
    assert "No deploy of the last 7 days matches" in text
    assert "Filters set: “nothing”." in text


def test_a_service_page_names_what_goes_on_first_then_what_is_over(client: Client, world: World) -> None:
    assert f'href="{page(world)}">checkout' in client.get("/services/payments").text  # suspected of it
    text = client.get("/services/checkout").text
    assert f'href="{page(world)}">checkout: error rate 28 % (threshold 5 %)</a>' in text
    assert "opened <time" in text
    assert '<a href="/?service=checkout">All incidents of checkout</a>' in text
    over = world.incidents.add("shop", "checkout: an older one", world.now.replace(year=world.now.year - 1))
    old = world.incidents.add("shop", "checkout: no calls", world.now, services=["checkout"])
    for one in (over, old):
        one.services[:] = ["checkout"]
        one.status = incident_pb2.INCIDENT_STATUS_RESOLVED
        one.resolved_at.CopyFrom(stamp(world.now))
    text = client.get("/services/checkout").text
    assert text.index("checkout: error rate") < text.index("checkout: no calls")
    assert "an older one" not in text
    assert "No incident touches it." in client.get("/services/mail").text
    world.incidents.down = True
    text = client.get("/services/checkout").text
    assert "Incidents: not available now." in text
    assert "No incident touches it." not in text


def test_many_alerts_can_be_narrowed_on_the_page_of_their_incident(client: Client, world: World) -> None:
    world.incidents.alerts[world.main.id] = [
        incident_pb2.IncidentAlert(
            name=f"Alert{n}", service="checkout", status=alert_pb2.ALERT_STATUS_FIRING,
            severity=incident_pb2.INCIDENT_SEVERITY_MAJOR,
            starts_at=stamp(world.onset), runbook_url=f"https://wiki.test/{n}",
        )
        for n in range(7)
    ]  # fmt: skip

    def alerts(query: str) -> list[str]:
        return re.findall(r"</span> (Alert\d) <span", client.get(f"{page(world)}?{query}").text)

    assert alerts("") == [f"Alert{n}" for n in range(7)]
    assert alerts("q=alert3&severity=major&status=firing") == ["Alert3"]
    text = client.get(f"{page(world)}?q=none").text
    assert "None of its 7 alerts matches." in text
    assert "https://wiki.test/0" in text  # the runbooks on top stay
    text = client.get(f"{page(world)}?status=lost").text
    assert "All alerts are shown:</strong> There is no status &#39;lost&#39;; there are firing, no_data" in text
    del world.incidents.alerts[world.main.id][5:]
    assert "Search and filter alerts" not in client.get(page(world)).text
