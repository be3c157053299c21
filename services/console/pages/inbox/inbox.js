// The inbox: x marks the row that has the focus; the bar says how many are marked.
{
  const tell = () => {
    const bar = document.querySelector("[data-inbox-bar]");
    if (!bar) return;
    const marked = document.querySelectorAll(".inbox-row > input:checked").length;
    bar.querySelector("[data-inbox-chosen]").textContent = marked ? `Отмечено: ${marked}` : "Отметить все на странице";
    const all = bar.querySelector("[data-selects]");
    all.checked = marked > 0 && marked === document.querySelectorAll(".inbox-row > input").length;
    all.indeterminate = marked > 0 && !all.checked;
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || latin(event) !== "x") return;
    const box = event.target.closest(".inbox-row")?.querySelector(":scope > input");
    if (!box) return;
    box.checked = !box.checked;
    event.preventDefault();
    tell();
    document.getElementById("announcer").textContent = `${box.checked ? "Отмечено" : "Снято"}: ${box.ariaLabel.replace("Отметить ", "")}`;
  });
  document.addEventListener("change", (event) => {
    if (event.target.closest(".inbox-list")) tell();
  });
  document.addEventListener("htmx:after:swap", tell);
}
