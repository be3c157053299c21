"""Every event type has one model, a service uses every model, and its example equals the stored form."""

import ast
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args
from uuid import uuid4

import pytest
from pydantic import ValidationError

from services.appeals.schemas.partners.partner_events import PARTNER_EVENT_MODELS
from services.ingest.networks import port
from services.registry.pages.page_steps import BADGES
from services.registry.schemas.pages import EvidenceKind, PageStepKind
from services.registry.schemas.successions import SuccessionKind
from shared.contracts import appeal_events, ingest_events, metrics_events, registry_events, webhook_events
from shared.contracts.catalogue import EVENT_MODELS
from shared.contracts.event_base import EventData
from shared.contracts.stored_events import parse_event
from shared.tables.common import Event
from tests.support.sample_events import sample_data

ROOT = Path(__file__).parents[3]
SUBJECTS = {name.partition(".")[0] for name in EVENT_MODELS}
MODULES = (appeal_events, ingest_events, metrics_events, registry_events, webhook_events)


def event_type_constants(tree: ast.AST) -> Iterator[str]:
    """Yield the string constants of a module that look like event types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            subject, dot, what = node.value.partition(".")
            if subject in SUBJECTS and dot and what.replace("_", "").isalpha() and what.islower():
                yield node.value


def service_modules() -> Iterator[ast.Module]:
    for path in (ROOT / "services").rglob("*.py"):
        yield ast.parse(path.read_text(encoding="utf-8"))


def test_every_event_type_that_services_name_has_a_model() -> None:
    named = {constant for tree in service_modules() for constant in event_type_constants(tree)}
    # Partners send events of their own types, which are not in the outbox.
    assert named - PARTNER_EVENT_MODELS.keys() <= set(EVENT_MODELS)


def test_every_model_is_used_by_a_service() -> None:
    used = {node.id for tree in service_modules() for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert {model.__name__ for model in EVENT_MODELS.values()} <= used


def test_no_two_models_share_an_event_type() -> None:
    models = {
        value
        for module in MODULES
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, EventData) and "event_type" in vars(value)
    }
    assert set(EVENT_MODELS.values()) == models
    assert len(EVENT_MODELS) == len(models)


@pytest.mark.parametrize("name", list(EVENT_MODELS))
def test_example_equals_the_stored_form(name: str) -> None:
    model = EVENT_MODELS[name]
    data = model.model_validate(model.example)
    assert data.to_stored() == dict(model.example)
    assert json.loads(data.to_json()) == dict(model.example)


@pytest.mark.parametrize("name", list(EVENT_MODELS))
def test_every_field_is_described(name: str) -> None:
    model = EVENT_MODELS[name]
    assert model.__doc__
    assert [field for field, info in model.model_fields.items() if not info.description] == []


@pytest.mark.parametrize("name", list(EVENT_MODELS))
def test_undeclared_field_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        sample_data(name, surprise=1)


@pytest.mark.parametrize("name", list(EVENT_MODELS))
def test_stored_event_of_a_later_version_is_parsed(name: str) -> None:
    data = sample_data(name)
    event = Event(
        id=uuid4(),
        type=name,
        subject_id=uuid4(),
        occurred_at=datetime(2026, 11, 25, 4, tzinfo=UTC),
        data=data.to_stored() | {"added_later": {"by": "the next version"}},
    )
    assert parse_event(event) == data


def test_undeclared_value_is_refused() -> None:
    with pytest.raises(ValidationError, match="outcome"):
        sample_data("appeal.closed", outcome="resolved")


def test_closed_sets_of_values_equal_those_of_the_emitting_services() -> None:
    assert set(get_args(ingest_events.TokenKind.__value__)) == set(port.TokenKind)
    assert set(get_args(ingest_events.TokenState.__value__)) == {*port.TokenState, "deleted"}
    assert set(get_args(registry_events.ReachedPageStep.__value__)) == set(PageStepKind)
    assert set(get_args(registry_events.OfficialBadge.__value__)) == set(BADGES)
    assert set(get_args(registry_events.OtherPageStep.__value__)) == set(PageStepKind) - BADGES
    assert set(get_args(registry_events.StepEvidenceKind.__value__)) == set(EvidenceKind)
    assert set(get_args(registry_events.OrganisationSuccessionKind.__value__)) == set(SuccessionKind)
