"""Routes of the control API for faults, fault scripts, the end of the day, and calls by token."""

from typing import Any, Literal, get_args

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from emulators.common.errors import BadInputError, UnknownError
from emulators.common.faults.fault_injector import FaultInjector
from emulators.common.faults.fault_script import FaultScript
from emulators.common.faults.fault_types import Fault, FaultKind, FaultMix
from emulators.common.faults.persistent_faults import Until
from emulators.common.network_protocol import EmulatedNetwork
from emulators.common.request_models import RequestBody


class FaultIn(RequestBody):
    kind: FaultKind
    rate: float | None = Field(default=None, ge=0, le=1)
    next: int | None = Field(default=None, ge=1)
    method: str | None = None
    methods: list[str] | None = Field(default=None, min_length=1)
    code: int | None = None
    seconds: float | None = Field(default=None, ge=0, le=600)
    seed: int | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> "FaultIn":
        if (self.rate is None) == (self.next is None):
            raise ValueError("give either rate or next")
        return self


class MixPartIn(RequestBody):
    kind: FaultKind
    code: int | None = None
    seconds: float | None = Field(default=None, ge=0, le=600)
    weight: float = Field(default=1, gt=0, le=1_000_000)


class MixIn(RequestBody):
    mix: list[MixPartIn] = Field(min_length=1, max_length=100)
    rate: float = Field(ge=0, le=1)
    methods: list[str] | None = Field(default=None, min_length=1)
    seed: int | None = None


class PersistentFaultIn(RequestBody):
    kind: str
    code: int
    token: str = Field(min_length=1)
    methods: list[str] | None = Field(default=None, min_length=1)
    until: Until = "cleared"
    seed: int | None = None


class SeedIn(RequestBody):
    seed: int


class StepIn(RequestBody):
    after_calls: int | None = Field(default=None, ge=0)
    after_seconds: float | None = Field(default=None, ge=0)
    do: dict[str, Any]

    @model_validator(mode="after")
    def _one_measure(self) -> "StepIn":
        if (self.after_calls is None) == (self.after_seconds is None):
            raise ValueError("give either after_calls or after_seconds")
        return self


class ScriptIn(RequestBody):
    steps: list[StepIn] = Field(max_length=1_000)


class RevokeStep(RequestBody):
    revoke: str = Field(min_length=1)


class ClearStep(RequestBody):
    clear: Literal[True]


class SolveIn(RequestBody):
    token: str = Field(min_length=1)


FaultBody = FaultIn | MixIn | PersistentFaultIn | SeedIn
StepBody = FaultBody | RevokeStep | ClearStep


def _form(given: dict[str, Any]) -> TypeAdapter[Any]:
    for key, form in (("revoke", RevokeStep), ("clear", ClearStep), ("mix", MixIn)):
        if key in given:
            return TypeAdapter(form)
    if given.get("kind") == "persistent":
        return TypeAdapter(PersistentFaultIn)
    return TypeAdapter(SeedIn if set(given) == {"seed"} else FaultIn)


def _parsed(given: dict[str, Any], *where: str | int) -> StepBody:
    """Return the body parsed by the model that its fields imply; errors name fields of the body."""
    try:
        found: StepBody = _form(given).validate_python(given)
    except ValidationError as error:
        raise RequestValidationError(
            [{**item, "loc": ("body", *where, *item["loc"])} for item in error.errors(include_context=False)]
        ) from error
    return found


class FaultController:
    """Applies faults and revokes tokens for the control API and its script."""

    def __init__(self, world: EmulatedNetwork, faults: FaultInjector) -> None:
        self._world = world
        self._faults = faults
        self.script = FaultScript(faults.store, faults.clock, lambda step: self.apply(_parsed(step)))
        faults.before_call = self.script.count_call
        faults.persistent.before_call = self.script.run_due_steps

    def apply(self, body: StepBody) -> None:
        """Arm a fault, revoke a token or clear faults; raises `UnknownError` for an unknown token."""
        match body:
            case RevokeStep():
                self.revoke(body.revoke)
            case ClearStep():
                self._faults.clear()
            case MixIn():
                parts = [Fault(part.kind, code=part.code, seconds=part.seconds) for part in body.mix]
                self._reseed(body.seed)
                self._faults.arm(FaultMix(parts, [part.weight for part in body.mix], body.rate, body.methods))
            case PersistentFaultIn():
                self._arm_persistent(body)
            case SeedIn():
                self._reseed(body.seed)
            case FaultIn():
                self._reseed(body.seed)
                self._faults.arm(Fault(**body.model_dump(exclude={"seed"})))

    def _reseed(self, seed: int | None) -> None:
        if seed is not None:
            self._faults.reseed(seed)

    def _arm_persistent(self, body: PersistentFaultIn) -> None:
        found = next((item for item in self._world.tokens() if item["token"] == body.token), None)
        if found is None:
            raise UnknownError("no such token")
        self._reseed(body.seed)
        page = found.get("page")
        self._faults.persistent.arm(
            body.token,
            body.code,
            body.until,
            methods=body.methods,
            kind=found["kind"],
            page=None if page is None else str(page),
        )

    def revoke(self, token: str) -> None:
        """Revoke a token and start counting the further calls with it."""
        self._world.revoke_token(token)
        self._faults.persistent.token_revoked(token)

    def shown(self) -> dict[str, Any]:
        """Return all armed and persistent faults."""
        self.script.run_due_steps()
        return {
            "items": self._faults.armed(),
            "persistent": self._faults.persistent.items(),
            "seed": self._faults.seed,
            "kinds": list(get_args(FaultKind)),
        }


def add_fault_routes(router: APIRouter, world: EmulatedNetwork, faults: FaultInjector) -> FaultController:
    """Add the routes; return the controller that executes them."""
    controller = FaultController(world, faults)

    @router.post("/faults")
    async def arm(body: dict[str, Any]) -> dict[str, Any]:
        parsed = _parsed(body)
        if isinstance(parsed, RevokeStep | ClearStep):
            raise BadInputError("kind", "is missing")
        controller.apply(parsed)
        return controller.shown()

    @router.get("/faults")
    async def armed() -> dict[str, Any]:
        return controller.shown()

    @router.delete("/faults")
    async def clear(token: str | None = None) -> dict[str, Any]:
        if token is not None:
            faults.persistent.clear(token)
        else:
            controller.script.start([])
            faults.clear()
        return controller.shown()

    @router.post("/solve")
    async def solve(body: SolveIn) -> dict[str, Any]:
        controller.script.run_due_steps()
        return faults.persistent.solve_challenge(body.token)

    @router.post("/script")
    async def start(body: ScriptIn) -> dict[str, Any]:
        for number, step in enumerate(body.steps):
            _parsed(step.do, "steps", number, "do")
        controller.script.start([step.model_dump(exclude_none=True) for step in body.steps])
        return controller.script.to_dict()

    @router.get("/script")
    async def script() -> dict[str, Any]:
        return controller.script.to_dict()

    @router.post("/next-day")
    async def end_day() -> dict[str, int]:
        return {"day": faults.end_day()}

    @router.get("/calls")
    async def calls() -> dict[str, Any]:
        return {"items": world.call_totals(), "by_token": faults.persistent.calls_by_token()}

    return controller
