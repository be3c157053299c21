"""Pauses of an appeal's clocks, and requests for more time."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Form
from fastapi.responses import Response

from services.console.pages.appeal.appeal_page import Entered, Refusals, changed, show
from services.console.site.forms import number
from services.console.site.page import page_router
from services.console.site.visit import VisitDep

router = page_router()
_Field = Annotated[str, Form(max_length=4_000)]
_NO_HOURS = "Укажите число часов, например 16."
_ASKED = Refusals(
    conflict="Продление запросить нельзя: отсчёт завершён, срок уже прошёл, норматив больше не даёт продлений или "
    "прежний запрос ещё ждёт решения.",
    fields={
        "hours": "Норматив не позволяет продлить на столько. Обычно — не больше 40 рабочих часов за раз.",
        "ground": "Напишите, почему срок не выполнить.",
    },
)
_DECIDED = Refusals(
    conflict="Сейчас это сделать нельзя: запрос уже закрыт, срок прошёл или норматив не позволяет продлить.",
    fields={"remarks": "Напишите организации, почему отказ."},
)
_DECISIONS = {"approve": "Срок продлён", "refuse": "В продлении отказано", "withdraw": "Запрос отозван"}
_PAUSED = Refusals(
    conflict="Сейчас это сделать нельзя: отсчёт уже приостановлен, продолжен или завершён.",
    fields={"reason": "Напишите причину."},
)


@router.post("/appeals/{appeal_id}/clocks/{change}")
async def pause_or_resume(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    change: Literal["pause", "resume"],
    version: _Field = "",
    seen: _Field = "",
    reason: _Field = "",
) -> Response:
    """Pause the clocks or resume them."""
    entered = Entered(change, {"seen": seen, "reason": reason})
    body = {"reason": reason.strip()} if reason.strip() or change == "pause" else {}
    call = visit.api.send("POST", f"/appeals/{appeal_id}/clocks/{change}", body, version=version)
    note = "Отсчёт срока приостановлен" if change == "pause" else "Отсчёт срока продолжен"
    return await changed(visit, str(appeal_id), entered, call, note=note, refusals=_PAUSED)


@router.post("/appeals/{appeal_id}/extension-requests")
async def ask_for_time(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    version: _Field = "",
    seen: _Field = "",
    clock: _Field = "final_answer",
    hours: _Field = "",
    ground: _Field = "",
    key: _Field = "",
) -> Response:
    """Request more time from the centre."""
    entered = Entered("extension", {"seen": seen, "clock": clock, "hours": hours, "ground": ground})
    amount = number(hours)
    if amount is None:
        wrong = Entered(entered.form, entered.values, "Проверьте заполнение полей.", {"hours": _NO_HOURS})
        return await show(visit, str(appeal_id), wrong, 422)
    call = visit.api.send(
        "POST",
        f"/appeals/{appeal_id}/extension-requests",
        {"clock": clock, "hours": amount, "ground": ground.strip()},
        version=version,
        key=key or None,
    )
    return await changed(
        visit, str(appeal_id), entered, call, note="Запрос о продлении отправлен центру", refusals=_ASKED
    )


@router.post("/appeals/{appeal_id}/extension-requests/{request_id}/{decision}")
async def decide_about_time(
    *,
    visit: VisitDep,
    appeal_id: UUID,
    request_id: UUID,
    decision: Literal["approve", "refuse", "withdraw"],
    version: _Field = "",
    remarks: _Field = "",
    key: _Field = "",
) -> Response:
    """Approve, refuse or withdraw a request; `version` is that of the request."""
    entered = Entered(f"extension-{request_id}", {"remarks": remarks})
    said = remarks.strip()
    body = None if decision == "withdraw" else {"remarks": said} if said or decision == "refuse" else {}
    call = visit.api.send(
        "POST",
        f"/appeals/{appeal_id}/extension-requests/{request_id}/{decision}",
        body,
        version=version,
        key=key or None,
    )
    return await changed(visit, str(appeal_id), entered, call, note=_DECISIONS[decision], refusals=_DECIDED)
