"""The console in headless Chromium, over in-memory ports: what only a browser can show."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from incidentscope.incident.v1 import incident_pb2
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.e2e.browsing import LAPTOP, PHONE, chromium, keep, look, press, tab_to, text, until, violations
from tests.unit.services.console.memory_services import TENANT
from tests.unit.services.console.world import World

pytestmark = pytest.mark.browser


@dataclass
class Site:
    """A running console and the world behind it."""

    world: World
    address: str

    @property
    def incident(self) -> str:
        """Return the address of the main incident."""
        return f"{self.address}/incidents/{self.world.main.id}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    world = World(tmp_path)
    server = uvicorn.Server(
        uvicorn.Config(world.app(), port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=2)
    )

    async def serve() -> None:
        world.feed.open()
        world.feed.set_connected(True)
        await server.serve()
        world.feed.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Site(world, f"http://127.0.0.1:{port}")
    world.feed.close()
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def browser(driver: Chrome) -> Iterator[Chrome]:
    look(driver, LAPTOP)
    driver.get_log("browser")  # type: ignore[no-untyped-call]
    yield driver
    driver.get("about:blank")
    driver.delete_all_cookies()


def test_a_new_incident_appears_without_reload(browser: Chrome, site: Site) -> None:
    browser.get(site.address)
    until(browser, lambda: text(browser, "#live") == "Live")
    browser.execute_script("window.notReloaded = true")
    made = site.world.incidents.add(TENANT, "search: no results", site.world.now)
    site.world.tell("IncidentOpened", made.id)
    until(browser, lambda: "search: no results" in text(browser, "#incidents"))
    assert browser.execute_script("return window.notReloaded") is True
    assert browser.find_elements(By.CSS_SELECTOR, f"tr.new[id='i-{made.id}']")


def test_a_live_list_keeps_to_its_filters_and_to_what_is_being_typed(browser: Chrome, site: Site) -> None:
    browser.get(f"{site.address}/?q=search&sort=severity")
    until(browser, lambda: text(browser, "#live") == "Live")
    assert "No incident matches" in text(browser, "#incidents")
    browser.find_element(By.ID, "service").send_keys("half")
    other = site.world.incidents.add(TENANT, "mail: nothing sent", site.world.now)
    site.world.tell("IncidentOpened", other.id)
    made = site.world.incidents.add(TENANT, "search: no results", site.world.now)
    site.world.tell("IncidentOpened", made.id)
    until(browser, lambda: "search: no results" in text(browser, "#incidents"))
    assert "mail" not in text(browser, "#incidents")
    assert browser.find_element(By.ID, "service").get_attribute("value") == "half"


def test_a_list_is_narrowed_by_keyboard_on_a_phone_without_script(browser: Chrome, site: Site) -> None:
    look(browser, PHONE)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(site.address)
        fields = browser.find_element(By.CSS_SELECTOR, ".filters .fields")
        assert not fields.is_displayed()
        press(browser, "Filter and sort", Keys.ENTER)
        until(browser, fields.is_displayed)
        tab_to(browser, lambda at: at.get_attribute("value") == "acknowledged")
        browser.switch_to.active_element.send_keys(Keys.SPACE, Keys.ENTER)
        until(browser, lambda: "status acknowledged" in text(browser, ".chips"))
        assert "cart: p95 latency" in text(browser, "#incidents")
        assert "checkout" not in text(browser, "#incidents")
        press(browser, "Remove filter\nstatus acknowledged ×", Keys.ENTER)
        until(browser, lambda: "checkout: error rate" in text(browser, "#incidents"))
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_an_open_incident_page_follows_events_and_keeps_what_is_being_typed(browser: Chrome, site: Site) -> None:
    world = site.world
    world.incidents.no_analysis = True
    browser.get(site.incident)
    until(browser, lambda: text(browser, "#live") == "Live")
    assert "No analysis yet" in text(browser, "#causes")
    browser.find_element(By.ID, "text").send_keys("half a thou")
    world.incidents.no_analysis = False
    world.tell("HypothesesPublished", world.main.id, "correlation.hypotheses")
    until(browser, lambda: "31 % of 2210 requests to payments failed" in text(browser, "#causes"))
    browser.switch_to.active_element.send_keys("ght")
    assert browser.find_element(By.ID, "text").get_attribute("value") == "half a thought"


def test_a_change_by_somebody_else_updates_version_and_buttons(browser: Chrome, site: Site) -> None:
    browser.get(site.incident)
    until(browser, lambda: text(browser, "#live") == "Live")
    world = site.world
    world.main.status, world.main.version = incident_pb2.INCIDENT_STATUS_ACKNOWLEDGED, 2
    world.main.acknowledged_by = "Bo"
    world.tell("IncidentAcknowledged", world.main.id)
    until(browser, lambda: "taken by Bo" in text(browser, "#lead"))
    assert "Acknowledge" not in text(browser, "#buttons")
    browser.find_element(By.ID, "actor").send_keys("Ana")
    browser.find_element(By.CSS_SELECTOR, "button[formaction$=resolve]").click()
    until(browser, lambda: "The incident is resolved." in text(browser, ".respond"))


def test_a_person_walks_from_the_list_to_resolved_by_keyboard_alone(browser: Chrome, site: Site) -> None:
    browser.get(site.address)
    press(browser, "checkout: error rate 28 % (threshold 5 %)", Keys.ENTER)
    until(browser, lambda: "/incidents/" in browser.current_url)
    tab_to(browser, lambda at: at.get_attribute("id") == "actor")
    browser.switch_to.active_element.send_keys("Ana", Keys.TAB, "taking a look")
    press(browser, "Acknowledge", Keys.SPACE)
    until(browser, lambda: "You have taken this incident." in text(browser, ".respond"))
    assert "taken by Ana" in text(browser, "#lead")
    assert "taking a look" in text(browser, "#timeline")
    tab_to(browser, lambda at: at.get_attribute("id") == "text")
    browser.switch_to.active_element.send_keys("rolled back")
    press(browser, "Resolve", Keys.ENTER)
    until(browser, lambda: "The incident is resolved." in text(browser, ".respond"))
    assert "Resolved by Ana. rolled back" in text(browser, "#timeline")
    keep(browser, "resolved")


def test_a_person_leads_an_incident_to_its_postmortem_by_keyboard_alone(browser: Chrome, site: Site) -> None:
    browser.get(site.incident)
    tab_to(browser, lambda at: at.get_attribute("id") == "actor")
    browser.switch_to.active_element.send_keys("Ana")
    for button, says in (
        ("Acknowledge", "You have taken this incident."),
        ("Take command", "You are in command."),
        ("Mitigate", "The incident is mitigated."),
    ):
        press(browser, button, Keys.ENTER)
        until(browser, lambda says=says: says in text(browser, ".respond"))  # type: ignore[misc]
    assert "Commander Ana" in text(browser, "#lead")
    press(browser, "Add a task", Keys.ENTER)
    tab_to(browser, lambda at: at.get_attribute("id") == "task-title")
    browser.switch_to.active_element.send_keys("alert on the error budget", Keys.ENTER)
    until(browser, lambda: "The task is on the list." in text(browser, ".respond"))
    assert "alert on the error budget" in text(browser, "#tasks")
    keep(browser, "led-1366")
    press(browser, "Resolve", Keys.ENTER)
    until(browser, lambda: "The incident is resolved." in text(browser, ".respond"))
    press(browser, "Postmortem", Keys.ENTER)
    press(browser, "Draft from the timeline", Keys.ENTER)
    until(browser, lambda: "is drafted" in text(browser, ".done"))
    for section in ("cause", "impact", "mitigations"):
        tab_to(browser, lambda at, section=section: at.get_attribute("id") == section)  # type: ignore[misc]
        browser.switch_to.active_element.send_keys(f"the {section}")
    press(browser, "Publish", Keys.ENTER)
    until(browser, lambda: "is published" in text(browser, ".done"))
    assert "the cause" in text(browser, ".postmortem")
    keep(browser, "published-1366")


def test_the_rarer_forms_are_usable_on_a_phone(browser: Chrome, site: Site) -> None:
    look(browser, PHONE)
    browser.get(site.incident)
    browser.execute_script("for (const box of document.querySelectorAll('details.form')) box.open = true")
    keep(browser, "forms-390")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    assert violations(browser) == []
    heights = "return Array.from(document.querySelectorAll('button'), b => b.getBoundingClientRect().height)"
    assert min(browser.execute_script(heights)) >= 44


def pages(site: Site) -> dict[str, str]:
    """Return every page by name."""
    return {
        "list": site.address,
        "narrowed": f"{site.address}/?q=checkout&status=open&severity=critical&last=24h&sort=severity",
        "nothing": f"{site.address}/?q=nothing&service=mail",
        "refused": f"{site.address}/?status=broken",
        "incident": site.incident,
        "services": f"{site.address}/services",
        "service": f"{site.address}/services/payments",
        "deploys": f"{site.address}/deploys",
        "postmortem": f"{site.incident}/postmortem",
        "missing": f"{site.address}/nope",
    }


@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_has_enough_contrast(
    browser: Chrome, site: Site, size: tuple[int, int], scheme: str
) -> None:
    look(browser, size, scheme)
    for name, address in pages(site).items():
        browser.get(address)
        keep(browser, f"{name}-{size[0]}-{scheme}")
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= size[0], f"{name} scrolls sideways: {width}"
        assert violations(browser) == [], name


def test_the_contrast_check_finds_what_is_too_faint(browser: Chrome, site: Site) -> None:
    browser.get(site.address)
    browser.execute_script("document.querySelector('h1').style.color = '#aaa'")
    (found,) = violations(browser)
    assert found.startswith("color-contrast at h1: ")


def test_the_contrast_check_looks_into_drawings(browser: Chrome, site: Site) -> None:
    browser.get(site.incident)
    browser.execute_script("document.querySelector('svg text').style.fill = '#aaa'")
    (found,) = violations(browser)
    assert found.startswith("text.")


def test_a_page_gone_stale_says_so_and_keeps_what_was_typed(browser: Chrome, site: Site) -> None:
    browser.get(site.incident)
    browser.execute_script("document.querySelector('#version input').value = '1'")  # as in a tab left open, offline
    site.world.main.version = 7
    tab_to(browser, lambda at: at.get_attribute("id") == "actor")
    browser.switch_to.active_element.send_keys("Bo")
    tab_to(browser, lambda at: at.get_attribute("id") == "text")
    browser.switch_to.active_element.send_keys("pool is full")
    press(browser, "Mitigate", Keys.ENTER)
    until(browser, lambda: "Somebody changed this meanwhile." in text(browser, ".respond [role=alert]"))
    assert browser.switch_to.active_element.get_attribute("role") == "alert"
    assert browser.find_element(By.ID, "text").get_attribute("value") == "pool is full"
    keep(browser, "stale")
    press(browser, "Mitigate", Keys.ENTER)
    until(browser, lambda: "The incident is mitigated." in text(browser, ".respond"))


def test_a_refused_forms_page_stays_live_and_keeps_every_field_while_others_go_on(browser: Chrome, site: Site) -> None:
    world = site.world
    browser.get(site.incident)
    browser.find_element(By.ID, "actor").send_keys("Bo")
    browser.find_element(By.ID, "text").send_keys("precious")
    browser.execute_script("document.querySelector('#version input').value = '7'; window.scrollTo(0, 0)")
    browser.execute_script("document.querySelector('#change-facts').open = true")
    browser.find_element(By.CSS_SELECTOR, "#severity option[value=minor]").click()
    browser.find_element(By.CSS_SELECTOR, "button[formaction$=facts]").click()
    until(browser, lambda: "Somebody changed this meanwhile." in text(browser, ".respond [role=alert]"))
    until(browser, lambda: text(browser, "#live") == "Live")
    _another_changes_the_facts(world)
    until(browser, lambda: "somebody else was here" in text(browser, "#timeline"))
    assert browser.find_element(By.ID, "text").get_attribute("value") == "precious"
    assert browser.find_element(By.ID, "severity").get_attribute("value") == "minor"
    assert browser.find_element(By.ID, "change-facts").get_attribute("open")
    assert browser.current_url.endswith("/facts")
    browser.get(browser.current_url)
    assert browser.current_url == site.incident


def test_facts_being_typed_are_not_replaced_and_untouched_ones_are(browser: Chrome, site: Site) -> None:
    browser.get(site.incident)
    until(browser, lambda: text(browser, "#live") == "Live")
    browser.execute_script("document.querySelector('#change-facts').open = true")
    _another_changes_the_facts(site.world)
    until(browser, lambda: browser.find_element(By.ID, "priority").get_attribute("value") == "P1")
    assert browser.find_element(By.ID, "change-facts").get_attribute("open")
    browser.find_element(By.ID, "bridge").send_keys("https://call.exa")
    browser.find_element(By.ID, "text").click()
    _another_changes_the_facts(site.world, incident_pb2.INCIDENT_PRIORITY_P2, "and once more")
    until(browser, lambda: "and once more" in text(browser, "#timeline"))
    assert browser.find_element(By.ID, "bridge").get_attribute("value") == "https://call.exa"


def _another_changes_the_facts(
    world: World,
    priority: incident_pb2.IncidentPriority.ValueType = incident_pb2.INCIDENT_PRIORITY_P1,
    text: str = "somebody else was here",
) -> None:
    world.main.priority, world.main.version = priority, world.main.version + 1
    world.incidents.note(world.main.id, incident_pb2.TIMELINE_KIND_NOTE, world.now, "Cy", text)
    world.tell("IncidentUpdated", world.main.id)


def test_the_browser_finds_nothing_to_complain_about(browser: Chrome, site: Site) -> None:
    site.world.main.title = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    for name, address in pages(site).items():
        browser.get(address)
        log = browser.get_log("browser")  # type: ignore[no-untyped-call]
        assert [e for e in log if "the server responded with a status of 40" not in e["message"]] == [], name
        assert browser.title != "owned"
        ids = browser.execute_script("return Array.from(document.querySelectorAll('[id]'), e => e.id)")
        assert len(ids) == len(set(ids)), name


def test_pages_work_without_script(browser: Chrome, site: Site) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(site.incident)
        assert "31 % of 2210 requests to payments failed" in text(browser, "#causes")
        browser.find_element(By.ID, "actor").send_keys("Ana")
        browser.find_element(By.CSS_SELECTOR, "button[formaction$=acknowledge]").click()
        until(browser, lambda: "You have taken this incident." in text(browser, ".respond"))
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_lost_contact_is_shown(browser: Chrome, site: Site) -> None:
    browser.get(site.address)
    until(browser, lambda: text(browser, "#live") == "Live")
    site.world.feed.close()  # ends the stream; the page connects again and is turned away
    until(browser, lambda: text(browser, "#live").startswith("Not live"))


def test_the_pictures_of_the_readme_show_the_cause_without_scrolling(browser: Chrome, site: Site) -> None:
    for path, name in (("/", "incidents"), (f"/incidents/{site.world.main.id}", "incident")):
        browser.get(site.address + path)
        until(browser, lambda: text(browser, "#live") == "Live")
        keep(browser, f"readme-{name}", whole=False)
    assert _in_sight(browser, ".hypothesis.first h3")
    look(browser, PHONE)
    browser.get(site.incident)
    until(browser, lambda: text(browser, "#live") == "Live")
    keep(browser, "readme-incident-phone", whole=False)
    assert _in_sight(browser, ".hypothesis.first h3")


def _in_sight(browser: Chrome, selector: str) -> bool:
    found = browser.find_element(By.CSS_SELECTOR, selector)
    script = "const b = arguments[0].getBoundingClientRect(); return b.top >= 0 && b.bottom <= window.innerHeight"
    return bool(browser.execute_script(script, found))
