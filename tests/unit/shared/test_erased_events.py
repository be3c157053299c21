"""Events of an erased citizen: every field with a text loses its value or is known to be harmless."""

import re
from pathlib import Path
from typing import get_args

from services.webhooks.deliveries.erasure import ERASED_FIELDS
from shared.contracts import appeal_events, ingest_events
from shared.contracts.catalogue import EVENT_MODELS
from shared.contracts.event_base import EventData

MIGRATION = Path(__file__).parents[3] / "migrations/versions/0047_erasures.py"
# Texts that neither citizens nor staff wrote: codes, names of locations, messages of networks or of this system.
KEPT = {
    "appeal.extension_ended": {"reason"},
    "publication.failed": {"failure"},
    "publication.retry_scheduled": {"failure"},
    "publication.uncertain": {"failure"},
    "publication.change_failed": {"failure"},
    "network_token.state_changed": {"reason", "method"},
}
KEPT_EVERYWHERE = {"municipality", "settlement", "utility_failure", "network", "code", "page_id"}


def _texts(model: type[EventData]) -> set[str]:
    """Return the names of fields that may contain free text."""
    return {
        field.alias or name
        for name, field in model.model_fields.items()
        if field.annotation is str
        or {str, list[str]} & set(get_args(field.annotation))
        or field.annotation == list[str]
    }


def test_erasure_clears_the_same_fields_in_deliveries_as_in_events() -> None:
    function = (
        MIGRATION.read_text(encoding="utf-8").partition("WITH erased")[2].partition("replaced (id, data)")[0]
    )
    assert set(re.findall(r"'(\w+)',", function)) == ERASED_FIELDS


def test_every_text_of_an_event_is_erased_or_known_to_be_harmless() -> None:
    erased = set(re.findall(r"'(\w+)'", MIGRATION.read_text(encoding="utf-8").partition("WITH erased")[2]))
    for module in (appeal_events, ingest_events):
        for event_type, model in EVENT_MODELS.items():
            if model.__module__ == module.__name__:
                left = _texts(model) - erased - KEPT_EVERYWHERE - KEPT.get(event_type, set())
                assert not left, (
                    f"{event_type}: erase these fields in `erase_events`, or say why they stay: {left}"
                )
