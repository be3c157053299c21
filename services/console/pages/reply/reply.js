// The editor of a reply: saves run one after another, photos are uploaded when chosen, and leaving releases the edit lease.
{
  let held = null;

  const release = () => {
    if (held) navigator.sendBeacon(held);
    held = null;
  };
  const look = () => {
    const now = document.querySelector("[data-reply-release]")?.dataset.replyRelease ?? null;
    if (held && held !== now) release();
    held = now;
  };

  // An earlier request may have given the draft a new version while this one waited.
  document.addEventListener("htmx:before:request", (event) => {
    const { ctx } = event.detail;
    const form = ctx?.sourceElement?.closest?.("#reply-form");
    if (!form || !ctx.request.body?.set) return;
    if (!form.isConnected) return event.preventDefault(); // the form was replaced while the request waited
    if (ctx.sourceElement === form && form.elements.text) form.elements.text.readOnly = true;
    for (const name of ["reply_id", "version"]) {
      const field = form.elements.namedItem(name);
      if (field?.value !== undefined) ctx.request.body.set(name, field.value);
    }
  });

  document.addEventListener("htmx:finally:request", (event) => {
    const source = event.detail.ctx?.sourceElement;
    if (source?.id === "reply-form" && source.elements.text) source.elements.text.readOnly = false;
  });

  document.addEventListener("change", (event) => {
    if (!event.target.matches("#field-photo") || !event.target.files.length) return;
    event.target.form.querySelector("[data-reply-add-photo]").click();
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat) return;
    const send = event.target.closest("#reply-form")?.querySelector("[data-reply-send]");
    if (!send) return;
    event.preventDefault();
    send.click();
  });

  document.addEventListener("htmx:after:swap", look);
  window.addEventListener("pagehide", release);
  look();
}
