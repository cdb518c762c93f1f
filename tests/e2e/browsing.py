"""Headless Chromium as a person with a keyboard uses it, and axe looking at the same page."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from selenium_axe_python.axe import Axe

from scripts.install_browser import ensure

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
LAPTOP, PHONE = (1366, 768), (390, 844)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Run a browser until the end of the block."""
    installed = ensure()
    options = Options()
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.binary_location = str(installed.chromium)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = Chrome(options=options, service=Service(str(installed.driver)))
    opened.set_page_load_timeout(20)
    try:
        yield opened
    finally:
        opened.quit()


def look(driver: Chrome, size: tuple[int, int], scheme: str = "light") -> None:
    """Show pages at a size and in a colour scheme."""
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def until(driver: Chrome, condition: Callable[[], object], seconds: float = 8) -> None:
    """Wait for something to become true."""

    def met(_driver: Chrome) -> object:
        try:
            return condition()
        except WebDriverException as error:  # while a page or a part of it is exchanged
            replaced = isinstance(error, (StaleElementReferenceException, NoSuchElementException))
            if replaced or "does not belong to the document" in str(error.msg):
                return False
            raise

    WebDriverWait(driver, seconds, 0.05).until(met)


def text(driver: Chrome, selector: str) -> str:
    """Return the text of the first element that matches."""
    return str(driver.find_element(By.CSS_SELECTOR, selector).text)


def keep(driver: Chrome, name: str, whole: bool = True) -> None:
    """Write a screenshot of the whole page, or of what fits the screen, where CONSOLE_SCREENSHOTS says."""
    folder = os.environ.get("CONSOLE_SCREENSHOTS")
    if folder:
        shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": whole})
        (Path(folder) / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


def tab_to(driver: Chrome, wanted: Callable[[Any], bool]) -> None:
    """Press Tab until the element with the focus is the wanted one, which must be visibly focused."""
    for _ in range(90):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        at = driver.switch_to.active_element
        if wanted(at):
            assert at.value_of_css_property("outline-style") != "none"
            return
    raise AssertionError("not reached by Tab")


def press(driver: Chrome, label: str, key: str) -> None:
    """Tab to what bears a label and press a key on it."""
    tab_to(driver, lambda at: at.text == label)
    driver.switch_to.active_element.send_keys(key)


def violations(driver: Chrome) -> list[str]:
    """Return what axe finds against WCAG 2 A and AA and best practice, and of drawings what axe leaves undecided."""
    axe = Axe(driver)
    axe.inject()  # type: ignore[no-untyped-call]
    found = axe.run(options={"runOnly": list(RULES), "resultTypes": ["violations"]})["violations"]
    judged = [
        f"{rule['id']} at {' '.join(map(str, node['target']))}: {' '.join(node['failureSummary'].split())}"
        for rule in found
        for node in rule["nodes"]
    ]
    return judged + list(driver.execute_script(DRAWINGS))


# Charts and maps: text too faint on its ground (WCAG 1.4.3; axe does not measure inside SVG), and pictures without a
# name. Returns one line for each.
DRAWINGS = """
const channel = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parse = s => s.match(/[\\d.]+/g).map(Number);
const ground = e => {
  for (; e; e = e.parentElement) {
    const shape = e.closest("a.node")?.querySelector("rect");
    const c = parse(shape ? getComputedStyle(shape).fill : getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] === 1) return c;
  }
  return [255, 255, 255];
};
const bad = [];
for (const e of document.querySelectorAll("svg text, svg tspan")) {
  if (!Array.from(e.childNodes).some(n => n.nodeType === 3 && n.textContent.trim())) continue;
  const style = getComputedStyle(e), a = light(parse(style.fill)), b = light(ground(e));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
  if (ratio < (large ? 3 : 4.5)) bad.push(`${e.tagName}.${e.getAttribute("class")} ${ratio.toFixed(2)}`);
}
for (const e of document.querySelectorAll("svg")) {
  const ids = (e.getAttribute("aria-labelledby") || "").split(" ");
  if (!ids.every(id => document.getElementById(id)?.textContent)) bad.push("svg without a name");
}
return bad;
"""
