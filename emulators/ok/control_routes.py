"""Control routes that only OK has: rules of groups, accounts of people, chats, webhooks, settings."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import Field, ValidationError

from emulators.common.control_api import ControlRoute
from emulators.common.errors import BadInputError
from emulators.common.request_models import PageProfileIn, Reference, RequestBody
from emulators.ok import serializers
from emulators.ok.emulated_ok import EmulatedOk, mapping_errors
from emulators.ok.state.network_state import OkState
from emulators.ok.state.page_rules import Commenting, PersonState

FIXED_SETTINGS = frozenset(
    {"host", "port", "data", "public_url", "seed", "citizens", "day_seconds", "clock_shift_seconds"}
)
PAGE_COLUMNS = ("name", "screen_name", "description", "members_count")


class PageRulesIn(PageProfileIn):
    page: Reference
    who_can_comment: Commenting | None = None
    closed: bool | None = None
    deactivated: bool | None = None
    removed: bool | None = None
    administered: bool | None = None
    gos_org: bool | None = None
    messages_allowed: bool | None = None
    comments_share: float | None = Field(default=None, ge=0, le=1)
    members_count: int | None = Field(default=None, ge=0)


class PersonIn(RequestBody):
    author: Reference
    state: PersonState


class PermissionIn(RequestBody):
    page: Reference
    author: Reference
    allowed: bool


class CommentingIn(RequestBody):
    page: Reference
    thread: Reference
    closed: bool


class ChatIn(RequestBody):
    page: Reference
    thread: Reference
    event: Literal["TITLE_CHANGED", "ICON_CHANGED", "USERS_ADDED", "USERS_REMOVED", "USER_LEFT"] = "TITLE_CHANGED"
    title: str | None = Field(default=None, min_length=1)


class SubscriptionsIn(RequestBody):
    page: Reference
    drop: Literal[True]


def ok_control_routes(world: OkState, network: EmulatedOk) -> APIRouter:
    """Return the routes that OK adds to the control API."""
    router = APIRouter(prefix="/_control", route_class=ControlRoute, tags=["control"])
    _people_routes(router, world, network)
    _webhook_routes(router, world, network)

    @router.get("/settings")
    async def settings() -> dict[str, Any]:
        return world.settings.model_dump(mode="json", exclude=set(FIXED_SETTINGS))

    @router.post("/settings")
    async def change_settings(body: dict[str, Any]) -> dict[str, Any]:
        for name in body:
            if name in FIXED_SETTINGS or name not in type(world.settings).model_fields:
                raise BadInputError(name, "is not a setting that can be changed at run time")
        try:
            world.change_settings(body)
        except ValidationError as error:
            (first, *_) = error.errors()
            raise BadInputError(str(first["loc"][0]), first["msg"]) from error
        return {name: getattr(world.settings, name) for name in body}

    return router


def _people_routes(router: APIRouter, world: OkState, network: EmulatedOk) -> None:
    @router.post("/page")
    async def page(body: PageRulesIn) -> dict[str, Any]:
        uid = network.page(body.page)["uid"]
        taken = None if body.screen_name is None else world.page_by_name(body.screen_name)
        if taken is not None and taken["uid"] != uid:
            raise BadInputError("screen_name", "another page has this short name")
        given = body.model_dump(exclude={"page"}, exclude_none=True)
        if (mark := given.pop("verified", None)) is not None:
            given["gos_org"] = mark
        own = {name: given.pop(name) for name in PAGE_COLUMNS if name in given}
        with world.store.transaction():
            world.rules.change(uid, given)
            for name, value in own.items():
                world.store.execute(f"UPDATE pages SET {name} = ? WHERE uid = ?", (value, uid))  # noqa: S608
        row = network.page(uid)
        return network.page_to_dict(row) | {"info": serializers.group_info(world, row)}

    @router.post("/person")
    async def person(body: PersonIn) -> dict[str, Any]:
        uid = network.author(body.author)
        world.rules.set_person(uid, body.state)
        return {"author": uid, "state": body.state}

    @router.post("/permission")
    async def permission(body: PermissionIn) -> dict[str, Any]:
        uid, group = network.author(body.author), network.page(body.page)["uid"]
        with world.store.transaction():
            world.rules.allow_messages(group, uid, allowed=body.allowed)
            if body.allowed:
                # A chat exists as soon as a person allows messages, before any message is written.
                world.chats.get_or_create(group, uid, str(serializers.user(world, uid)["name"]))
        return {"page": group, "author": uid, "allowed": body.allowed}

    @router.post("/commenting")
    async def commenting(body: CommentingIn) -> dict[str, Any]:
        with mapping_errors():
            topic = network.topic(network.page(body.page), body.thread)
        world.rules.close_topic(topic["id"], closed=body.closed)
        return {"thread": str(topic["id"]), "closed": body.closed}

    @router.post("/chat")
    async def chat(body: ChatIn) -> dict[str, Any]:
        uid = network.page(body.page)["uid"]
        if (body.title is not None) != (body.event == "TITLE_CHANGED"):
            raise BadInputError("title", "must be given with the event TITLE_CHANGED, and only with it")
        with mapping_errors(), world.store.transaction():
            row = world.chats.chat(uid, body.thread)
            event: dict[str, Any] = {"type": body.event}
            if body.title is not None:
                world.chats.set_title(row, body.title)
                event["title"] = body.title
            elif body.event.startswith("USER"):
                event["users"] = [f"user:{row['uid']}"]
            world.webhooks.publish(uid, "CHAT_SYSTEM", serializers.chat_event(world, row, event))
        return {"thread": f"chat:{row['id']}", "event": event}


def _webhook_routes(router: APIRouter, world: OkState, network: EmulatedOk) -> None:
    @router.get("/subscriptions")
    async def subscriptions(page: str | None = None, count: int = 50) -> dict[str, Any]:
        if not 0 <= count <= 1_000:
            raise BadInputError("count", "must be from 0 to 1000")
        return world.webhooks.overview(None if page is None else network.page(page)["uid"], count)

    @router.post("/subscriptions")
    async def drop(body: SubscriptionsIn) -> dict[str, int]:
        return {"dropped": world.webhooks.remove_subscriptions(network.page(body.page)["uid"])}
