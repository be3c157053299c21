"""A bounded, fair queue in front of work that is slow or takes much memory, such as password hashing.

Slots are given round-robin over addresses, and within one address round-robin over user names, so a flood of
attempts delays mostly itself. Attempts from an address where that user has signed in before have priority. When
the queue is full, the newest attempt of the busiest address is evicted.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field


class QueueFull(Exception):  # noqa: N818 — reads better where it is raised
    """The queue is full, the name has too many attempts in it, or the wait timed out."""


Waiter = asyncio.Future[None]


@dataclass
class _RoundRobin:
    """Waiters by address and user name, served round-robin."""

    by_address: OrderedDict[str, OrderedDict[str, deque[Waiter]]] = field(default_factory=OrderedDict)

    def waiting(self, address: str) -> int:
        return sum(len(waiters) for waiters in self.by_address.get(address, {}).values())

    def add(self, address: str, name: str, waiter: Waiter) -> None:
        self.by_address.setdefault(address, OrderedDict()).setdefault(name, deque()).append(waiter)

    def next(self) -> Waiter | None:
        """Remove and return the next waiter; its address and its name move to the end of their rotation."""
        if not self.by_address:
            return None
        address, names = next(iter(self.by_address.items()))
        name, waiters = next(iter(names.items()))
        waiter = waiters.popleft()
        names.move_to_end(name)
        self.by_address.move_to_end(address)
        self._tidy(address, name)
        return waiter

    def evict_for(self, address: str, name: str) -> Waiter | None:
        """Make room for a newcomer: remove and return the newest waiter of the busiest address's busiest name.

        The newcomer is counted too; return None when the newcomer itself would be removed.
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
        """Remove and return the newest waiter of the busiest address's busiest name; None if nobody waits."""
        busiest = max(self.by_address, key=self.waiting, default=None)
        return None if busiest is None else self._newest(busiest)

    def _newest(self, address: str) -> Waiter:
        names = self.by_address[address]
        name = max(names, key=lambda waiting_name: len(names[waiting_name]))
        waiter = names[name].pop()
        self._tidy(address, name)
        return waiter

    def remove(self, address: str, name: str, waiter: Waiter) -> bool:
        """Remove a waiter that gave up; return False when it was already removed."""
        waiters = self.by_address.get(address, OrderedDict()).get(name)
        if waiters is None or waiter not in waiters:
            return False
        waiters.remove(waiter)
        self._tidy(address, name)
        return True

    def _tidy(self, address: str, name: str) -> None:
        names = self.by_address[address]
        if not names[name]:
            del names[name]
        if not names:
            del self.by_address[address]


class FairQueue:
    """Grants `concurrency` slots at a time; at most `max_waiting` attempts wait, each up to `timeout_seconds`. One
    name at one address has at most `max_per_name` attempts, with a slot or waiting; None means no limit.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        max_waiting: int,
        max_per_name: int | None = None,
        timeout_seconds: float = 10,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._max_per_name = max_per_name
        self._by_name: Counter[tuple[str, str]] = Counter()
        self._free = concurrency
        self._max_waiting = max_waiting
        self.waiting = 0
        self._priority, self._others = _RoundRobin(), _RoundRobin()

    @asynccontextmanager
    async def slot(
        self, address: str, name: str, *, priority: bool, timeout_seconds: float | None = None
    ) -> AsyncIterator[None]:
        """Hold a slot for the block. `timeout_seconds` shortens the queue's timeout for this attempt.

        Raises `QueueFull` if too many attempts wait, or too many of this name, after the timeout, or if this
        waiter is evicted.
        """
        waits = self._timeout_seconds if timeout_seconds is None else min(timeout_seconds, self._timeout_seconds)
        with self._counted(address, name):
            if self._free:
                self._free -= 1
            else:
                try:
                    # Shorter than the gateway's timeout of 30 s, whose response would have no Retry-After.
                    async with asyncio.timeout(waits):
                        await self._wait(address, name, self._priority if priority else self._others)
                except TimeoutError:
                    raise QueueFull from None
            try:
                yield
            finally:
                self._release()

    @contextmanager
    def _counted(self, address: str, name: str) -> Iterator[None]:
        """Count an attempt of the name during the block. Raises `QueueFull` beyond `max_per_name`."""
        key = (address, name)
        if self._max_per_name is not None and self._by_name[key] >= self._max_per_name:
            raise QueueFull
        self._by_name[key] += 1
        try:
            yield
        finally:
            self._by_name[key] -= 1
            if not self._by_name[key]:
                del self._by_name[key]

    async def _wait(self, address: str, name: str, round_robin: _RoundRobin) -> None:
        if self.waiting >= self._max_waiting:
            # A priority attempt may evict one without priority.
            evicted = self._others.evict_newest_of_busiest() if round_robin is self._priority else None
            evicted = evicted or round_robin.evict_for(address, name)
            if evicted is None:
                raise QueueFull
            self.waiting -= 1
            if not evicted.done():
                evicted.set_exception(QueueFull())
        waiter: Waiter = asyncio.get_running_loop().create_future()
        round_robin.add(address, name, waiter)
        self.waiting += 1
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._release()  # The slot was granted after the waiter gave up: pass it on.
            elif round_robin.remove(address, name, waiter):
                self.waiting -= 1
            raise

    def _release(self) -> None:
        while (waiter := self._priority.next() or self._others.next()) is not None:
            self.waiting -= 1
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1
