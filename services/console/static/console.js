// Keyboard, live bars and dialogs. Everything also works without this file, with more steps.
"use strict";

// Keys: an element with data-key="j" or data-key="g i" is clicked, or focused if it takes text.
let prefix = null;
let prefixTimer = null;

const visible = (element) => element.checkVisibility();
const keyed = (key) => [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find(visible);
const typing = (element) =>
  element.isContentEditable || element.matches("textarea, select, input:not([type=checkbox], [type=radio])");

// A key that is held down acts only once, except j and k, which move on, and letters in a text.
document.addEventListener("keydown", (event) => {
  if (!event.repeat || !acts(event)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);

function acts(event) {
  const combined = event.ctrlKey || event.metaKey || event.altKey;
  if (event.key === "Enter") return combined || !event.target.matches("textarea");
  return event.key.length === 1 && event.key !== " " && !combined && !typing(event.target) && !rowStep(event);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && typing(event.target)) return event.target.blur();
  if (event.key === "F1" && !event.shiftKey) {
    event.preventDefault();
    if (!event.repeat && !document.querySelector("dialog[open]")) keyed("?")?.click();
    return;
  }
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  const pressed = latin(event);
  const element = keyed(prefix ? `${prefix} ${pressed}` : pressed);
  clearTimeout(prefixTimer);
  if (prefix) {
    // The letter after «g» has no other meaning, even if no element has this key.
    prefix = null;
    event.stopImmediatePropagation();
  } else if (!element && document.querySelector(`[data-key^="${CSS.escape(pressed)} "]`)) {
    prefix = pressed;
    prefixTimer = setTimeout(() => { prefix = null; }, 1500);
    return;
  }
  if (!element) return;
  event.preventDefault();
  if (typing(element)) element.focus();
  else element.click();
});

// Return the Latin character of the pressed key, also under the Russian layout.
function latin(event) {
  if (/^[а-яё]$/i.test(event.key)) {
    const brackets = { BracketLeft: "[", BracketRight: "]" };
    if (event.code in brackets) return brackets[event.code];
    if (!/^Key[A-Z]$/.test(event.code)) return event.key;
    const letter = event.code.slice(3).toLowerCase();
    return event.shiftKey ? letter.toUpperCase() : letter;
  }
  if (event.key === "." && event.code === "Slash") return "/";
  if (event.key === "," && event.code === "Slash") return "?";
  return event.key;
}

const rowStep = (event) => ({ j: 1, k: -1 })[latin(event)];

// A form with data-decides is followed by the next decision: a second press would decide that one unread.
const DECISION_PAUSE = 300;
let decidedAt = -DECISION_PAUSE;
let deciding = null;

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-decides]")) return;
  if (deciding?.isConnected || event.timeStamp - decidedAt < DECISION_PAUSE) {
    event.preventDefault();
    event.stopImmediatePropagation();
    return;
  }
  decidedAt = event.timeStamp;
}, true);
document.addEventListener("htmx:before:request", (event) => {
  const source = event.detail.ctx.sourceElement;
  if (source.matches?.("[data-decides]")) deciding = source;
});
document.addEventListener("htmx:finally:request", (event) => {
  if (event.detail.ctx.sourceElement === deciding || !deciding?.isConnected) deciding = null;
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (!opener) return;
  const dialog = document.getElementById(opener.dataset.opens);
  if (dialog.id === "keyboard-help") listKeys(dialog.querySelector("tbody"));
  dialog.showModal();
});

// List the keys of the shown page, of the sections, and those that work everywhere.
function listKeys(first) {
  const table = first.closest("table");
  for (const body of table.tBodies) {
    for (const row of [...body.rows]) if ("listed" in row.dataset) row.remove();
  }
  for (const element of document.querySelectorAll("[data-key][data-key-label]")) {
    if (!visible(element)) continue;
    const group = element.closest("#navigation") ? "sections" : element.closest("header.top") ? "everywhere" : "page";
    const row = table.querySelector(`[data-keys="${group}"]`).insertRow();
    row.dataset.listed = "";
    row.insertCell().append(...element.dataset.key.split(" ").flatMap((key, at) => {
      const shown = document.createElement("kbd");
      shown.textContent = key;
      return at ? [", затем ", shown] : [shown];
    }));
    row.insertCell().textContent = element.dataset.keyLabel;
  }
  for (const body of table.tBodies) body.hidden = body.rows.length < 2;
}

// Lists: j and k move the focus over rows with data-row.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const step = rowStep(event);
  if (!step) return;
  const rows = [...document.querySelectorAll("[data-row]")].filter(visible);
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
  (next.matches("a, button") ? next : next.querySelector("a, button, input")).focus();
  event.preventDefault();
});

