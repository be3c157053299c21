"""Controls that only VK has: walls, commenting and the fate of a long poll."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from emulators.common.control import ControlRoute, Reference
from emulators.vk.wall import WALL_CLOSED, WALL_LIMITED, WALL_OFF, WALL_OPEN
from emulators.vk.world import VkWorld

_WALLS = {
    "disabled": WALL_OFF,
    "open": WALL_OPEN,
    "limited": WALL_LIMITED,
    "closed": WALL_CLOSED,
    "members_only": WALL_OPEN,
}


class WallIn(BaseModel):
    page: Reference
    state: Literal["open", "limited", "closed", "disabled", "members_only"]


class LongPollIn(BaseModel):
    page: Reference
    event: Literal["key_expired", "history_lost", "history_trimmed"]


class CommentIn(BaseModel):
    page: Reference
    id: int


class CommentingIn(BaseModel):
    page: Reference
    thread: int
    closed: bool


def own_control(world: VkWorld) -> APIRouter:
    """Routes beside those of every network."""
    router = APIRouter(prefix="/_control", route_class=ControlRoute, tags=["control"])

    @router.post("/wall")
    async def wall(body: WallIn) -> dict[str, Any]:
        hidden = body.state == "members_only"
        page = world.page(body.page)["id"]
        world.store.run("UPDATE pages SET wall = ?, hidden = ? WHERE id = ?", (_WALLS[body.state], hidden, page))
        return {"page": page, "state": body.state}

    @router.post("/longpoll")
    async def longpoll(body: LongPollIn) -> dict[str, Any]:
        page = world.page(body.page)["id"]
        actions = {
            "key_expired": world.longpoll.expire_key,
            "history_lost": world.longpoll.lose_history,
            "history_trimmed": world.longpoll.trim_history,
        }
        actions[body.event](page)
        return {"page": page, "event": body.event}

    @router.post("/restore")
    async def restore(body: CommentIn) -> dict[str, Any]:
        world.wall.restore(world.page(body.page)["id"], body.id)
        return {"id": body.id}

    @router.post("/commenting")
    async def commenting(body: CommentingIn) -> dict[str, Any]:
        world.wall.close_comments(world.page(body.page)["id"], body.thread, closed=body.closed)
        return {"thread": body.thread, "closed": body.closed}

    return router
