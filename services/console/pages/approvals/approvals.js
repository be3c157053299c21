// Ctrl+Enter in the remarks presses the button that returns the reply; Enter alone starts a new line.
{
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !event.target.matches("[data-approvals-remarks]")) return;
    event.preventDefault();
    event.target.form.querySelector("[value=refuse]").click();
  });
}
