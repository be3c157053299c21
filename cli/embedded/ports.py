"""Check that all ports are free before anything starts."""

import errno
import socket

from cli.embedded.settings import EmbeddedSettings, port_field


class PortTakenError(Exception):
    """Ports of this run are in use; the message lists the settings to change."""


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Ignore connections in TIME_WAIT of a run that has just ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        return True


def check_ports(settings: EmbeddedSettings) -> None:
    """Raise PortTakenError with every port that is in use or configured twice."""
    ports = settings.ports()
    lines = []
    seen: dict[int, str] = {}
    for name, port in ports.items():
        if port in seen:
            lines.append(f"Port {port} is configured for both {seen[port]} and {name}. {_advice(name, port)}")
        elif not _is_free(settings.host, port):
            lines.append(f"Port {port} ({name}) is already in use on {settings.host}. {_advice(name, port)}")
        seen.setdefault(port, name)
    if lines:
        raise PortTakenError("\n".join(lines))


def _advice(name: str, port: int) -> str:
    other = port + 10000 if port + 10000 < 65536 else port - 10000
    return f"Free it, or set another: GOSPABLIK_{port_field(name).upper()}={other}"
