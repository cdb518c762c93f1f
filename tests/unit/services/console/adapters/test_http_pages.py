from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from incidentscope.alert.v1 import alert_pb2
from incidentscope.correlation.v1 import correlation_pb2
from incidentscope.incident.v1 import incident_pb2

from services.console.adapters.http_pages import ACTOR_COOKIE
from services.console.adapters.http_templates import FOLDER, STATIC
from services.console.ports import RefusalReason, Refused
from tests.unit.services.console.client import Client
from tests.unit.services.console.stamps import stamp
from tests.unit.services.console.world import KEY, World

SAME = {"sec-fetch-site": "same-origin"}
UNKNOWN = "01920000-0000-7000-8000-000000000000"


def page(world: World) -> str:
    return f"/incidents/{world.main.id}"


def test_the_list_shows_each_incident_with_its_cause(client: Client, world: World) -> None:
    text = client.get("/").text
    assert f'href="{page(world)}">checkout: error rate 28 % (threshold 5 %)</a>' in text
    assert "<b>payments</b>" in text
    assert "87 %&nbsp;confident" in text
    assert "17 min ago</time>" in text
    opened = world.main.opened_at.ToDatetime()
    assert f'<time datetime="{opened:%Y-%m-%dT%H:%M:%SZ}" title="{opened:%Y-%m-%d %H:%M:%S} UTC" data-relative>' in text


def test_the_list_filters_by_status(client: Client) -> None:
    assert "checkout: error rate" not in client.get("/?status=resolved").text
    assert "checkout: error rate" in client.get("/?status=open").text
    assert "No incident is" not in client.get("/?status=acknowledged").text


def test_an_unknown_page_is_a_bad_request_and_says_so_on_the_list(client: Client) -> None:
    answer = client.get("/?page=nonsense&q=checkout")
    assert answer.status_code == 400
    assert "This page belongs to another list, or is none at all; go back to the first." in answer.text
    assert 'value="checkout"' in answer.text


def test_the_list_is_paged(client: Client, world: World) -> None:
    for n in range(60):
        world.incidents.add("shop", f"number {n}", world.now)
    first = client.get("/?status=open").text
    assert first.count('<tr id="i-') == 50
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following is not None
    assert client.get(following[1].replace("&amp;", "&")).text.count('<tr id="i-') == 11


def test_an_empty_list_says_how_to_send_data(tmp_path: Path) -> None:
    client = Client(World(tmp_path, empty=True).app())
    text = client.get("/").text
    for words in ("No incidents yet", "make demo", "OTEL_EXPORTER_OTLP_ENDPOINT=http://otlp.example:3"):
        assert words in text
    assert "No service has sent traces" in client.get("/services").text
    assert "No deploys in the last 7 days" in client.get("/deploys").text
    assert "Nothing was heard of" in client.get("/services/x").text


@pytest.mark.parametrize(
    ("path", "doors"),
    [
        (
            "/",
            [
                "otlp.example:1<",
                "http://otlp.example:3<",
                "http://alerts.example:5<",
                "deploys.example:7/webhooks/shop/",
            ],
        ),
        ("/services", ["otlp.example:1<", "http://otlp.example:3<"]),
        ("/deploys", ["http://deploys.example:7/webhooks/shop/github<"]),
    ],
)
def test_an_empty_page_tells_the_addresses_in_use(tmp_path: Path, path: str, doors: list[str]) -> None:
    text = Client(World(tmp_path, empty=True).app()).get(path).text
    assert [door for door in doors if door not in text] == []


def test_an_incident_before_any_deploy_tells_where_to_report_them(client: Client, world: World) -> None:
    world.deploys.kept.clear()
    assert "<code>http://deploys.example:7/webhooks/shop/</code>" in client.get(page(world)).text


def test_no_page_has_a_port_written_into_it() -> None:
    for path in (*FOLDER.iterdir(), *STATIC.rglob("*.js")):
        assert re.findall(r"(?:localhost|[0-9]):[0-9]{4,5}\b", path.read_text()) == [], path.name


def test_an_incident_page_holds_everything(client: Client, world: World) -> None:
    text = client.get(page(world)).text
    for words in (
        "bad deploy",
        "87 %",
        "31 % of 2210 requests to payments failed (0.1 % before)",
        'aria-labelledby="c1-l-t c1-l-d"',
        "▲ suspect 1",
        "● affected",
        "Service map",
        "payments-db",
        "explains a cause",
        "Looked at payments: stack traces since the deploy.",
        "Numbers of payments",
    ):
        assert words in text, words
    assert text.index("Rank </span>1") < text.index("Rank </span>2")


