// Keyboard, live bars and dialogs. Everything works without this file, only slower to the hand.
"use strict";

// Keys: an element with data-key="j" or data-key="g i" is clicked, or focused if it takes text.
let prefix = null;
let prefixTimer = null;

const visible = (element) => element.checkVisibility();
const keyed = (key) => [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find(visible);
const typing = (element) =>
  element.isContentEditable || element.matches("textarea, select, input:not([type=checkbox], [type=radio])");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && typing(event.target)) return event.target.blur();
  if (typing(event.target) || document.querySelector("dialog[open]")) return;
  const pressed = latin(event);
  const element = (prefix && keyed(`${prefix} ${pressed}`)) || keyed(pressed);
  clearTimeout(prefixTimer);
  if (!element && document.querySelector(`[data-key^="${CSS.escape(pressed)} "]`)) {
    prefix = pressed;
    prefixTimer = setTimeout(() => { prefix = null; }, 1500);
    return;
  }
  prefix = null;
  if (!element) return;
  event.preventDefault();
  if (typing(element)) element.focus();
  else element.click();
});

// The same physical key under the Russian layout.
function latin(event) {
  if (/^[а-яё]$/i.test(event.key) && /^Key[A-Z]$/.test(event.code)) {
    const letter = event.code.slice(3).toLowerCase();
    return event.shiftKey ? letter.toUpperCase() : letter;
  }
  if (event.key === "." && event.code === "Slash") return "/";
  if (event.key === "," && event.code === "Slash") return "?";
  return event.key;
}

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (!opener) return;
  const dialog = document.getElementById(opener.dataset.opens);
  if (dialog.id === "keyboard-help") listKeys(dialog.querySelector("tbody"));
  dialog.showModal();
});

// Keys of the page that is shown, of the sections, and those that work everywhere.
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
  const step = { j: 1, k: -1 }[latin(event)];
  if (!step) return;
  const rows = [...document.querySelectorAll("[data-row]")].filter(visible);
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
  (next.matches("a, button") ? next : next.querySelector("a, button, input")).focus();
  event.preventDefault();
});

// Live bars: an element with data-live="appeal.opened,…" counts events and offers to show them. One stream a page.
// data-live-where='{"urgency": ["high"]}' counts only events with one of these values in their data.
let stream = null;
let last = null;
const counted = new Set();

async function follow() {
  const bar = document.querySelector("[data-live]");
  if (!bar || stream || document.hidden) return;
  let ticket;
  try {
    const answer = await fetch("/live/ticket", { method: "POST" });
    if (!answer.ok) return later();
    ({ ticket } = await answer.json());
  } catch { // no network
    return later();
  }
  const types = bar.dataset.live;
  const query = new URLSearchParams({ ticket, type: types });
  if (bar.dataset.liveAppeal) query.set("appeal_id", bar.dataset.liveAppeal);
  if (last) query.set("after", last);
  stream = new EventSource(`/api/v1/stream?${query}`);
  const again = () => { stop(); later(); };
  for (const type of types.split(",")) {
    stream.addEventListener(type, (message) => {
      last = message.lastEventId;
      const event = JSON.parse(message.data);
      if (!isShown(bar, event)) arrived(event);
    });
  }
  stream.addEventListener("stream.opened", (message) => { last = message.lastEventId; });
  stream.addEventListener("stream.ended", (message) => {
    const { reason, next_after } = JSON.parse(message.data);
    last = reason === "gone" ? next_after : message.lastEventId;
    if (reason === "gone") arrived({ id: "gone", subject_id: "gone" });
    again();
  });
  stream.onerror = again;
}

// A bar with data-live-since knows when its page was read: what happened before is on it, also what the person did.
function isShown(bar, event) {
  const since = bar.dataset.liveSince;
  return Boolean(since) && Date.parse(event.occurred_at) <= Date.parse(since);
}

const later = () => setTimeout(follow, 1000 + Math.random() * 9000);

function stop() {
  stream?.close();
  stream = null;
}

function arrived(event) {
  const bar = document.querySelector("[data-live]");
  if (!bar || bar.dataset.paused) return;
  const where = Object.entries(JSON.parse(bar.dataset.liveWhere || "{}"));
  if (event.data && !where.every(([name, values]) => values.includes(event.data[name]))) return;
  // On a list each appeal counts once, on the page of one each change.
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

document.addEventListener("htmx:after:swap", () => {
  counted.clear();
  stop();
  follow();
});
document.addEventListener("visibilitychange", () => (document.hidden ? stop() : follow()));
window.addEventListener("pagehide", stop);
follow();

// Selection of rows: a box with data-selects="name" checks all boxes of that name.
document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-selects]");
  if (!all) return;
  for (const box of document.getElementsByName(all.dataset.selects)) box.checked = all.checked;
});
