"""Checks of the API calls that pages made in all other tests of this package."""

import os
from pathlib import Path

import pytest

from tests.integration.access import documented_rights
from tests.integration.console import document_calls
from tests.integration.console.console_under_test import ConsoleUnderTest
from tests.integration.console.document_calls import DOCUMENT, FOLDER, WRITE


def is_whole(request: pytest.FixtureRequest) -> bool:
    """Return True if this run includes all tests of the console."""
    chosen = request.config.option.keyword or any("::" in name for name in request.config.args)
    files = {item.path for item in request.session.items}
    return not chosen and files >= set(Path(FOLDER).glob("test_*.py"))


async def test_every_call_is_documented_in_the_public_api(console: ConsoleUnderTest) -> None:
    # A hostile value in a page's address may become part of an unknown API path, which gets 404.
    unknown = [call for call in console.calls if console.operation(call) is None]
    assert [call for call in unknown if call.status != 404 or "<" not in call.path] == []


async def test_opened_pages_called_only_operations_the_person_may_call(console: ConsoleUnderTest) -> None:
    wrong = {
        (str(visited.who), call.page, call.method, operation.path, operation.right)
        for visited in console.visits
        if visited.who is not None and visited.response.status_code < 400
        for call in visited.calls
        if (operation := console.operation(call)) is not None
        if call.status in {401, 403}
        or (operation.right is not None and not documented_rights.has(visited.who.role, operation.right))
    }
    assert wrong == set()


async def test_document_lists_every_call(console: ConsoleUnderTest, request: pytest.FixtureRequest) -> None:
    calls = document_calls.recorded(console)
    if os.environ.get(WRITE):
        DOCUMENT.write_text(document_calls.written(calls), encoding="utf-8")
    documented = document_calls.rows_of(DOCUMENT.read_text(encoding="utf-8"))
    again = "python -m tests.integration.console.document_calls"
    assert not (lacking := list(document_calls.missing(calls, documented))), f"{lacking}: {again}"
    if is_whole(request):
        assert not (left := list(document_calls.missing(documented, calls))), f"not made: {left}: {again}"
