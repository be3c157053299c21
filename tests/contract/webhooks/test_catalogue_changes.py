"""The current webhook event catalogue is compatible with receivers of the released catalogue."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.webhooks.catalogue_changes import RELEASED, breaking_changes, present

Catalogue = dict[str, Any]
KIND = "page.registered"


def test_current_catalogue_has_no_breaking_changes() -> None:
    released = json.loads(RELEASED.read_text(encoding="utf-8"))
    assert breaking_changes(released, present()) == []
    assert KIND in released


def _remove_type(catalogue: Catalogue) -> None:
    del catalogue[KIND]


def _change_right(catalogue: Catalogue) -> None:
    catalogue[KIND]["right"] = "people:manage"


def _remove_field(catalogue: Catalogue) -> None:
    del catalogue[KIND]["fields"]["/data/url"]


def _allow_null(catalogue: Catalogue) -> None:
    catalogue[KIND]["fields"]["/data/url"]["types"] = ["null", "string"]


def _make_optional(catalogue: Catalogue) -> None:
    catalogue[KIND]["fields"]["/data/url"]["required"] = False


def _remove_value(catalogue: Catalogue) -> None:
    catalogue[KIND]["fields"]["/data/network"]["values"].remove("ok")


def _add_something(catalogue: Catalogue) -> None:
    catalogue["page.praised"] = copy.deepcopy(catalogue[KIND])
    catalogue[KIND]["fields"]["/data/colour"] = {
        "types": ["string"], "required": False, "format": None, "values": [],
    }  # fmt: skip
    catalogue[KIND]["fields"]["/data/network"]["values"].append("max")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_remove_type, f"{KIND}: the type is gone"),
        (_change_right, f"{KIND}: needs another right"),
        (_remove_field, f"{KIND}/data/url: the field is gone"),
        (_allow_null, f"{KIND}/data/url: may be of another type"),
        (_make_optional, f"{KIND}/data/url: may be absent"),
        (_remove_value, f"{KIND}/data/network: a value is gone"),
        (_add_something, None),
    ],
)
def test_breaking_changes_are_reported_and_additions_are_not(
    change: Callable[[Catalogue], None], said: str | None
) -> None:
    changed = copy.deepcopy(present())
    change(changed)
    assert breaking_changes(present(), changed) == ([] if said is None else [said])
