"""Control routes of the Callback API: confirmation codes and requests, and the log of deliveries."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from emulators.common.control_api import ControlRoute, Reference
from emulators.vk.emulated_vk import EmulatedVk

_SHOWN = ("id", "page", "url", "title", "status", "version", "failures")


class PageRequest(BaseModel):
    page: Reference


def callback_control_routes(world: EmulatedVk) -> APIRouter:
    """Return the routes under `/_control`."""
    router = APIRouter(prefix="/_control", route_class=ControlRoute, tags=["control"])
    callbacks = world.callbacks

    @router.post("/callback_code")
    async def new_code(body: PageRequest) -> dict[str, Any]:
        page = world.page(body.page)["id"]
        return {"page": page, "code": callbacks.new_code(page)}

    @router.post("/confirm")
    async def confirm(body: PageRequest) -> dict[str, Any]:
        page = world.page(body.page)["id"]
        callbacks.request_confirmations(page)
        return {"page": page, "asked": [row["id"] for row in callbacks.servers(page)]}

    @router.get("/callbacks")
    async def show(page: str | None = None, limit: int = 200) -> dict[str, Any]:
        number = None if page is None else world.page(page)["id"]
        servers = [
            {name: row[name] for name in _SHOWN}
            | {"confirmed": bool(row["active"]), "waiting": callbacks.queue_length(row["id"])}
            | {"paused_until": _moment(row["paused_until"]) if row["paused_until"] else None}
            for row in callbacks.servers(number)
        ]
        deliveries = [
            {
                "page": row["page"],
                "server": row["server"],
                "type": row["kind"],
                "event_id": row["event_id"] or None,
                "attempt": row["attempt"],
                "at": _moment(row["at"]),
                "status": row["status"],
                "answer": row["answer"],
                "outcome": row["outcome"],
            }
            for row in callbacks.log(number, max(limit, 0))
        ]
        return {"servers": servers, "deliveries": deliveries}

    return router


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
