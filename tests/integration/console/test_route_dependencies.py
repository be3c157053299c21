"""No route calls a dependency in a thread, as FastAPI does with plain functions: it is slow."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

from tests.integration.console.console_under_test import ConsoleUnderTest

# It reads a file.
IN_A_THREAD = {"token_issuer"}


def _called(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    for inner in dependant.dependencies:
        if inner.call is not None:
            yield inspect.unwrap(inner.call)
        yield from _called(inner)


def _is_plain(called: Callable[..., Any]) -> bool:
    """Return whether a dependency, a function or an object with `__call__`, is not asynchronous."""
    forms = (called, getattr(called, "__call__", None))  # noqa: B004 — not whether, but how it is called
    return not any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in forms)


def test_no_route_calls_a_dependency_in_a_thread(console: ConsoleUnderTest) -> None:
    called = {
        one
        for app in (console.app, *console.services.apps.values())
        for route in iter_route_contexts(app.routes)
        if (dependant := getattr(route, "dependant", None)) is not None
        for one in _called(dependant)
    }
    assert len(called) > 30
    assert {getattr(one, "__name__", repr(one)) for one in called if _is_plain(one)} == IN_A_THREAD