def test_the_map_tells_in_words_what_changed_and_what_its_lines_mean(client: Client, world: World) -> None:
    drawing = client.get(page(world)).text.partition('<section id="map"')[2].partition("</section>")[0]
    drawing = drawing.replace("\N{NO-BREAK SPACE}", " ")
    fraud = "payments calls fraud, much worse: errors 0 % → 0 %, mean latency 7 ms → 944 ms, calls 3.50/s → 3.50/s"
    assert f'<path class="edge edge-much-worse" role="img" aria-label="{fraud}; ' in drawing
    assert (
        'class="edge edge-calm" role="img" aria-label="recommendations calls catalog, as before: errors 2 %' in drawing
    )
    assert 'class="edge edge-no-baseline" role="img" aria-label="orders calls inventory' in drawing
    assert 'class="edge edge-no-data" role="img" aria-label="shipping calls quotes' in drawing
    for words in ("Colour tells how a connection changed", "Width tells the share of the harm", "19 of 19 min"):
        assert words in drawing
    rows = drawing.partition("<tbody>")[2].split("<tr>")[1:]
    assert "<td>checkout</td><td>payments</td>" in rows[0]
    assert "<td>0 % → 31 %</td>" in rows[0]
    assert "of added failures" in rows[0]


def test_alerts_speak_for_themselves_and_their_runbooks_stand_on_top(client: Client, world: World) -> None:
    hostile = "javascript:alert(1)//<script>"
    world.incidents.alerts[world.main.id] = [
        incident_pb2.IncidentAlert(
            name="HighErrorRate", service="checkout", status=alert_pb2.ALERT_STATUS_NO_DATA,
            starts_at=stamp(world.onset), no_data_since=stamp(world.now),
            annotations={"summary": "28 % fail", "dashboard_url": hostile}, labels={"team": "<b>shop</b>"},
            runbook_url="https://wiki.test/errors?a=1&b=2", dashboard_url=hostile, generator_url="http://p/graph",
        )
    ]  # fmt: skip
    text = client.get(page(world)).text
    lead, rest = text.split('<section class="respond"')
    assert 'href="https://wiki.test/errors?a=1&amp;b=2" rel="noreferrer">Runbook: HighErrorRate</a>' in lead
    assert 'href="javascript' not in text
    for words in ("28 % fail", "no data", "&lt;b&gt;shop&lt;/b&gt;", 'href="http://p/graph"'):
        assert words in rest


def test_an_incident_without_data_says_so_in_the_list_and_on_its_page(client: Client, world: World) -> None:
    world.main.no_data_since.CopyFrom(stamp(world.now))
    since = f"{world.now:%H:%M} UTC"
    assert f"no data since {since}" in client.get("/").text
    assert f"No data since {since}.</strong>" in client.get(page(world)).text


def test_unknown_and_malformed_incidents_are_not_found(client: Client) -> None:
    for path in (f"/incidents/{UNKNOWN}", "/incidents/nonsense", "/incidents/%00", "/incidents/" + "9" * 300, "/nope"):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert "All incidents" in answer.text


def test_a_page_before_the_first_analysis_says_that_it_will_come(client: Client, world: World) -> None:
    world.incidents.no_analysis = True
    assert "No analysis yet" in client.get(page(world)).text


def test_without_enough_evidence_nobody_is_marked(client: Client, world: World) -> None:
    analysis = world.incidents.analyses[world.main.id]
    analysis.verdict, analysis.reason = correlation_pb2.VERDICT_NOT_ENOUGH_EVIDENCE, "Nothing stands out."
    text = client.get(page(world)).text
    assert "Not enough evidence to name a cause." in text
    assert "▲ suspect 1" not in text


