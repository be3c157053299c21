"""Inject the faults armed through the control API into calls and pushes of an emulated network."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.responses import Response

from emulators.common.clock import EmulatorClock
from emulators.common.faults.fault_types import ArmedFault, Fault, FaultMix, fault_from_dict
from emulators.common.faults.persistent_faults import PersistentFaults
from emulators.common.server import DroppedConnection, TruncatedResponse, json_response
from emulators.common.store import EmulatorStore

UNEXPECTED_JSON: list[object] = [{"unexpected": True}, None]
PUSH_KINDS = frozenset({"duplicate", "reorder"})
SEED, DRAWS, ENDED_DAYS = "fault_seed", "fault_draws", "ended_days"


@dataclass(frozen=True)
class CallAnswer:
    """The response to a call before faults are applied."""

    content: Any
    headers: dict[str, str] | None = None
    status: int = 200

    def response(self) -> Response:
        """Return the HTTP response."""
        return json_response(self.content, self.headers, self.status)


class FaultInjector:
    """Holds the armed faults and decides, from a seed, which calls they hit.

    With the network's store, all state survives a crash; without a store, it is kept in memory. `clock` must be
    the clock that defines the network's days.
    """

    def __init__(
        self,
        seed: int,
        *,
        slow_seconds: float = 3,
        timeout_seconds: float = 60,
        store: EmulatorStore | None = None,
        clock: EmulatorClock | None = None,
    ) -> None:
        self.store = store or EmulatorStore(Path(":memory:"), "")
        self.clock = clock or EmulatorClock()
        self.clock.skipped_days = int(self.store.get_value(ENDED_DAYS) or 0)
        self.persistent = PersistentFaults(self.store, self.clock)
        self.before_call: Callable[[], None] = lambda: None
        """Called before the faults of each call are drawn."""
        self._seed = int(self.store.get_value(SEED) or seed)
        self._draws = int(self.store.get_value(DRAWS) or 0)
        self._random = random.Random(self._seed)
        self._armed: dict[int, ArmedFault] = {
            row["id"]: fault_from_dict(json.loads(row["body"]))
            for row in self.store.all("SELECT id, body FROM armed_faults ORDER BY id")
        }
        self._slow = slow_seconds
        self._timeout = timeout_seconds

    def arm(self, fault: ArmedFault) -> None:
        """Add a fault or a mix of faults to the armed faults."""
        body = json.dumps(fault.to_dict())
        self._armed[self.store.execute("INSERT INTO armed_faults (body) VALUES (?)", (body,))] = fault

    def reseed(self, seed: int) -> None:
        """Restart the random sequence with a different seed."""
        self._seed = seed
        self._restart_sequence()

    @property
    def seed(self) -> int:
        """Return the seed of the random sequence."""
        return self._seed

    def armed(self) -> list[dict[str, Any]]:
        """Return the armed faults; faults with `next` that are used up are not among them."""
        return [fault.to_dict() for fault in self._armed.values()]

    def clear(self) -> None:
        """Disarm all faults, including persistent faults, and restart the random sequence."""
        self._armed.clear()
        self.store.execute("DELETE FROM armed_faults")
        self.persistent.clear()
        self._restart_sequence()

    def _restart_sequence(self) -> None:
        self._random.seed(self._seed)
        self._draws = 0
        self.store.set_value(SEED, str(self._seed))
        self.store.set_value(DRAWS, "0")

    def end_day(self) -> int:
        """End the emulator's day now; return the number of the new day."""
        self.clock.skipped_days += 1
        self.store.set_value(ENDED_DAYS, str(self.clock.skipped_days))
        return self.clock.day()

    def draw(self, method: str) -> list[Fault]:
        """Return the faults that hit this call of the method."""
        self.before_call()
        return self._drawn(method, [ident for ident, fault in self._armed.items() if fault.applies_to(method)])

    def draw_push(self, name: str) -> list[Fault]:
        """Return the faults that hit a push of the network, such as a webhook.

        Such faults name the push among their methods, or are a `duplicate` or `reorder` of a mix without methods.
        Other faults without methods apply only to calls and are not used up here.
        """
        named, mixed = [], []
        for ident, fault in self._armed.items():
            names = fault.target_methods()
            if names is None and isinstance(fault, FaultMix):
                mixed.append(ident)
            elif names is not None and name in names:
                named.append(ident)
        return self._drawn(name, named) + [fault for fault in self._drawn(name, mixed) if fault.kind in PUSH_KINDS]

    def _drawn(self, method: str, candidates: list[int]) -> list[Fault]:
        if not candidates:
            return []
        # A separate random source per draw, so that the sequence continues after a crash.
        source = random.Random(f"{self._seed}:{self._draws}:{method}")
        self._draws += 1
        hit = []
        with self.store.transaction():
            self.store.set_value(DRAWS, str(self._draws))
            for ident in candidates:
                fault = self._armed[ident]
                found = fault.draw(source)
                if found is not None:
                    hit.append(found)
                if fault.is_exhausted():
                    del self._armed[ident]
                    self.store.execute("DELETE FROM armed_faults WHERE id = ?", (ident,))
                elif found is not None or isinstance(fault, FaultMix):
                    body = json.dumps(fault.to_dict())
                    self.store.execute("UPDATE armed_faults SET body = ? WHERE id = ?", (body, ident))
        return hit

    async def apply(
        self,
        hit: list[Fault],
        refuse: Callable[[int | None], CallAnswer],
        carry_out: Callable[[], Awaitable[CallAnswer]],
    ) -> Response:
        """Respond to a call with the drawn faults.

        `error`, `timeout` and `drop` apply instead of the call; the other faults apply after its effect.
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
            return json_response(UNEXPECTED_JSON, answer.headers, answer.status)
        if "duplicate" in kinds or "reorder" in kinds:
            mangled = self.repeat_or_shuffle(answer.content, hit)
            answer = CallAnswer(mangled, answer.headers, answer.status)
        response = answer.response()
        return TruncatedResponse(response) if "truncated" in kinds else response

    def repeat_or_shuffle(self, content: Any, hit: list[Fault]) -> Any:
        """Return the response with repeated items of lists for `duplicate`, shuffled lists for `reorder`."""
        kinds = {fault.kind for fault in hit}
        if isinstance(content, list):
            items = [item for item in content for _ in range(2)] if "duplicate" in kinds else list(content)
            if "reorder" in kinds:
                self._random.shuffle(items)
            return items
        if isinstance(content, dict):
            return {
                key: self.repeat_or_shuffle(value, hit) if isinstance(value, list) or key == "response" else value
                for key, value in content.items()
            }
        return content


def _seconds(fault: Fault, default: float) -> float:
    return default if fault.seconds is None else fault.seconds
