// The button that prints the report; without JavaScript the browser's menu prints it.
{
  const show = () => document.querySelectorAll("[data-weekly-report-print]").forEach((button) => { button.hidden = false; });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-weekly-report-print]")) window.print();
  });
  document.addEventListener("htmx:after:swap", show);
  show();
}
