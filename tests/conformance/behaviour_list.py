"""The list of behaviours, with the networks to which each applies."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.conformance.drivers.base import CAPABILITIES, Driver
from tests.conformance.ingest_under_test import IngestUnderTest

Run = Callable[[IngestUnderTest], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One behaviour that ingest must show for every network.

    `needs`: the keys of `CAPABILITIES` that the network must support. `alone`: the behaviour arms faults or stops
    shared services, so it must not run concurrently.
    """

    name: str
    run: Run
    needs: frozenset[str]
    alone: bool

    def not_for(self, driver: type[Driver]) -> str | None:
        """Return why the network cannot show this behaviour; None if it can."""
        missing = [CAPABILITIES[key] for key in sorted(self.needs - driver.capabilities)]
        return f"{driver.network} {' and '.join(missing)}" if missing else None


BEHAVIOURS: list[Behaviour] = []


def behaviour(*needs: str, alone: bool = False) -> Callable[[Run], Run]:
    """Return a decorator that adds a function to the list under its own name."""
    unknown = set(needs) - CAPABILITIES.keys()
    if unknown:
        raise ValueError(f"CAPABILITIES has no {unknown}")

    def listed(run: Run) -> Run:
        BEHAVIOURS.append(Behaviour(getattr(run, "__name__", ""), run, frozenset(needs), alone))
        return run

    return listed
