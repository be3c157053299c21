// The page of an appeal: a form that opens gets the focus; the link back leads to the list from which the person came.
{
  document.addEventListener("toggle", (event) => {
    const opened = event.target;
    if (opened.open && opened.matches?.(".appeal-action") && opened.contains(document.activeElement)) {
      opened.querySelector("form input:not([type=hidden]), form select, form textarea")?.focus();
    }
  }, true);
  // A key clicks the summary without focusing it.
  document.addEventListener("click", (event) => {
    const summary = event.target.closest(".appeal-action > summary");
    if (summary) summary.focus();
    const link = event.target.closest("a[href]");
    if (!link) return;
    const shown = location.pathname + location.search;
    if (link.matches("[data-appeal-back]")) {
      link.href = sessionStorage.getItem("appeal-list") ?? link.href;
    } else if (link.pathname.startsWith("/appeals/") && !location.pathname.startsWith("/appeals/")) {
      sessionStorage.setItem("appeal-list", shown);
    }
  }, true);
  // Escape closes the form that has the focus.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const opened = event.target.closest?.(".appeal-action[open]");
    if (!opened) return;
    opened.open = false;
    opened.querySelector("summary").focus();
  });
}
