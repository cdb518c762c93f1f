"""Judging likely causes in headless Chromium, at the sizes of a laptop and a phone."""

from __future__ import annotations

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.e2e.browsing import LAPTOP, PHONE, keep, look, text, until
from tests.e2e.test_console_browser import Site, browser, driver, site

pytestmark = pytest.mark.browser
__all__ = ["browser", "driver", "site"]  # fixtures


def _click(browser: Chrome, selector: str) -> None:
    element = browser.find_element(By.CSS_SELECTOR, selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def _as(browser: Chrome, person: str) -> None:
    """Say who acts; the page remembers who did before."""
    field = browser.find_element(By.ID, "actor")
    field.clear()
    field.send_keys(person)


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_a_person_confirms_a_cause_with_a_note_and_sees_it_on_the_hypothesis(
    browser: Chrome, site: Site, size: tuple[int, int]
) -> None:
    look(browser, size)
    browser.get(site.incident)
    _as(browser, "Ana")
    browser.find_element(By.ID, "text").send_keys("rolled back, gone")
    _click(browser, ".hypothesis.first button[formaction$=confirm]")
    until(browser, lambda: "The cause is confirmed." in text(browser, ".respond"))
    assert "✓ confirmed by Ana" in text(browser, ".hypothesis.first")
    (given,) = site.world.incidents.feedback
    assert (given.service, given.analysis_version, given.note) == ("payments", 2, "rolled back, gone")
    keep(browser, f"feedback-{size[0]}")


def test_without_a_name_the_browser_asks_for_it_and_nothing_is_sent(browser: Chrome, site: Site) -> None:
    browser.get(site.incident)
    _as(browser, "")
    _click(browser, ".hypothesis.first button[formaction$=reject]")
    assert browser.execute_script("return document.activeElement.id") == "actor"
    assert not site.world.incidents.feedback


def test_a_real_cause_is_named_and_a_mistake_keeps_what_was_typed(browser: Chrome, site: Site) -> None:
    browser.get(site.incident)
    _as(browser, "Bo")
    _click(browser, "#real-cause summary")
    browser.find_element(By.ID, "cause-service").send_keys("dns")
    _click(browser, "#real-cause button")
    until(browser, lambda: "The cause is empty" in text(browser, ".respond"))
    assert browser.find_element(By.ID, "cause-service").get_attribute("value") == "dns"
    browser.find_element(By.ID, "cause").send_keys("a zone expired")
    _click(browser, "#real-cause button")
    until(browser, lambda: "The real cause is recorded." in text(browser, ".respond"))
    assert "Real cause, named by Bo" in text(browser, "#causes")
    assert "dns: a zone expired" in text(browser, "#causes .real")


def test_a_cause_being_typed_survives_what_others_do(browser: Chrome, site: Site) -> None:
    browser.get(site.incident)
    until(browser, lambda: text(browser, "#live") == "Live")
    _click(browser, "#real-cause summary")
    browser.find_element(By.ID, "cause").send_keys("half a thou")
    world = site.world
    latest = world.incidents.analyses[world.main.id]
    world.incidents.older[world.main.id].insert(0, type(latest).FromString(latest.SerializeToString()))
    latest.version, latest.change_statement = 3, "payments went from 87 % to 91 %."
    world.tell("HypothesesPublished", world.main.id, "correlation.hypotheses")
    until(browser, lambda: "went from 87 % to 91 %" in text(browser, "#causes"))
    browser.switch_to.active_element.send_keys("ght")
    assert browser.find_element(By.ID, "cause").get_attribute("value") == "half a thought"
    assert browser.find_element(By.NAME, "about").get_attribute("value") == "3.1"
    judged = browser.find_element(By.CSS_SELECTOR, ".hypothesis.first button[name=judged]")
    assert judged.get_attribute("value") == "3.1"


def test_checks_queries_and_history_open_without_widening_the_page(browser: Chrome, site: Site) -> None:
    for size in (LAPTOP, PHONE):
        look(browser, size)
        browser.get(site.incident)
        opened = "document.querySelectorAll('#causes details').forEach(box => { box.open = true })"
        browser.execute_script(opened)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
        assert "Against it:" in text(browser, ".hypothesis.first .checks")
        assert "SELECT" in text(browser, ".hypothesis.first .checks pre")
        keep(browser, f"checks-{size[0]}")
    _click(browser, ".history a[href$='/analyses/1']")
    until(browser, lambda: "Not enough evidence to name a cause." in text(browser, ".analysis"))
