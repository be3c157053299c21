"""Lock an account, end its sessions, and set the address for its notices."""

from fastapi.responses import Response

from services.console.api_calls.client import ApiProblem
from services.console.site.forms import entered, is_correctable
from services.console.site.page import page_router
from services.console.site.visit import VisitDep

router = page_router()


@router.post("/people/{person_id}/lock")
async def lock_person(visit: VisitDep, person_id: str) -> Response:
    """Lock the account: its sessions end, and nobody can sign in to it."""
    form = await entered(visit.request)
    own = f"/people/{person_id}"
    try:
        await visit.api.send("POST", f"{own}/lock", {"reason": form.get("reason", "")})
    except ApiProblem as problem:
        if problem.status == 422:
            return visit.redirect(own, note="Напишите, почему доступ закрывается", kind="failed")
        if problem.status == 409:
            note = "Доступ уже закрыт, или это ваша собственная учётная запись"
            return visit.redirect(own, note=note, kind="failed")
        raise
    undo = {"path": f"{own}/unlock", "label": "Открыть доступ"}
    return visit.redirect(own, note="Доступ закрыт, сессии завершены", undo=undo)


@router.post("/people/{person_id}/unlock")
async def unlock_person(visit: VisitDep, person_id: str) -> Response:
    """Unlock the account, also after too many failed sign-ins."""
    await visit.api.send("POST", f"/people/{person_id}/unlock")
    return visit.redirect(f"/people/{person_id}", note="Доступ открыт")


@router.post("/people/{person_id}/sessions/end")
async def end_sessions(visit: VisitDep, person_id: str) -> Response:
    """End all sessions of a person."""
    await visit.api.send("DELETE", f"/people/{person_id}/sessions")
    return visit.redirect(f"/people/{person_id}", note="Все сессии завершены")


@router.post("/people/{person_id}/sessions/{session_id}/end")
async def end_session(visit: VisitDep, person_id: str, session_id: str) -> Response:
    """End one session; a session that has ended meanwhile is not an error."""
    try:
        await visit.api.send("DELETE", f"/people/{person_id}/sessions/{session_id}")
    except ApiProblem as problem:
        if problem.status != 404:
            raise
    return visit.redirect(f"/people/{person_id}", note="Сессия завершена")


@router.post("/people/{person_id}/notice-address")
async def set_notice_address(visit: VisitDep, person_id: str) -> Response:
    """Set the address for the person's notices; its owner has to confirm it."""
    form = await entered(visit.request)
    address = form.get("address") or None
    own = f"/people/{person_id}"
    try:
        await visit.api.send("PUT", f"{own}/notice-address", {"address": address}, version=form.get("version"))
    except ApiProblem as problem:
        if not is_correctable(problem) and problem.status != 429:
            raise
        return visit.redirect(own, note=_REFUSED.get(problem.status, _NOT_SET), kind="failed")
    note = "На адрес отправлена ссылка: по ней его подтвердит сотрудник" if address else "Адрес удалён"
    return visit.redirect(own, note=note)


_NOT_SET = "Адрес не изменён. Повторите позже."
_REFUSED = {
    403: "Доступ этого сотрудника шире вашего: его адрес меняет тот, у кого доступ не меньше.",
    412: "Адрес изменил кто-то другой. Проверьте, что получилось, и повторите.",
    422: "Это не адрес электронной почты.",
    429: "На этот адрес сегодня отправлено слишком много писем.",
}
