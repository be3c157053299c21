// Remarks are sent by Ctrl+Enter, and not by accident: the button does the same.
{
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !event.target.matches("[data-approvals-remarks]")) return;
    event.preventDefault();
    event.target.form.querySelector("[value=refuse]").click();
  });
}