def test_titles_notes_links_and_names_cannot_inject_markup(client: Client, world: World) -> None:
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    world.main.title = world.main.acknowledged_by = evil
    world.main.services[:] = [evil]
    world.incidents.note(world.main.id, incident_pb2.TIMELINE_KIND_NOTE, world.now, evil, evil, "javascript:alert(1)")
    first = world.incidents.analyses[world.main.id].hypotheses[1]
    first.statement = first.service = first.chain[0] = evil
    first.evidence[0].url = "javascript:alert(1)"
    first.evidence[0].statement = first.evidence[0].unit = evil
    world.deploys.add("evil", evil, evil, world.onset, "data:text/html,<script>alert(1)</script>")
    client.cookies.set(ACTOR_COOKIE, "%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    for path in ("/", page(world), "/deploys", "/services/" + "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E"):
        text = client.get(path).text
        assert "<script>alert" not in text, path
        assert "<img" not in text
        assert "javascript:" not in text
        assert 'href="data:' not in text


def test_every_answer_carries_the_security_headers(client: Client, world: World) -> None:
    for path in ("/", page(world), "/nope", "/static/live.js", "/api/v1/incidents", "/healthz"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_pages_have_no_inline_script_or_style(client: Client, world: World) -> None:
    for path in ("/", page(world), "/services", "/services/payments", "/deploys", "/nope"):
        text = client.get(path).text
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=\"/static/)", text), path
        assert "http://www.w3.org" not in text
        assert not re.search(r"(?:src|href)=\"https?://(?!github\.com)", text)


def test_acknowledging_leads_back_and_remembers_the_name(client: Client, world: World) -> None:
    form = {"actor": " Ana  María ", "text": "on it", "version": "1"}
    answer = client.post(f"{page(world)}/acknowledge", data=form, headers=SAME)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{page(world)}?done=acknowledge")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert world.main.status == incident_pb2.INCIDENT_STATUS_ACKNOWLEDGED
    text = client.get(answer.headers["location"]).text
    assert "You have taken this incident." in text
    assert 'value="Ana María"' in text
    assert "on it" in text
    assert "/acknowledge" not in text


def test_resolving_puts_the_resolution_on_the_timeline(client: Client, world: World) -> None:
    form = {"actor": "Ana", "text": "rolled back", "version": ""}
    assert client.post(f"{page(world)}/resolve", data=form, headers=SAME).status_code == 303
    text = client.get(page(world)).text
    assert "Resolved by Ana. rolled back" in text
    assert "/resolve" not in text


def test_a_stale_form_is_refused_and_keeps_what_was_typed(client: Client, world: World) -> None:
    form = {"actor": "Ana", "text": "typed <b>text</b>", "version": "7"}
    answer = client.post(f"{page(world)}/resolve", data=form, headers=SAME)
    assert answer.status_code == 409
    assert "Somebody changed this meanwhile." in answer.text
    assert "typed &lt;b&gt;text&lt;/b&gt;</textarea>" in answer.text
    assert world.main.status == incident_pb2.INCIDENT_STATUS_OPEN


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"actor": "", "text": "note"}, "Say who you are"),
        ({"actor": "x" * 101, "text": "note"}, "The name is too long"),
        ({"actor": "Ana", "text": "  "}, "The note is empty"),
        ({"actor": "Ana", "text": "n" * 10_001}, "at most 10,000 are kept"),
        ({}, "The note is empty"),
    ],
)
def test_a_bad_form_says_what_is_wrong(client: Client, world: World, form: dict[str, str], words: str) -> None:
    answer = client.post(f"{page(world)}/notes", data=form, headers=SAME)
    assert answer.status_code == 422
    assert words in answer.text
    assert len(world.incidents.entries[world.main.id]) == 5


def test_a_version_that_is_no_number_is_refused(client: Client, world: World) -> None:
    form = {"actor": "Ana", "text": "", "version": "1; drop"}
    assert client.post(f"{page(world)}/acknowledge", data=form, headers=SAME).status_code == 422


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site", "origin": "http://evil.example"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
        ({"origin": "http://testserver"}, 303),
        ({"sec-fetch-site": "same-origin"}, 303),
    ],
)
def test_only_forms_of_this_very_origin_are_taken(
    client: Client, world: World, headers: dict[str, str], status: int
) -> None:
    answer = client.post(f"{page(world)}/acknowledge", data={"actor": "Ana"}, headers=headers)
    assert answer.status_code == status
    assert (world.main.status == incident_pb2.INCIDENT_STATUS_OPEN) is (status == 403)


def test_unknown_actions_and_incidents_are_not_found(client: Client, world: World) -> None:
    assert client.post(f"{page(world)}/explode", data={}, headers=SAME).status_code == 404
    for incident_id in (UNKNOWN, "nonsense"):
        answer = client.post(f"/incidents/{incident_id}/notes", data={"actor": "A", "text": "t"}, headers=SAME)
        assert answer.status_code == 404


def test_files_in_a_form_are_refused(client: Client, world: World) -> None:
    answer = client.post(f"{page(world)}/notes", files={"text": b"x"}, data={"actor": "A"}, headers=SAME)
    assert answer.status_code in (400, 422)


