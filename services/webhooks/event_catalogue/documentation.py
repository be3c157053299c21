"""The two tables of event types in `docs/integrator/webhooks.md`, in Markdown.

`python -m services.webhooks.event_catalogue.documentation` writes them into the document; a test compares the two.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from services.webhooks.event_catalogue.catalogue import CATALOGUE, DeliveredData, description_of
from shared.contracts.appeal_events import AppealSnapshot
from shared.contracts.catalogue import EVENT_MODELS
from shared.contracts.event_base import EventData

DOCUMENT = Path(__file__).parents[3] / "docs" / "integrator" / "webhooks.md"


def webhook_table() -> str:
    """Return the table of the types that webhooks send."""
    rows = (
        f"| `{event_type}` | {entry.description} | {_fields(EVENT_MODELS[event_type], _sent(event_type))} |"
        for event_type, entry in CATALOGUE.items()
    )
    return "\n".join(["| type | when | fields |", "|---|---|---|", *rows])


def feed_table() -> str:
    """Return the table of the types that only the feed contains."""
    rows = (
        f"| `{kind}` | {description_of(model)} | {_fields(model, _stored(model))} | `{model.required_right}` |"
        for kind, model in EVENT_MODELS.items()
        if kind not in CATALOGUE
    )
    return "\n".join(["| type | when | fields | right |", "|---|---|---|---|", *rows])


def with_current_tables(document: str) -> str:
    """Return the document with both tables replaced by tables generated from the models."""
    for table in (webhook_table(), feed_table()):
        heading, _, rows = table.partition("\n")
        before, _, after = document.partition(f"\n{heading}\n")
        document = f"{before}\n{heading}\n{rows}\n" + re.sub(r"\A(\|.*\n)+", "", after)
    return document


def _sent(event_type: str) -> Iterator[str]:
    for name, field in CATALOGUE[event_type].data.model_fields.items():
        if name not in DeliveredData.model_fields:
            yield field.alias or name


def _stored(model: type[EventData]) -> Iterator[str]:
    return (field.alias or name for name, field in model.model_fields.items())


def _fields(model: type[EventData], names: Iterable[str]) -> str:
    described = AppealSnapshot.model_fields if issubclass(model, AppealSnapshot) else {}
    return ", ".join(f"`{name}`" for name in names if name not in described)


if __name__ == "__main__":
    DOCUMENT.write_text(with_current_tables(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
