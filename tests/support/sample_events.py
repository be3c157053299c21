"""Event data for tests: the documented example of a type, with values of the test."""

from typing import Any

from shared.contracts.catalogue import EVENT_MODELS
from shared.contracts.event_base import EventData


def sample_data(event_type: str, **changes: Any) -> EventData:
    """Return the example of this event type; `changes` replace its fields."""
    model = EVENT_MODELS[event_type]
    return model.model_validate({**model.example, **changes})
