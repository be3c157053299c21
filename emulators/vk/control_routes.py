"""Control routes that only VK has: walls, boards, suggestions, closed pages, users, long poll history."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, ValidationError

from emulators.common.control_api import ControlRoute, Reference
from emulators.common.errors import BadInputError
from emulators.common.request_models import PageProfileIn, RequestBody
from emulators.vk.emulated_vk import EmulatedVk
from emulators.vk.errors import MESSAGES
from emulators.vk.ids import BOARD, integer, topic_of
from emulators.vk.settings import FIXED_SETTINGS, VkSettings
from emulators.vk.shared_content import (
    Notice,
    PlaceIn,
    SharedIn,
    forwarded_messages,
    message_place,
    post_place,
    reposted_posts,
)
from emulators.vk.state.people import STAFF_ID
from emulators.vk.state.permissions import WALL_CLOSED, WALL_DISABLED, WALL_LIMITED, WALL_OPEN

_WALLS = {
    "disabled": WALL_DISABLED,
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
    thread: Reference | None = None


class CommentingIn(BaseModel):
    page: Reference
    thread: Reference
    closed: bool


class BoardIn(RequestBody):
    page: Reference
    title: str
    text: str
    author: Reference | None = None


class SuggestionIn(BaseModel):
    page: Reference
    id: int


class PageStateIn(PageProfileIn):
    page: Reference
    wall: Literal[0, 1, 2, 3] | None = None
    is_closed: Literal[0, 1, 2] | bool | None = None
    deactivated: Literal["deleted", "banned"] | None = None
    comments: Literal["open", "closed"] | None = None
    links: Literal["allowed", "forbidden"] | None = None
    fields: dict[str, Any] | None = None


class AuthorIn(BaseModel):
    id: int = Field(gt=0)
    deactivated: Literal["deleted", "banned"] | None


class PrivacyIn(BaseModel):
    page: Reference
    author: int = Field(gt=0)
    block: Literal["blacklist", "no_permission", "privacy"] | None


class PeerIn(RequestBody):
    page: Reference
    peer: int
    code: int | None


class TopicIn(RequestBody):
    page: Reference
    thread: Reference
    code: int | None


class ShareIn(RequestBody):
    page: Reference
    kind: Literal["message", "wall_post"]
    text: str = ""
    author: Reference | None = None
    attachments: list[Any] = Field(default_factory=list)
    forwarded: list[SharedIn] = Field(default_factory=list)
    reposted: list[SharedIn] = Field(default_factory=list)
    place: PlaceIn | None = None
    notice: Notice | None = None


_DETAILS = ("verified", "avatar", "cover", "phone", "address", "site")
_WIDTH, _HEIGHT = 1_590, 400


def _details(body: PageStateIn, base_url: str) -> dict[str, Any]:
    """Return the fields of the community object for the given profile."""
    picture = {"url": f"{base_url}/images/cover.png", "width": _WIDTH, "height": _HEIGHT}
    shown: dict[str, Any] = {}
    if body.verified is not None:
        shown["verified"] = int(body.verified)
    if body.avatar is not None:
        shown["has_photo"] = int(body.avatar)
    if body.cover is not None:
        shown["cover"] = {"enabled": 1, "images": [picture]} if body.cover else {"enabled": 0}
    if body.phone is not None:
        shown["contacts"] = [{"desc": "Приёмная", "phone": body.phone}] if body.phone else []
    if body.address is not None:
        place = {"id": 1, "title": "Адрес", "address": body.address}
        addresses = {"is_enabled": True, "main_address_id": 1, "main_address": place, "count": 1}
        shown["addresses"] = addresses if body.address else {"is_enabled": False}
    if body.site is not None:
        shown["site"] = body.site
    return shown


def _shared_fields(body: ShareIn, world: EmulatedVk) -> dict[str, Any]:
    """Return the fields of the message or post for what is shared with it."""
    base_url, now = world.settings.base_url, int(world.clock.now())
    fields: dict[str, Any] = {}
    if body.forwarded:
        fields["fwd_messages"] = forwarded_messages(body.forwarded, base_url, now)
    if body.reposted:
        fields["copy_history"] = reposted_posts(body.reposted, base_url, now)
    if body.place is not None:
        fields["geo"] = (message_place if body.kind == "message" else post_place)(body.place)
    if body.notice is not None:
        fields["action"] = {"type": body.notice}
    return fields


def vk_control_routes(world: EmulatedVk) -> APIRouter:
    """Return the routes that VK adds to the control API."""
    router = APIRouter(prefix="/_control", route_class=ControlRoute, tags=["control"])
    _page_routes(router, world)
    _thread_routes(router, world)
    _settings_routes(router, world)

    @router.get("/longpoll")
    async def held_polls() -> dict[str, Any]:
        return {"held": world.longpoll.held}

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

    @router.post("/author")
    async def author(body: AuthorIn) -> dict[str, Any]:
        world.people.deactivate(body.id, body.deactivated)
        return {"id": body.id, "deactivated": body.deactivated}

    @router.post("/privacy")
    async def privacy(body: PrivacyIn) -> dict[str, Any]:
        page = world.page(body.page)["id"]
        world.dialogs.set_block(page, body.author, body.block)
        return {"page": page, "author": body.author, "block": body.block}

    @router.post("/peer")
    async def peer(body: PeerIn) -> dict[str, Any]:
        _check_code(body.code)
        page = world.page(body.page)["id"]
        world.dialogs.refuse_peer(page, body.peer, body.code)
        return {"page": page, "peer": body.peer, "code": body.code}

    @router.post("/share")
    async def share(body: ShareIn) -> dict[str, Any]:
        other = ("reposted",) if body.kind == "message" else ("forwarded", "notice")
        for name in other:
            if getattr(body, name):
                raise BadInputError(name, f"a {body.kind} has none")
        given = body.model_dump(include={"page", "kind", "text", "author", "attachments"})
        return world.citizen_writes(**given, shared=_shared_fields(body, world))

    return router


def _settings_routes(router: APIRouter, world: EmulatedVk) -> None:
    @router.get("/settings")
    async def settings() -> dict[str, Any]:
        return world.settings.model_dump(mode="json", exclude=set(FIXED_SETTINGS))

    @router.post("/settings")
    async def change(body: dict[str, Any]) -> dict[str, Any]:
        for name in body:
            if name in FIXED_SETTINGS or name not in VkSettings.model_fields:
                raise BadInputError(name, "is not a setting that can be changed at run time")
        try:
            world.change_settings(body)
        except ValidationError as error:
            (first, *_) = error.errors()
            raise BadInputError(str(first["loc"][0]), first["msg"]) from error
        return {name: getattr(world.settings, name) for name in body}


def _page_routes(router: APIRouter, world: EmulatedVk) -> None:
    @router.post("/wall")
    async def wall(body: WallIn) -> dict[str, Any]:
        page = world.page(body.page)["id"]
        world.change_page(page, {"wall": _WALLS[body.state], "hidden": body.state == "members_only"})
        return {"page": page, "state": body.state}

    @router.post("/page")
    async def page(body: PageStateIn) -> dict[str, Any]:
        number = world.page(body.page)["id"]
        taken = world.store.one(
            "SELECT id FROM pages WHERE screen_name = ? AND id <> ?", (body.screen_name, number)
        )
        if taken is not None:
            raise BadInputError("screen_name", "another page has this short name")
        given = body.model_dump(exclude={"page", "fields", *_DETAILS}, exclude_unset=True)
        # Null is ignored, except for `deactivated`, where it ends the deactivation.
        changes = {name: value for name, value in given.items() if value is not None or name == "deactivated"}
        details = _details(body, world.settings.base_url) | (body.fields or {})
        if details:
            changes["details"] = details
        row = world.change_page(number, changes)
        shown = ("wall", "is_closed", "deactivated", "comments", "links", "name", "screen_name", "description")
        return {"page": number, **{name: row[name] for name in shown}}

    @router.post("/publish_suggested")
    async def publish(body: SuggestionIn) -> dict[str, Any]:
        post = world.wall.publish_suggested(world.page(body.page)["id"], body.id)
        return {"id": post, "thread": post}


def _check_code(code: int | None) -> None:
    if code is not None and code not in MESSAGES:
        raise BadInputError("code", "is not an error code that the emulator knows")


def _thread_routes(router: APIRouter, world: EmulatedVk) -> None:
    @router.post("/restore")
    async def restore(body: CommentIn) -> dict[str, Any]:
        page, topic = world.page(body.page)["id"], topic_of(body.thread)
        if topic is None:
            world.wall.restore(page, body.id)
        else:
            world.board.restore(page, topic, body.id)
        return {"id": body.id}

    @router.post("/commenting")
    async def commenting(body: CommentingIn) -> dict[str, Any]:
        page, topic = world.page(body.page)["id"], topic_of(body.thread)
        if topic is not None:
            world.board.close(page, topic, closed=body.closed)
            return {"thread": body.thread, "closed": body.closed}
        thread = integer("thread", body.thread)
        world.wall.close_comments(page, thread, closed=body.closed)
        return {"thread": thread, "closed": body.closed}

    @router.post("/topic")
    async def refuse_topic(body: TopicIn) -> dict[str, Any]:
        _check_code(body.code)
        page, topic = world.page(body.page)["id"], topic_of(body.thread)
        if topic is None:
            raise BadInputError("thread", f"is not a topic: {BOARD}<ID>")
        world.board.refuse(page, topic, body.code)
        return {"page": page, "thread": body.thread, "code": body.code}

    @router.post("/board")
    async def board(body: BoardIn) -> dict[str, Any]:
        row = world.page(body.page)
        author = STAFF_ID if body.author is None else integer("author", body.author)
        # Staff create topics as the community.
        topic = world.board.add_topic(row, body.title, body.text, -row["id"] if author == STAFF_ID else author)
        return {"id": topic, "thread": f"{BOARD}{topic}"}
