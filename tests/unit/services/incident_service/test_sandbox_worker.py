"""What a template can do: name the facts it is given, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.incident_service.adapters.sandbox_worker import answer
from services.incident_service.domain import postmortems
from services.incident_service.domain.communication import DEFAULTS, Channel, facts, sample
from services.incident_service.domain.records import Postmortem

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)
FACTS = facts(sample(NOW), "We know.", "https://console.example/")


def ask(body: str, subject: str = "") -> dict[str, str]:
    return answer({"subject": subject, "body": body, "facts": FACTS, "limits": {"subject": 100, "body": 1000}})


@pytest.mark.parametrize("channel", list(Channel))
def test_the_products_own_templates_render(channel: Channel) -> None:
    made = ask(DEFAULTS[channel].body, DEFAULTS[channel].subject)
    assert "We know." in made["body"]


def test_a_template_names_facts() -> None:
    made = ask("{{ incident.services | join('+') }} {{ incident.url }}")
    assert made["body"] == "checkout+payments https://console.example/incidents/00000000-0000-7000-8000-000000000000"


def test_an_email_tells_the_first_alerts_time_in_the_words_of_the_postmortem() -> None:
    body = ask(DEFAULTS[Channel.EMAIL].body)["body"]
    decision = postmortems.draft(sample(NOW), None, postmortems.Material([], []), "ann", NOW)
    (drafted,) = (made for made in decision.records if isinstance(made, Postmortem))
    told = f"Alerts fired from {NOW:%Y-%m-%d %H:%M} UTC"
    assert f"\n{told}.\n" in body
    assert told in drafted.impact
    assert "Began" not in body


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{% if %}", "body (line 1)"),
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{{ incident.nothing }}", "nothing"),
        ("{{ ''.__class__ }}", "not allowed"),
        ("{{ incident.pop('id') }}", "not allowed"),
        ("{{ message.format.__globals__ }}", "not allowed"),
        ("{{ '{0.__class__}'.format(message) }}", "not allowed"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{% for a in range(9) %}{% endfor %}", "'range' is undefined"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{% include 'x' %}", "body"),
        ("{{ message * 200 }}", "more than 1000 characters"),
    ],
)
def test_anything_else_is_an_error_that_says_where(body: str, says: str) -> None:
    assert says in ask(body)["error"]
