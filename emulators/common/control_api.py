"""Control API, with which tests and demonstrations control citizens, staff, tokens and faults."""

from collections.abc import Callable, Coroutine
from typing import Any, Literal

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import Field

from emulators.common.citizens import CitizenWriter
from emulators.common.csv_feed import CsvFeedPlan, write_csv_messages
from emulators.common.errors import BadInputError, RefusedError, UnknownError
from emulators.common.faults.fault_control import FaultController, add_fault_routes
from emulators.common.faults.fault_injector import FaultInjector
from emulators.common.network_protocol import Actor, EmulatedNetwork, MessageKind, TokenKind
from emulators.common.request_models import Reference, RequestBody

__all__ = ["ControlRoute", "Reference", "control_router"]


class PageIn(RequestBody):
    name: str = Field(min_length=1, max_length=200)
    screen_name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.]+$")
    description: str = ""


class TokenIn(RequestBody):
    kind: TokenKind
    page: Reference | None = None
    count: int | None = Field(default=None, ge=1, le=100)


class RevokeIn(RequestBody):
    token: str = Field(min_length=1)


class CitizenMessageIn(RequestBody):
    page: Reference
    kind: MessageKind | Literal["suggested_post"]
    text: str
    author: Reference | None = None
    thread: Reference | None = None
    in_reply_to: Reference | None = None
    attachments: list[Any] = Field(default_factory=list)


class CommunityPostIn(RequestBody):
    page: Reference
    text: str


class CommunityMessageIn(RequestBody):
    page: Reference
    thread: Reference
    text: str
    in_reply_to: Reference | None = None
    kind: MessageKind | None = None


class EditIn(RequestBody):
    page: Reference
    id: Reference
    text: str
    thread: Reference | None = None
    kind: MessageKind | None = None
    by: Actor = "author"


class DeleteIn(RequestBody):
    page: Reference
    id: Reference
    thread: Reference | None = None
    kind: MessageKind | None = None
    by: Actor = "author"


class CitizenRateIn(RequestBody):
    per_minute: float = Field(ge=0, le=60_000)


class ControlRoute(APIRoute):
    """Maps errors of the emulated network to responses of the control API."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler with the error mapping."""
        handle = super().get_route_handler()

        async def wrapped(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                # The input is left out: it may contain text that UTF-8 cannot encode.
                detail = [
                    {"loc": list(item["loc"]), "msg": item["msg"], "type": item["type"]} for item in error.errors()
                ]
                return JSONResponse({"detail": detail}, 422)
            except BadInputError as error:
                where = {"loc": ["body", error.field], "msg": str(error), "type": "value_error"}
                return JSONResponse({"detail": [where]}, 422)
            except UnknownError as error:
                return JSONResponse({"detail": str(error)}, 404)
            except RefusedError as error:
                return JSONResponse({"error": {"code": error.code, "message": error.message}}, 400)

        return wrapped


def control_router(
    world: EmulatedNetwork, faults: FaultInjector, writer: CitizenWriter | None = None
) -> APIRouter:
    """Return the routes under `/_control`; without a `CitizenWriter`, changing the citizens' rate returns 404."""
    router = APIRouter(prefix="/_control", route_class=ControlRoute, tags=["control"])
    _world_routes(router, world)
    controller = add_fault_routes(router, world, faults)
    _token_routes(router, world, faults, controller)

    @router.post("/feed")
    async def feed_csv(
        request: Request,
        *,
        column: str = "text",
        kind: Literal[MessageKind, "mixed"] = "mixed",
        offset: int = 0,
        step: int = 1,
        detail: bool = False,
    ) -> dict[str, Any]:
        for name, value, least in (("offset", offset, 0), ("step", step, 1)):
            if value < least:
                raise BadInputError(name, f"must be at least {least}")
        plan = CsvFeedPlan(column=column, kind=kind, offset=offset, step=step, detail=detail)
        return await write_csv_messages(world, await request.body(), plan)

    @router.post("/citizen-rate")
    async def set_citizen_rate(body: CitizenRateIn) -> dict[str, float]:
        if writer is None:
            raise HTTPException(404, "this emulator generates no messages of citizens")
        writer.set_rate(body.per_minute)
        return {"per_minute": writer.per_minute}

    return router


def _token_routes(
    router: APIRouter, world: EmulatedNetwork, faults: FaultInjector, controller: FaultController
) -> None:
    @router.get("/tokens")
    async def tokens() -> dict[str, Any]:
        controller.script.run_due_steps()
        codes = faults.persistent.codes()
        items = [item | {"persistent": codes.get(item["token"])} for item in world.tokens()]
        return {"items": items}

    @router.post("/tokens")
    async def create_token(body: TokenIn) -> dict[str, Any]:
        if body.kind == "group" and body.page is None:
            raise BadInputError("page", "is required for a group token")
        before = {item["token"] for item in world.tokens()}
        made = [world.create_token(kind=body.kind, page=body.page) for _ in range(body.count or 1)]
        working = {item["token"] for item in world.tokens()}
        for token in before - working:
            faults.persistent.token_revoked(token)
        page = made[0].get("page")
        faults.persistent.token_replaced(body.kind, None if page is None else str(page))
        return made[0] if body.count is None else {"items": [item for item in made if item["token"] in working]}

    @router.post("/tokens/revoke")
    async def revoke_token(body: RevokeIn) -> dict[str, bool]:
        controller.revoke(body.token)
        return {"revoked": True}


def _world_routes(router: APIRouter, world: EmulatedNetwork) -> None:
    @router.get("/pages")
    async def pages() -> dict[str, Any]:
        return {"items": world.pages()}

    @router.post("/pages")
    async def create_page(body: PageIn) -> dict[str, Any]:
        return world.create_page(**body.model_dump())

    @router.post("/citizen")
    async def citizen(body: CitizenMessageIn) -> dict[str, Any]:
        if body.kind == "suggested_post":
            given = body.model_dump(include={"page", "text", "author", "attachments"})
            return world.citizen_suggests_post(**given)
        return world.citizen_writes(**body.model_dump())

    @router.post("/post")
    async def post(body: CommunityPostIn) -> dict[str, Any]:
        return world.community_posts(**body.model_dump())

    @router.post("/community")
    async def community(body: CommunityMessageIn) -> dict[str, Any]:
        return world.community_writes(**body.model_dump())

    @router.post("/edit")
    async def edit(body: EditIn) -> dict[str, Any]:
        return world.edit(**body.model_dump())

    @router.post("/delete")
    async def delete(body: DeleteIn) -> dict[str, Any]:
        return world.delete(**body.model_dump())

    @router.get("/answers")
    async def answers(page: str | None = None) -> dict[str, Any]:
        return {"items": world.published_replies(page)}

    @router.get("/counts")
    async def counts() -> dict[str, Any]:
        return {"items": world.message_counts()}
