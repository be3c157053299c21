// Where the focus goes after a part was opened or swapped, and which part is scrolled into view.
{
  const FIELDS = "input:not([type=hidden], :disabled), select:not(:disabled), textarea:not(:disabled)";
  let opened = null; // the `details` opened by a key, until one of its fields gets the focus

  const enter = () => {
    if (!opened?.isConnected || !opened.open) return;
    const field = [...opened.querySelectorAll(FIELDS)].find((one) => one.checkVisibility());
    if (!field) return;
    opened = null;
    field.focus();
  };

  // A key clicks the summary by script: such a click has `isTrusted` false.
  document.addEventListener("click", (event) => {
    const summary = event.target.closest("summary");
    opened = summary && !event.isTrusted ? summary.parentElement : null;
    if (opened) summary.focus();
  }, true);
  document.addEventListener("toggle", (event) => {
    if (event.target === opened) enter();
  }, true);

  // A note says what the sent form has done. It is at the top of the page, which a phone may not show.
  const isInSight = (element, covered) => {
    const { top, bottom } = element.getBoundingClientRect();
    return element.checkVisibility() && top >= covered && bottom <= innerHeight;
  };
  const show = (note) => {
    const covered = document.querySelector(".top")?.getBoundingClientRect().bottom ?? 0;
    if (isInSight(note, covered)) {
      if (document.activeElement !== document.body) return;
    } else {
      note.scrollIntoView({ block: "center" });
      if (document.activeElement !== document.body && isInSight(document.activeElement, covered)) return;
    }
    document.getElementById("main").focus({ preventScroll: true });
  };

  // After a refusal the first wrong field gets the focus, or the choice of candidates in it.
  const begin = () => {
    const active = document.activeElement;
    const wrong = active?.closest(".field.wrong") ?? document.querySelector("#main .field.wrong");
    const choice = wrong?.querySelector("[autofocus]");
    if (!wrong || (!choice && wrong.contains(active))) return;
    (choice ?? [...wrong.querySelectorAll(FIELDS)].find((one) => one.checkVisibility()))?.focus();
  };

  // The text above such a field has to be read first: scroll to the top of the page.
  const write = () => {
    const field = document.querySelector("#main [data-begins]");
    if (!field) return;
    field.focus({ preventScroll: true });
    scrollTo(0, 0);
  };
  write();

  document.addEventListener("htmx:after:swap", (event) => {
    enter();
    if (event.detail.ctx?.target?.id !== "main") return;
    const sections = document.querySelector("#navigation-sections:popover-open");
    if (sections) {
      sections.hidePopover();
      document.getElementById("main").focus({ preventScroll: true });
    }
    write();
    const note = document.querySelector("#main > .note");
    if (note) show(note);
    else begin();
  });
}