def test_a_source_that_is_down_is_named_and_the_rest_is_shown(client: Client, world: World) -> None:
    world.telemetry.down = True
    text = client.get(page(world)).text
    assert "Charts: not available now." in text
    assert "Service map: not available now." in text
    assert "31 % of 2210 requests to payments failed" in text
    world.deploys.down = True
    assert "Deploys: not available now." in client.get(page(world)).text
    for path in ("/services", "/services/payments", "/deploys"):
        answer = client.get(path)
        assert (answer.status_code, "not available now" in answer.text) == (200, True), path


def test_a_part_that_the_caller_may_not_see_is_not_promised_to_come_back(
    client: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_args: object) -> None:
        raise Refused(RefusalReason.PERMISSION_DENIED, "this asks for the scope deploys:read")

    monkeypatch.setattr(world.deploys, "list", refused)
    text = client.get(page(world)).text
    assert "<strong>Deploys: not yours to see.</strong> this asks for the scope deploys:read" in text
    assert "comes back by itself" not in text


def test_without_the_incident_service_pages_say_so_and_come_back(client: Client, world: World) -> None:
    world.incidents.down = True
    answer = client.get("/")
    assert (answer.status_code, "Incidents: not available now." in answer.text) == (200, True)
    assert "No incidents yet" not in answer.text
    answer = client.get(page(world))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "tries again by itself" in answer.text
    form = {"actor": "Ana", "text": "precious"}
    assert client.post(f"{page(world)}/notes", data=form, headers=SAME).status_code == 503


def test_a_service_page_shows_its_window(client: Client) -> None:
    text = client.get("/services/payments").text
    for words in (
        "Callers",
        "checkout",
        "payments-db",
        "NullPointerException: card token of &lt;*&gt; is null",
        "v2.31.0",
    ):
        assert words in text
    assert client.get("/services/payments?from=x").status_code == 400
    for year, status in (("0001", 400), ("1970", 200)):  # even the earliest window has one before it
        early = f"from={year}-01-01T00:00:00Z&to={year}-01-02T00:00:00Z"
        assert client.get(f"/services/payments?{early}").status_code == status
    assert client.get("/services/a%2Fb").status_code == 200
    assert client.get("/services/" + "x" * 300).status_code == 400


@pytest.mark.parametrize(
    ("start", "end", "word"), [(-40, -20, "as before"), (0, 15, "much worse"), (8, 15, "as before")]
)
def test_a_service_page_compares_its_calls_with_the_window_before(
    client: Client, world: World, start: int, end: int, word: str
) -> None:
    asked = {n: (world.onset + timedelta(minutes=m)).isoformat() for n, m in (("from", start), ("to", end))}
    text = client.get("/services/payments", params=asked).text
    assert f">{word}</td>" in text.partition(">fraud</a>")[2].partition("</tr>")[0]
    assert ("worse" in text) == (word == "much worse")


def test_the_tenant_comes_from_key_or_header_or_is_anonymous(tmp_path: Path) -> None:
    world = World(tmp_path, anonymous="")
    client = Client(world.app())
    refused = client.get("/")
    assert (refused.status_code, "INCIDENTSCOPE_ANONYMOUS_TENANT" in refused.text) == (401, True)
    assert client.get("/", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/", headers={"x-tenant-id": "nobody"}).status_code == 403
    assert "checkout: error rate" in client.get("/", headers={"authorization": f"Bearer {KEY}"}).text


def test_another_tenant_sees_nothing(client: Client, world: World) -> None:
    other = {"x-tenant-id": "other"}
    assert "checkout: error rate" not in client.get("/", headers=other).text
    assert client.get(page(world), headers=other).status_code == 404
    assert client.post(f"{page(world)}/resolve", data={"actor": "A"}, headers=SAME | other).status_code == 404
    assert "payments" not in client.get("/services", headers=other).text
    assert "v2.31.0" not in client.get("/deploys", headers=other).text


def test_a_fault_of_our_own_shows_no_details(client: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(world.incidents, "list", broken)
    answer = client.get("/")
    assert (answer.status_code, "secret detail" in answer.text) == (500, False)


def test_strange_methods_are_refused(client: Client) -> None:
    assert client.post("/", data={}).status_code == 405
    assert client.request("DELETE", "/deploys").status_code == 405
    assert client.get("/static/../settings.py").status_code == 404
    assert client.get("/static/%2e%2e/settings.py").status_code == 404
