"""Ports in use are reported with the setting to change."""

import socket
from collections.abc import Iterator

import pytest

from cli.embedded.ports import PortTakenError, check_ports
from cli.embedded.settings import EmbeddedSettings, port_field
from cli.embedded.temporary_postgres import free_port

pytestmark = pytest.mark.enable_socket  # binds ports on loopback


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> EmbeddedSettings:
    for name in EmbeddedSettings().ports():
        monkeypatch.setenv(f"GOSPABLIK_{port_field(name).upper()}", str(free_port()))
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


@pytest.mark.parametrize("path", ["/tmp/100%", '/tmp/a"b', "/tmp/a ;b", "/tmp/a #b"])
def test_data_folder_with_special_characters_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOSPABLIK_DATA_DIR", path)
    with pytest.raises(ValueError, match="must not contain"):
        EmbeddedSettings()
