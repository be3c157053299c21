// 0, 1 and 2 score the focused criterion, or the first unscored one, and move the focus to the next.
{
  document.addEventListener("keydown", (event) => {
    const form = document.querySelector("[data-grading-form]");
    if (!form || event.ctrlKey || event.metaKey || event.altKey || !/^[012]$/.test(event.key)) return;
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    const criteria = [...form.querySelectorAll("[data-grading-criterion]")];
    const current = event.target.closest("[data-grading-criterion]")
      ?? criteria.find((one) => !one.querySelector(":checked")) ?? criteria[0];
    current.querySelector(`input[value="${event.key}"]`).checked = true;
    const next = criteria[criteria.indexOf(current) + 1];
    (next ? next.querySelector(":checked") ?? next.querySelector("input") : form.querySelector("button.main")).focus();
    event.preventDefault();
  });
}
