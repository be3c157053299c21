"""The control door: through it tests and demonstrations move citizens, staff, tokens and faults."""

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from emulators.common.citizens import CitizenWriter
from emulators.common.errors import BadInputError, RefusedError, UnknownError
from emulators.common.faults import Fault, FaultKind, Faults
from emulators.common.feed import FeedPlan, feed
from emulators.common.world import Actor, MessageKind, TokenKind, World


def _reference(value: object) -> object:
    # Clients hold ids of VK as numbers and ids of OK as text; inside they are text.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


Reference = Annotated[str, BeforeValidator(_reference), Field(min_length=1, max_length=400)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, data: object) -> object:
        # JSON can spell half of a surrogate pair, which no network and no database can hold.
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("holds a lone surrogate, which is no text") from None
        return data


class PageIn(_Body):
    name: str = Field(min_length=1, max_length=200)
    screen_name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.]+$")
    description: str = ""


class TokenIn(_Body):
    kind: TokenKind
    page: Reference | None = None


class RevokeIn(_Body):
    token: str = Field(min_length=1)


class CitizenIn(_Body):
    page: Reference
    kind: MessageKind
    text: str
    author: Reference | None = None
    thread: Reference | None = None
    in_reply_to: Reference | None = None
    attachments: list[Any] = []


class PostIn(_Body):
    page: Reference
    text: str


class CommunityIn(_Body):
    page: Reference
    thread: Reference
    text: str
    in_reply_to: Reference | None = None
    kind: MessageKind | None = None


class EditIn(_Body):
    page: Reference
    id: Reference
    text: str
    kind: MessageKind | None = None
    by: Actor = "author"


class DeleteIn(_Body):
    page: Reference
    id: Reference
    kind: MessageKind | None = None
    by: Actor = "author"


class FaultIn(_Body):
    kind: FaultKind
    rate: float | None = Field(default=None, ge=0, le=1)
    next: int | None = Field(default=None, ge=1)
    method: str | None = None
    code: int | None = None
    seconds: float | None = Field(default=None, ge=0, le=600)

    @model_validator(mode="after")
    def _one_measure(self) -> "FaultIn":
        if (self.rate is None) == (self.next is None):
            raise ValueError("give either rate or next")
        return self


class CitizensIn(_Body):
    per_minute: float = Field(ge=0, le=60_000)


class ControlRoute(APIRoute):
    """Turns what goes wrong in a world into the door's own answers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, wrapped."""
        handle = super().get_route_handler()

        async def wrapped(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                # The input is left out: it may hold text that no UTF-8 answer can carry.
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


def control_router(world: World, faults: Faults, writer: CitizenWriter | None = None) -> APIRouter:
    """Routes under `/_control`; without a writer the rate of citizens cannot be changed (404)."""
    router = APIRouter(prefix="/_control", route_class=ControlRoute, tags=["control"])
    _world_routes(router, world)
    _fault_routes(router, faults)

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
        plan = FeedPlan(column=column, kind=kind, offset=offset, step=step, detail=detail)
        return await feed(world, await request.body(), plan)

    @router.post("/citizens")
    async def citizens(body: CitizensIn) -> dict[str, float]:
        if writer is None:
            raise HTTPException(404, "no citizens write by themselves here")
        writer.set_rate(body.per_minute)
        return {"per_minute": writer.per_minute}

    return router


def _world_routes(router: APIRouter, world: World) -> None:
    @router.get("/pages")
    async def pages() -> dict[str, Any]:
        return {"items": world.pages()}

    @router.post("/pages")
    async def create_page(body: PageIn) -> dict[str, Any]:
        return world.create_page(**body.model_dump())

    @router.get("/tokens")
    async def tokens() -> dict[str, Any]:
        return {"items": world.tokens()}

    @router.post("/tokens")
    async def create_token(body: TokenIn) -> dict[str, Any]:
        if body.kind == "group" and body.page is None:
            raise BadInputError("page", "a group token belongs to a page")
        return world.create_token(kind=body.kind, page=body.page)

    @router.post("/tokens/revoke")
    async def revoke_token(body: RevokeIn) -> dict[str, bool]:
        world.revoke_token(body.token)
        return {"revoked": True}

    @router.post("/citizen")
    async def citizen(body: CitizenIn) -> dict[str, Any]:
        return world.citizen(**body.model_dump())

    @router.post("/post")
    async def post(body: PostIn) -> dict[str, Any]:
        return world.post(**body.model_dump())

    @router.post("/community")
    async def community(body: CommunityIn) -> dict[str, Any]:
        return world.community(**body.model_dump())

    @router.post("/edit")
    async def edit(body: EditIn) -> dict[str, Any]:
        return world.edit(**body.model_dump())

    @router.post("/delete")
    async def delete(body: DeleteIn) -> dict[str, Any]:
        return world.delete(**body.model_dump())

    @router.get("/answers")
    async def answers(page: str | None = None) -> dict[str, Any]:
        return {"items": world.answers(page)}

    @router.get("/calls")
    async def calls() -> dict[str, Any]:
        return {"items": world.calls()}

    @router.get("/counts")
    async def counts() -> dict[str, Any]:
        return {"items": world.counts()}


def _fault_routes(router: APIRouter, faults: Faults) -> None:
    @router.post("/faults")
    async def arm(body: FaultIn) -> dict[str, Any]:
        faults.arm(Fault(**body.model_dump()))
        return {"items": faults.armed(), "kinds": list(get_args(FaultKind))}

    @router.get("/faults")
    async def armed() -> dict[str, Any]:
        return {"items": faults.armed()}

    @router.delete("/faults")
    async def clear() -> dict[str, Any]:
        faults.clear()
        return {"items": []}
