"""Unit tests open no network connection and listen on no port, except those marked `enable_socket`."""

import pytest
import pytest_socket


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Block sockets; Unix sockets stay allowed, because event loops use them to wake up."""
    if item.get_closest_marker("enable_socket") is None:
        pytest_socket.disable_socket(allow_unix_socket=True)
