"""docs/integrator/webhooks.md: its code verifies deliveries; its schedule and event types are those of
the code.
"""

import re
from typing import Any
from uuid import uuid4

import pytest

from services.webhooks.deliveries.retry_schedule import RETRY_DELAYS
from services.webhooks.endpoints.signing import signed_headers
from services.webhooks.endpoints.verification import repeats_challenge
from services.webhooks.event_catalogue.catalogue import CATALOGUE
from services.webhooks.event_catalogue.documentation import DOCUMENT, with_current_tables
from shared.contracts.catalogue import EVENT_MODELS
from shared.signing_secrets import new_secret

TEXT = DOCUMENT.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
UNITS = {"s": 1, "min": 60, "h": 3600}


@pytest.mark.parametrize("number", [0, 1])
def test_published_code_verifies_a_delivery(number: int) -> None:
    names: dict[str, Any] = {}
    exec(SNIPPETS[number], names)
    secret, body = new_secret(), '{"type":"appeal.opened","data":{"organisation":{"name":"Школа"}}}'
    headers = signed_headers(uuid4(), body, [secret])
    assert names["verify"](secret, headers, body.encode())["type"] == "appeal.opened"
    with pytest.raises(Exception, match="No matching signature"):
        names["verify"](secret, headers, body.encode() + b" ")


def test_published_code_repeats_a_challenge() -> None:
    names: dict[str, Any] = {}
    exec(SNIPPETS[2], names)
    challenge = CATALOGUE["webhook.verification"].example
    status, body = names["response_to"](challenge)
    assert status == 200
    assert repeats_challenge(body.encode(), challenge["data"]["challenge"])
    assert names["response_to"](CATALOGUE["appeal.opened"].example) == (204, "")


def test_published_schedule_equals_the_one_in_the_code() -> None:
    row = next(line for line in TEXT.splitlines() if line.startswith("| pause |"))
    pauses = [cell.split() for cell in row.strip("|").split("|")[1:]]
    assert [int(count) * UNITS[unit] for count, unit in pauses] == [
        pause.total_seconds() for pause in RETRY_DELAYS
    ]


def test_documented_tables_of_event_types_equal_the_models() -> None:
    """If they differ, run `python -m services.webhooks.event_catalogue.documentation`."""
    assert with_current_tables(TEXT) == TEXT


def test_outdated_table_in_the_document_is_replaced() -> None:
    row = next(line for line in TEXT.splitlines(keepends=True) if line.startswith("| `appeal.opened` |"))
    assert with_current_tables(TEXT.replace(row, "| `appeal.was_opened` | Formerly. |  |\n")) == TEXT


def test_every_event_type_is_documented_once() -> None:
    documented = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", TEXT, re.MULTILINE)
    assert sorted(documented) == sorted(EVENT_MODELS)
