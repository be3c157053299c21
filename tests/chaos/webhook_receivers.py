"""Fifty receivers of webhooks in one server: healthy, slow, failing at random, down for a while, and busy (429).

A seed determines what each one refuses. Every receiver records what it accepted and which events were out of
order.
"""

import asyncio
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from aiohttp import web

# How often a receiver that fails at random or is busy refuses an event at most, so that attempts are left.
MOST_REFUSALS = 4
REFUSED_SHARE = 0.3


class Behaviour(StrEnum):
    """What a receiver does with deliveries."""

    HEALTHY = "healthy"
    SLOW = "slow"
    FAILS = "fails at random"
    DOWN = "is down for a while"
    BUSY = "answers 429"


RECEIVERS = {Behaviour.HEALTHY: 20, Behaviour.SLOW: 10, Behaviour.FAILS: 10, Behaviour.DOWN: 5, Behaviour.BUSY: 5}


@dataclass
class Receiver:
    """One receiver, and the events that it got."""

    number: int
    behaviour: Behaviour
    ordered: bool
    seed: int
    # The ids that each event came with, by the event's number.
    ids: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    arrived_at: dict[int, float] = field(default_factory=dict)
    accepted: Counter[int] = field(default_factory=Counter)
    # How many events of each appeal were accepted.
    of_appeal: Counter[str] = field(default_factory=Counter)
    highest_sequence: dict[str, int] = field(default_factory=dict)
    out_of_order: list[str] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)

    def arrives(self, event: dict[str, Any], earlier: int) -> None:
        """Record an attempt. `earlier`: how many earlier events the appeal of the event has."""
        number, appeal = event["data"]["number"], event["data"]["id"]
        self.arrived_at.setdefault(number, time.monotonic())
        self.ids[number].add(event["id"])
        if self.ordered and earlier > self.of_appeal[appeal]:
            accepted = self.of_appeal[appeal]
            self.out_of_order.append(f"event {number} of {appeal} came when {accepted} of {earlier} were accepted")

    def accepts(self, event: dict[str, Any]) -> None:
        """Record that the attempt was accepted."""
        number, appeal = event["data"]["number"], event["data"]["id"]
        self.accepted[number] += 1
        if self.accepted[number] == 1:
            self.of_appeal[appeal] += 1
            if self.ordered and event["sequence"] < self.highest_sequence.get(appeal, 0):
                self.out_of_order.append(f"event {number} has a lower sequence than one accepted before")
            self.highest_sequence[appeal] = event["sequence"]

    def refuses(self, number: int) -> bool:
        """Return whether this attempt is refused; the seed determines how many attempts of each event are."""
        dice = random.Random(f"{self.seed} {self.number} {number}")
        refused = next((n for n in range(MOST_REFUSALS) if dice.random() >= REFUSED_SHARE), MOST_REFUSALS)
        self.refusals[number] += 1
        return self.refusals[number] <= refused


class Receivers:
    """The server of all receivers; every second receiver of each behaviour is ordered."""

    def __init__(self, seed: int) -> None:
        behaviours = [behaviour for behaviour, count in RECEIVERS.items() for _ in range(count)]
        self.all = [
            Receiver(number, behaviour, number % 2 == 0, seed) for number, behaviour in enumerate(behaviours)
        ]
        self.appeals: dict[str, list[int]] = defaultdict(list)
        self.written_at: dict[int, float] = {}
        self.down = False
        self._dice = random.Random(seed)
        self._runner: web.AppRunner | None = None
        self._earlier: dict[int, int] = {}

    def of(self, *behaviours: Behaviour) -> list[Receiver]:
        """Return the receivers of these behaviours."""
        return [receiver for receiver in self.all if receiver.behaviour in behaviours]

    def write(self, number: int, appeal: UUID) -> None:
        """Record that the event is written now, as the latest of its appeal."""
        self._earlier[number] = len(self.appeals[str(appeal)])
        self.appeals[str(appeal)].append(number)
        self.written_at[number] = time.monotonic()

    async def start(self) -> str:
        """Serve on a free loopback port; return the URL."""
        app = web.Application()
        app.router.add_post("/{receiver}", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1_024).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close the server."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        receiver = self.all[int(request.match_info["receiver"])]
        event = await request.json()
        assert event["id"] == request.headers["webhook-id"]
        number = event["data"]["number"]
        receiver.arrives(event, self._earlier[number])
        match receiver.behaviour:
            case Behaviour.SLOW:
                await asyncio.sleep(self._dice.uniform(0.1, 0.3))
            case Behaviour.FAILS if receiver.refuses(number):
                return web.Response(status=500)
            case Behaviour.BUSY if receiver.refuses(number):
                return web.Response(status=429, headers={"Retry-After": "1"})
            case Behaviour.DOWN if self.down:
                assert request.transport is not None
                request.transport.abort()
                return web.Response(status=503)
        receiver.accepts(event)
        return web.Response(status=204)
