"""Ports in use are reported with the setting to change."""

import socket
from collections.abc import Iterator

import pytest

from cli.embedded.ports import PortTakenError, check_ports
from cli.embedded.settings import EmbeddedSettings

pytestmark = pytest.mark.enable_socket  # ports of loopback are taken and freed


def _free(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> EmbeddedSettings:
    names = EmbeddedSettings().ports()
    for name, port in zip(names, _free(len(names)), strict=True):
        monkeypatch.setenv(f"GOSPABLIK_PORT_{name.upper()}", str(port))
    return EmbeddedSettings()


@pytest.fixture
def occupied_port(settings: EmbeddedSettings) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", settings.port_appeals)) as server:
        yield server


def test_free_ports_are_accepted(settings: EmbeddedSettings) -> None:
    check_ports(settings)


@pytest.mark.usefixtures("occupied_port")
def test_port_in_use_is_reported_with_its_setting(settings: EmbeddedSettings) -> None:
    with pytest.raises(PortTakenError) as refusal:
        check_ports(settings)
    message = str(refusal.value)
    assert f"Port {settings.port_appeals} (appeals) is already in use" in message
    assert "GOSPABLIK_PORT_APPEALS=" in message
    assert "METRICS" not in message


def test_port_configured_twice_is_refused(settings: EmbeddedSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOSPABLIK_PORT_METRICS", str(settings.port_appeals))
    with pytest.raises(PortTakenError, match="configured for both appeals and metrics"):
        check_ports(EmbeddedSettings())


def test_external_database_needs_no_port_for_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "postgres" in EmbeddedSettings().ports()
    monkeypatch.setenv("GOSPABLIK_DATABASE_ADMIN_URL", "postgresql://postgres@127.0.0.1/postgres")
    assert "postgres" not in EmbeddedSettings().ports()


@pytest.mark.parametrize("path", ["/tmp/100%", '/tmp/a"b', "/tmp/a ;b"])
def test_data_folder_with_special_characters_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOSPABLIK_DATA_DIR", path)
    with pytest.raises(ValueError, match="must not contain"):
        EmbeddedSettings()
