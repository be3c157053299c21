"""Event data for tests: the example of a type, with what the test is about."""

from typing import Any

from shared.contracts.catalogue import EVENT_MODELS
from shared.contracts.event_base import EventData


def sample_data(event_type: str, **changes: Any) -> EventData:
    """Return data of this type: its example with these values."""
    model = EVENT_MODELS[event_type]
    return model.model_validate({**model.example, **changes})
