"""A person leads an incident from its opening to the published postmortem, by keyboard, on real services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from tests.e2e.browsing import LAPTOP, PHONE, chromium, keep, look, press, tab_to, text, until, violations
from tests.integration.test_console_incidents import running

if TYPE_CHECKING:
    from tests.servers import Servers

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(stack: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(stack, tmp_path_factory.mktemp("services"), f"walk-{uuid4().hex[:8]}") as found:
        yield found


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    with chromium(tmp_path) as opened:
        yield opened


def judge(browser: Chrome, size: tuple[int, int], name: str) -> None:
    """Hold the page, in both colour schemes, to axe and to the width of the screen."""
    for scheme in ("dark", "light"):
        look(browser, size, scheme)
        keep(browser, f"walk-{name}-{size[0]}-{scheme}")
        assert violations(browser) == [], f"{name}, {scheme}"
        assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0], name


def submit(browser: Chrome, button: str, says: str) -> None:
    """Press a button by keyboard; the answer must be said and hold the focus, near the next thing to do."""
    press(browser, button, Keys.ENTER)
    until(browser, lambda: says in text(browser, ".done"), 20)
    assert browser.switch_to.active_element.get_attribute("class") == "done"


def fill(browser: Chrome, field: str, words: str) -> None:
    """Tab to a field and type."""
    tab_to(browser, lambda at: at.get_attribute("id") == field)
    browser.switch_to.active_element.send_keys(words)


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_a_person_leads_an_incident_to_its_postmortem(browser: Chrome, address: str, size: tuple[int, int]) -> None:
    look(browser, size)
    browser.get(address)
    until(browser, lambda: text(browser, "#live") == "Live", 20)
    browser.execute_script("window.notReloaded = true")
    title = f"search is slow at {size[0]}"
    for about, services in (("x", ["a"]), ("queue grows", ["b", "c"]), (title, ["search"])):
        opened = {"title": about, "severity": "INCIDENT_SEVERITY_MAJOR", "services": services, "actor": "Bo"}
        httpx.post(f"{address}/api/v1/incidents", json=opened, trust_env=False, timeout=20).raise_for_status()
    until(browser, lambda: title in text(browser, "#incidents"), 20)
    assert browser.execute_script("return window.notReloaded") is True
    judge(browser, size, "list")
    press(browser, title, Keys.ENTER)
    until(browser, lambda: "/incidents/" in browser.current_url)
    judge(browser, size, "open")
    fill(browser, "actor", "Ana")
    submit(browser, "Acknowledge", "You have taken this incident.")
    submit(browser, "Take command", "You are in command.")
    fill(browser, "text", "the cache is cold")
    submit(browser, "Add note", "The note is on the timeline.")
    assert "the cache is cold" in text(browser, "#timeline")
    submit(browser, "Mitigate", "The incident is mitigated.")
    judge(browser, size, "mitigated")
    submit(browser, "Resolve", "The incident is resolved.")
    judge(browser, size, "resolved")
    press(browser, "Postmortem", Keys.ENTER)
    submit(browser, "Draft from the timeline", "is drafted")
    judge(browser, size, "draft")
    for section in ("cause", "impact", "mitigations"):
        fill(browser, section, f"the {section}")
    submit(browser, "Publish", "is published")
    assert "the cause" in text(browser, ".postmortem")
    judge(browser, size, "published")
