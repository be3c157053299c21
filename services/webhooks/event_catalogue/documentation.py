"""The two tables of event types in `docs/integrator/webhooks.md`, in Markdown.

`python -m services.webhooks.event_catalogue.documentation` prints them; a test compares them with the document.
"""

import sys
from collections.abc import Iterable, Iterator

from services.webhooks.event_catalogue.catalogue import CATALOGUE, DeliveredData, description_of
from shared.contracts.appeal_events import AppealSnapshot
from shared.contracts.catalogue import EVENT_MODELS
from shared.contracts.event_base import EventData


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
    sys.stdout.write(f"{webhook_table()}\n\n{feed_table()}\n")
