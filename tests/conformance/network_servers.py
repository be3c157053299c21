"""The networks under test, each with its emulator, driver and settings of ingest."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import httpx

from cli.embedded.temporary_postgres import free_port
from services.ingest.networks import catalogue
from services.ingest.networks.network_spec import NetworkSpec
from shared import networks
from tests.conformance.drivers.base import Driver
from tests.conformance.drivers.example import ExampleDriver
from tests.conformance.drivers.ok import OkDriver
from tests.conformance.drivers.vk import VkDriver
from tests.conformance.example import adapter as example
from tests.integration.ingest.conftest import FAST, KEYS
from tests.support.eventually import eventually_blocking
from tests.support.forked_program import ForkedProgram

# High call limits: behaviours share a page, run concurrently and do not test these limits.
MANY = "500"
SUITE = {"reconcile_grace_seconds": "2"}


@dataclass(frozen=True)
class NetworkServer:
    """How a network is emulated: `module` is the program, `port` the environment variable with its port."""

    driver: type[Driver]
    module: str
    port: str = "EMULATOR_PORT"
    env: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


NETWORK_SERVERS: dict[str, NetworkServer] = {
    "vk": NetworkServer(
        VkDriver,
        "emulators.vk",
        env={
            "EMULATOR_USER_PER_SECOND": MANY,
            "EMULATOR_GROUP_PER_SECOND": MANY,
            "EMULATOR_DAILY_LIMITS": '{"wall.get": 10000000}',
        },
        settings={
            "vk_user_calls_per_second": "200",
            "vk_group_calls_per_second": "200",
            "vk_calls_per_day": '{"wall.get": 400000}',
            "vk_conversation_poll_seconds": "1",
            "vk_long_poll_wait_seconds": "2",
            "vk_closed_retry_seconds": "1",
        },
    ),
    "ok": NetworkServer(
        OkDriver,
        "emulators.ok",
        env={"EMULATOR_CALLS_PER_SECOND": "0", "EMULATOR_BOT_CALLS_PER_SECOND": "0"},
        settings={"ok_calls_per_second": "200", "ok_topic_poll_seconds": "1", "ok_closed_retry_seconds": "1"},
    ),
    "example": NetworkServer(ExampleDriver, "tests.conformance.example.server", port="EXAMPLE_PORT"),
}


@contextmanager
def running_network(network: str, folder: Path) -> Iterator[tuple[Driver, dict[str, str]]]:
    """Run the network's server as a process; yield its driver and ingest's settings."""
    played = NETWORK_SERVERS[network]
    port = free_port()
    environment = {
        **os.environ,
        played.port: str(port),
        "EMULATOR_DATA": str(folder / f"{network}.sqlite3"),
        "EMULATOR_TIMEOUT_SECONDS": "10",
        **played.env,
    }
    process = ForkedProgram(played.module, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(url, process)
        with _known(network, url):
            settings = KEYS | FAST | SUITE | dict(played.settings) | {f"{network}_api_url": url}
            yield played.driver(url), settings
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def _known(network: str, url: str) -> Iterator[None]:
    """Register the example network until the block ends; other networks are always registered."""
    if network in catalogue.NETWORKS:
        yield
        return
    entry = NetworkSpec(example.Example, example.MAX_LENGTH)
    about = networks.NetworkInfo("Пример", "https://example.invalid/{id}")
    with (
        mock.patch.dict(catalogue.NETWORKS, {network: entry}),
        mock.patch.dict(networks.NETWORKS, {network: about}),
        mock.patch.object(example, "URL", url),
    ):
        yield


def _wait_for(url: str, process: ForkedProgram) -> None:
    def answers() -> bool:
        assert process.returncode is None, "the server ended"
        try:
            httpx.get(f"{url}/_control/pages", timeout=5)
        except httpx.TransportError:
            return False
        return True

    eventually_blocking(answers, "an answer of the server")
