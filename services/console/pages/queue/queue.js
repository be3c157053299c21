// The queue: a second press of a key or of the mouse decides nothing, and the focus goes to the next appeal.
{
  const PAUSE = 300;
  let decidedAt = -PAUSE;
  let shown = null;

  // A decision that was pressed twice would meet the next appeal.
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-queue-decision]")) return;
    if (event.timeStamp - decidedAt < PAUSE) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    decidedAt = event.timeStamp;
  }, true);

  document.addEventListener("keydown", (event) => {
    if (!document.querySelector("[data-queue]")) return;
    if (event.repeat && decides(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    const opened = event.target.closest("[data-queue-opens][open]");
    if (opened && event.key === "Escape") {
      opened.open = false;
      document.getElementById("queue-appeal").focus();
    } else if (opened && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      move(opened, event.key === "ArrowDown" ? 1 : -1, event);
    }
  }, true);

  // A key that is held down decides once; held arrows and the space bar scroll as everywhere.
  function decides(event) {
    if (event.target.matches("input, textarea, select")) return false;
    if (event.key === "Enter" || event.key === " ") return event.target.matches("button, summary, a");
    return event.key.length === 1;
  }

  function move(opened, step, event) {
    const stops = [...opened.querySelectorAll("input[type=search], [data-queue-found] button")];
    const next = stops[stops.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  document.addEventListener("toggle", (event) => {
    if (event.target.matches("[data-queue-opens][open]")) {
      event.target.querySelector("input[type=search], select, [data-queue-found] button")?.focus();
    }
  }, true);

  document.addEventListener("htmx:after:swap", () => {
    const title = document.getElementById("queue-appeal");
    if (title && title.textContent !== shown) title.focus();
    shown = title?.textContent ?? null;
  });
}
