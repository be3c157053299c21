"""All event types: their models, and the right that a recipient must have."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from shared.auth.rights import Right
from shared.contracts import appeal_events, ingest_events, metrics_events, registry_events, webhook_events
from shared.contracts.event_base import EventData


def _models() -> Iterator[type[EventData]]:
    for module in (appeal_events, ingest_events, metrics_events, registry_events, webhook_events):
        for model in vars(module).values():
            if isinstance(model, type) and issubclass(model, EventData) and "event_type" in vars(model):
                yield model


EVENT_MODELS: Mapping[str, type[EventData]] = MappingProxyType({model.event_type: model for model in _models()})
EVENT_RIGHTS: Mapping[str, Right] = MappingProxyType(
    {event_type: model.required_right for event_type, model in EVENT_MODELS.items()}
)
