"""Turns at comparing passwords, which is slow on purpose: few at once, a bounded queue, fair between callers.

Turns go round between addresses, and within one address between user names, so that a flood waits for itself. Who
signs in from an address where that name has signed in before goes first. When the queue is full, the newest of
whoever waits most often gives way.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


class QueueFull(Exception):  # noqa: N818 — reads better where it is raised
    """Too many wait already, or it takes too long."""


Waiter = asyncio.Future[None]


@dataclass
class _RoundRobin:
    """Those who wait, by address and user name."""

    by_address: OrderedDict[str, OrderedDict[str, deque[Waiter]]] = field(default_factory=OrderedDict)

    def waiting(self, address: str) -> int:
        return sum(len(line) for line in self.by_address.get(address, {}).values())

    def add(self, address: str, name: str, waiter: Waiter) -> None:
        self.by_address.setdefault(address, OrderedDict()).setdefault(name, deque()).append(waiter)

    def next(self) -> Waiter | None:
        """The one whose turn it is; its address and its name come last from now on."""
        if not self.by_address:
            return None
        address, names = next(iter(self.by_address.items()))
        name, line = next(iter(names.items()))
        waiter = line.popleft()
        names.move_to_end(name)
        self.by_address.move_to_end(address)
        self._tidy(address, name)
        return waiter

    def evict_for(self, address: str, name: str) -> Waiter | None:
        """Take out the newest of the address that waits most often, or of the newcomer's address the newest of the
        name that does; None when that is the newcomer.
        """
        busiest = max(self.by_address, key=self.waiting, default=None)
        if busiest is None:
            return None
        if self.waiting(busiest) <= self.waiting(address) + 1:
            busiest = address
            names = self.by_address.get(address, OrderedDict())
            if max(map(len, names.values()), default=0) <= len(names.get(name, ())) + 1:
                return None
        return self._newest(busiest)

    def evict_newest_of_busiest(self) -> Waiter | None:
        """Take out the newest of the address that waits most often."""
        busiest = max(self.by_address, key=self.waiting, default=None)
        return None if busiest is None else self._newest(busiest)

    def _newest(self, address: str) -> Waiter:
        names = self.by_address[address]
        name = max(names, key=lambda one: len(names[one]))
        waiter = names[name].pop()
        self._tidy(address, name)
        return waiter

    def remove(self, address: str, name: str, waiter: Waiter) -> bool:
        """Take out one who waits no more; false when they were out already."""
        line = self.by_address.get(address, OrderedDict()).get(name)
        if line is None or waiter not in line:
            return False
        line.remove(waiter)
        self._tidy(address, name)
        return True

    def _tidy(self, address: str, name: str) -> None:
        names = self.by_address[address]
        if not names[name]:
            del names[name]
        if not names:
            del self.by_address[address]


class FairQueue:
    """`at_once` turns at a time; at most `most_waiting` wait, for `patience` seconds each, and `waiting` do."""

    def __init__(self, *, concurrency: int, max_waiting: int, timeout_seconds: float = 10) -> None:
        self._patience = timeout_seconds
        self._free = concurrency
        self._most_waiting = max_waiting
        self.waiting = 0
        self._known, self._others = _RoundRobin(), _RoundRobin()

    @asynccontextmanager
    async def slot(self, address: str, name: str, *, priority: bool) -> AsyncIterator[None]:
        """Hold a turn for the block. Raises `QueueFull`, also for who waits and has to give way."""
        if self._free:
            self._free -= 1
        else:
            try:
                # The gateway gives up after 30 s, and then nobody would say when to come again.
                async with asyncio.timeout(self._patience):
                    await self._wait(address, name, self._known if priority else self._others)
            except TimeoutError:
                raise QueueFull from None
        try:
            yield
        finally:
            self._release()

    async def _wait(self, address: str, name: str, line: _RoundRobin) -> None:
        if self.waiting >= self._most_waiting:
            # Whoever is not known gives way to who is.
            leaves = self._others.evict_newest_of_busiest() if line is self._known else None
            leaves = leaves or line.evict_for(address, name)
            if leaves is None:
                raise QueueFull
            self.waiting -= 1
            if not leaves.done():
                leaves.set_exception(QueueFull())
        waiter: Waiter = asyncio.get_running_loop().create_future()
        line.add(address, name, waiter)
        self.waiting += 1
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._release()  # the turn came, and nobody is there to take it
            elif line.remove(address, name, waiter):
                self.waiting -= 1
            raise

    def _release(self) -> None:
        while (waiter := self._known.next() or self._others.next()) is not None:
            self.waiting -= 1
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1
