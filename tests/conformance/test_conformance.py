"""Every behaviour, for every network to which it applies."""

import pytest

from tests.conformance.behaviour_list import BEHAVIOURS, Behaviour
from tests.conformance.behaviours import (
    changes,
    edits_and_deletions,
    incoming,
    publishing,
    reconciliation,
    sources,
    threads,
)
from tests.conformance.conftest import SharedIngests
from tests.conformance.network_servers import NETWORK_SERVERS

# Longer than `PATIENCE`, so that a wait that times out fails with its own message.
pytestmark = [pytest.mark.long, pytest.mark.timeout(660)]

MODULES = (incoming, edits_and_deletions, threads, publishing, changes, sources, reconciliation)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Generate a case per network and behaviour; behaviours marked `alone` come last."""
    if "behaviour" not in metafunc.fixturenames:
        return
    cases = [
        pytest.param(network, one, id=f"{network}-{one.name}")
        for network, played in NETWORK_SERVERS.items()
        for one in sorted(BEHAVIOURS, key=lambda one: one.alone)
        if one.not_for(played.driver) is None
    ]
    metafunc.parametrize(("network", "behaviour"), cases)


async def test_network_shows_behaviour(shared_ingests: SharedIngests, network: str, behaviour: Behaviour) -> None:
    show = await shared_ingests.show(network)
    await show.outcome(behaviour)


def test_behaviour_names_are_unique() -> None:
    names = [one.name for one in BEHAVIOURS]
    assert len(set(names)) == len(names)
