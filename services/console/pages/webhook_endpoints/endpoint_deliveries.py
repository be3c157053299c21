"""Deliveries: what was sent to an endpoint, and how it responded."""

import json
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import ApiProblem
from services.console.pages.webhook_endpoints.event_words import event_words
from services.console.site.forms import refusal_of
from services.console.site.visit import VisitDep

_NOT_RECEIVING = "Подписка выключена или приостановлена: сначала включите её."
router = APIRouter()


@router.get("/webhooks/deliveries/{delivery_id}")
async def show_delivery(visit: VisitDep, delivery_id: UUID) -> HTMLResponse:
    """Show a delivery with its body, in which personal data is masked."""
    delivery = await visit.api.get(f"/webhooks/deliveries/{delivery_id}")
    body = None
    if delivery["payload"] is not None:
        body = json.dumps(delivery["payload"], ensure_ascii=False, indent=2)
    return visit.render("webhook_endpoints/delivery.html", delivery=delivery, body=body, event_words=event_words)


@router.post("/webhooks/deliveries/{delivery_id}/retry")
async def retry_delivery(visit: VisitDep, delivery_id: UUID) -> Response:
    """Send a delivery again."""
    back = f"/webhooks/deliveries/{delivery_id}"
    try:
        await visit.api.send("POST", f"/webhooks/deliveries/{delivery_id}/retry")
    except ApiProblem as problem:
        note = _NOT_RECEIVING if problem.status == 409 else refusal_of(problem)
        return visit.redirect(back, note=note, kind="failed")
    return visit.redirect(back, note="Событие отправляется ещё раз")
