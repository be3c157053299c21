"""Faults armed through the control door: what a network does to its clients on a bad day."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from starlette.responses import Response

from emulators.common.server import DroppedConnection, TruncatedResponse, json_response

FaultKind = Literal[
    "error",
    "timeout",
    "truncated",
    "wrong_json",
    "duplicate",
    "reorder",
    "slow",
    "drop",
    "lost_response",
]
WRONG_JSON: list[object] = [{"unexpected": True}, None]


@dataclass
class Fault:
    """One armed fault: hits a share of the calls (`rate`) or the next so many (`next`)."""

    kind: FaultKind
    rate: float | None = None
    next: int | None = None
    method: str | None = None
    code: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Answer:
    """What a call would answer if nothing went wrong."""

    content: Any
    headers: dict[str, str] | None = None
    status: int = 200

    def response(self) -> Response:
        """The answer on the wire."""
        return json_response(self.content, self.headers, self.status)


class Faults:
    """Holds what is armed and decides, from a seed, which calls it hits."""

    def __init__(self, seed: int, *, slow_seconds: float = 3, timeout_seconds: float = 60) -> None:
        self._seed = seed
        self._random = random.Random(seed)
        self._armed: list[Fault] = []
        self._slow = slow_seconds
        self._timeout = timeout_seconds

    def arm(self, fault: Fault) -> None:
        """Add a fault to those armed."""
        self._armed.append(fault)

    def armed(self) -> list[dict[str, Any]]:
        """What is armed now; a fault counted by `next` leaves the list when it is used up."""
        return [asdict(fault) for fault in self._armed]

    def clear(self) -> None:
        """Disarm everything and start the random sequence anew."""
        self._armed.clear()
        self._random.seed(self._seed)

    def draw(self, method: str) -> list[Fault]:
        """The faults that hit this call of the method."""
        hit = []
        for fault in list(self._armed):
            if fault.method is not None and fault.method != method:
                continue
            if fault.next is not None:
                fault.next -= 1
                if fault.next <= 0:
                    self._armed.remove(fault)
                hit.append(fault)
            elif self._random.random() < (fault.rate or 0):
                hit.append(fault)
        return hit

    async def around(
        self,
        hit: list[Fault],
        refuse: Callable[[int | None], Answer],
        carry_out: Callable[[], Awaitable[Answer]],
    ) -> Response:
        """Answer a call under the drawn faults.

        `error`, `timeout` and `drop` strike before the call has any effect; the others after it.
        """
        kinds = {fault.kind: fault for fault in hit}
        if "timeout" in kinds:
            await asyncio.sleep(_seconds(kinds["timeout"], self._timeout))
            return DroppedConnection()
        if "drop" in kinds:
            return DroppedConnection()
        if "error" in kinds:
            return refuse(kinds["error"].code).response()
        answer = await carry_out()
        if "slow" in kinds:
            await asyncio.sleep(_seconds(kinds["slow"], self._slow))
        if "lost_response" in kinds:
            return DroppedConnection()
        if "wrong_json" in kinds:
            return json_response(WRONG_JSON, answer.headers, answer.status)
        if "duplicate" in kinds or "reorder" in kinds:
            mangled = self.mangle(answer.content, hit)
            answer = Answer(mangled, answer.headers, answer.status)
        response = answer.response()
        return TruncatedResponse(response) if "truncated" in kinds else response

    def mangle(self, content: Any, hit: list[Fault]) -> Any:
        """Repeat or shuffle the lists of an answer, as `duplicate` and `reorder` ask."""
        kinds = {fault.kind for fault in hit}
        if isinstance(content, list):
            items = [item for item in content for _ in range(2)] if "duplicate" in kinds else list(content)
            if "reorder" in kinds:
                self._random.shuffle(items)
            return items
        if isinstance(content, dict):
            return {
                key: self.mangle(value, hit) if isinstance(value, list) or key == "response" else value
                for key, value in content.items()
            }
        return content


def _seconds(fault: Fault, default: float) -> float:
    return default if fault.seconds is None else fault.seconds