// Live bars: an element with data-live="appeal.opened,…" counts events and offers to show them. A page has one stream.
// data-live-where='{"urgency": ["high"]}' counts only events with one of these values in their data.
let stream = null;
let watched = ""; // the events that the bar counts; a new bar with the same ones keeps the stream
let last = null;
let attempt = 0; // responses that belong to an earlier attempt are ignored
let retry = null;
let refused = false; // the last stream was refused, with an unknown status
let over = false; // the refusal is permanent: do not try again
const counted = new Set();

// Called after each swap; most swaps replace other parts of the page.
function watch() {
  const bar = document.querySelector("[data-live]");
  if (bar?.querySelector("[data-live-show]").hidden) counted.clear(); // the page was loaded again
  const asked = bar ? JSON.stringify([bar.dataset.live, bar.dataset.liveAppeal, bar.dataset.liveWhere]) : "";
  if (asked === watched) return;
  watched = asked;
  counted.clear();
  last = null;
  refused = over = false;
  stop();
  follow();
}

async function follow() {
  if (!watched || stream || over || document.hidden) return;
  stop();
  const mine = attempt;
  try {
    const answer = await fetch("/live/ticket", { method: "POST" });
    if (mine !== attempt || ends(answer)) return;
    const { ticket } = await answer.json();
    if (mine !== attempt) return;
    if (refused) {
      const answered = await refusalOf(streamAddress(ticket));
      if (mine !== attempt || ends(answered)) return;
      refused = false;
      return later();
    }
    openStream(streamAddress(ticket));
  } catch { // no network, or the session has ended
    if (mine === attempt) later();
  }
}

// EventSource does not give the status of a refusal: request it with fetch, without reading the body.
async function refusalOf(path) {
  const reading = new AbortController();
  const answer = await fetch(path, { signal: reading.signal });
  reading.abort();
  return answer;
}

function ends(answer) {
  over = answer.status === 403 || answer.status === 422;
  return over;
}

function streamAddress(ticket) {
  const [types, appeal] = JSON.parse(watched);
  const query = new URLSearchParams({ ticket, type: types });
  if (appeal) query.set("appeal_id", appeal);
  if (last) query.set("after", last);
  return `/api/v1/stream?${query}`;
}

function openStream(path) {
  const source = stream = new EventSource(path);
  const again = () => { stop(); later(); };
  for (const type of JSON.parse(watched)[0].split(",")) {
    source.addEventListener(type, (message) => {
      last = message.lastEventId;
      arrived(JSON.parse(message.data));
    });
  }
  source.addEventListener("stream.opened", (message) => { last = message.lastEventId; });
  source.addEventListener("stream.ended", (message) => {
    const { reason, next_after } = JSON.parse(message.data);
    last = reason === "gone" ? next_after : message.lastEventId;
    if (reason === "gone") arrived({ id: "gone", subject_id: "gone" });
    again();
  });
  source.onerror = () => {
    refused = source.readyState === EventSource.CLOSED;
    again();
  };
}

// data-live-since is the time at which the page was read: it already shows earlier events, also those of the person.
function isShown(bar, event) {
  const since = bar.dataset.liveSince;
  return Boolean(since) && Date.parse(event.occurred_at) <= Date.parse(since);
}

const later = () => { retry = setTimeout(follow, 1000 + Math.random() * 9000); };

function stop() {
  attempt += 1;
  clearTimeout(retry);
  stream?.close();
  stream = null;
}

// An event of an incident has the incident's id only as its subject.
const valueOf = (event, name) => (
  name === "incident_id" && event.type.startsWith("incident.") ? event.subject_id : event.data[name]
);

function arrived(event) {
  const bar = document.querySelector("[data-live]");
  if (!bar || bar.dataset.paused || isShown(bar, event)) return;
  const where = Object.entries(JSON.parse(bar.dataset.liveWhere || "{}"));
  if (event.data && !where.every(([name, values]) => values.includes(valueOf(event, name)))) return;
  // A list counts each appeal once, the page of an appeal counts each change.
  counted.add(bar.dataset.liveAppeal ? event.id : event.subject_id);
  const button = bar.querySelector("[data-live-show]");
  button.hidden = false;
  button.textContent = bar.dataset.liveText.replace("{n}", counted.size);
  document.getElementById("announcer").textContent = button.textContent;
}

document.addEventListener("click", (event) => {
  const pause = event.target.closest("[data-live-pause]");
  if (!pause) return;
  const bar = pause.closest("[data-live]");
  if (bar.dataset.paused) delete bar.dataset.paused; else bar.dataset.paused = "yes";
  pause.setAttribute("aria-pressed", String(Boolean(bar.dataset.paused)));
});

document.addEventListener("htmx:after:swap", watch);
document.addEventListener("visibilitychange", () => (document.hidden ? stop() : follow()));
window.addEventListener("pagehide", stop);
watch();

// Selection of rows: a box with data-selects="name" checks all boxes of that name.
document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-selects]");
  if (!all) return;
  for (const box of document.getElementsByName(all.dataset.selects)) box.checked = all.checked;
});
