// Keeps an open page current: when the server says that something changed, the page is read again and the parts
// marked data-live that differ are replaced. Without this script the pages work all the same, by reloading.
"use strict";

const QUIET_MS = 300; // changes come in bursts: wait for the end of one
const AT_MOST_EVERY_MS = 2000;
const indicator = document.getElementById("live");
let timer = 0;
let lastRead = 0;
let reading = false;

function show(state, text) {
  if (indicator.dataset.state === state) return;
  indicator.hidden = false;
  indicator.dataset.state = state;
  indicator.textContent = text;
}

function readAgainSoon() {
  clearTimeout(timer);
  timer = setTimeout(readAgain, Math.max(QUIET_MS, lastRead + AT_MOST_EVERY_MS - Date.now()));
}

async function readAgain() {
  if (reading) return readAgainSoon();
  reading = true;
  lastRead = Date.now();
  try {
    const answer = await fetch(document.body.dataset.page, { cache: "no-store" }); // a refused form's page has another
    if (answer.ok) replaceParts(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    show("off", "Not live: the console does not answer");
  } finally {
    reading = false;
  }
}

function replaceParts(fresh) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (!next || beingFilledIn(part) || plain(next) === plain(part)) continue;
    keepOpen(part, next);
    const focus = focusIn(part);
    const known = new Set(Array.from(part.querySelectorAll("tr[id]"), (row) => row.id));
    part.replaceWith(next);
    if (known.size) for (const row of next.querySelectorAll("tr[id]")) if (!known.has(row.id)) row.classList.add("new");
    if (focus) restoreFocus(next, focus);
  }
}

// Fields with another value than they came with, and one that is being typed into.
function beingFilledIn(part) {
  const changed = (field) =>
    field === document.activeElement ||
    (field.options
      ? Array.from(field.options).some((option) => option.selected !== option.defaultSelected)
      : field.value !== field.defaultValue || field.checked !== field.defaultChecked);
  return Array.from(part.querySelectorAll("input, select, textarea")).some(changed);
}

// Relative times differ on every reading; they alone are no reason to replace anything.
function plain(part) {
  const copy = part.cloneNode(true);
  for (const time of copy.querySelectorAll("[data-relative]")) time.textContent = "";
  for (const row of copy.querySelectorAll("tr.new")) row.classList.remove("new");
  for (const row of copy.querySelectorAll("tr[class='']")) row.removeAttribute("class");
  for (const box of copy.querySelectorAll("details[open]")) box.removeAttribute("open");
  return copy.innerHTML;
}

function keepOpen(old, next) {
  const before = old.querySelectorAll("details");
  const after = next.querySelectorAll("details");
  if (before.length === after.length) before.forEach((box, i) => (after[i].open = box.open));
}

function focusIn(part) {
  const at = document.activeElement;
  if (!part.contains(at)) return null;
  return { href: at.getAttribute("href"), text: at.textContent, tag: at.tagName };
}

function restoreFocus(part, was) {
  for (const candidate of part.querySelectorAll(was.tag)) {
    if (candidate.textContent === was.text && candidate.getAttribute("href") === was.href) return candidate.focus();
  }
}

function span(seconds) {
  const minutes = Math.floor(seconds / 60), hours = Math.floor(seconds / 3600), days = Math.floor(seconds / 86400);
  if (seconds < 60) return `${seconds} s`;
  if (minutes < 60) return `${minutes} min`;
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const seconds = Math.round((Date.now() - Date.parse(time.dateTime)) / 1000);
    const words = Math.abs(seconds) < 5 ? "just now" : seconds > 0 ? `${span(seconds)} ago` : `in ${span(-seconds)}`;
    if (time.textContent !== words) time.textContent = words;
  }
}

function listen(address) {
  const source = new EventSource(address);
  let opened = false;
  source.addEventListener("open", () => {
    if (opened) readAgainSoon(); // something may have been missed in between
    opened = true;
  });
  source.addEventListener("pulse", (event) => {
    if (JSON.parse(event.data).live) show("on", "Live");
    else show("off", "Not live: no events arrive; reload by hand");
  });
  source.addEventListener("change", readAgainSoon);
  source.addEventListener("full", () => {
    source.close();
    show("off", "Not live: too many pages are open");
  });
  source.addEventListener("error", () => show("off", "Not live: connecting again"));
}

// Enter in one of the rarer forms means its own button, not the first of the form they share.
document.addEventListener("keydown", (event) => {
  const box = event.key === "Enter" && event.target.matches("input") && event.target.closest("details.form");
  if (!box) return;
  event.preventDefault();
  box.querySelector("button").click();
});

if (document.body.dataset.listen) listen(document.body.dataset.listen);
setInterval(tick, 15000);

// On a narrow screen the map scrolls: begin at the suspect.
const map = document.querySelector(".map");
const suspect = map?.querySelector(".node-suspect rect");
if (suspect) map.scrollLeft += suspect.getBoundingClientRect().left - map.getBoundingClientRect().left - map.clientWidth / 2 + 60;
