// The queue: keys inside an opened part of a decision; after a decision the next appeal gets the focus.
{
  let shown = null;

  document.addEventListener("keydown", (event) => {
    if (!document.querySelector("[data-queue]")) return;
    const opened = event.target.closest("[data-queue-opens][open]");
    if (opened && event.key === "Escape") {
      opened.open = false;
      document.getElementById("queue-appeal").focus();
    } else if (opened && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      move(opened, event.key === "ArrowDown" ? 1 : -1, event);
    }
  }, true);

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
