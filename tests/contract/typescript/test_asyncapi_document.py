"""The AsyncAPI document is accepted by the reference parser and by the official JSON Schema."""

from pathlib import Path

import pytest

from services.webhooks.api.asyncapi import document_body
from services.webhooks.event_catalogue.catalogue import CATALOGUE
from tests.contract.typescript.conftest import Run

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_asyncapi_document_is_accepted_by_parser_and_schema(project: Path, run: Run) -> None:
    (project / "asyncapi.json").write_bytes(document_body())
    assert f"{len(CATALOGUE) + 3} messages" in run("node", "asyncapi.cjs")
