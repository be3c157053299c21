"""The table of event types is complete: a type that it lacks would be refused by the feed as a misspelt one."""

import ast
from collections.abc import Iterator
from pathlib import Path

from services.webhooks.event_catalogue.catalogue import WebhookEventType
from shared.contracts.catalogue import EVENT_RIGHTS

ROOT = Path(__file__).parents[3]
SUBJECTS = {name.partition(".")[0] for name in EVENT_RIGHTS}


def words(tree: ast.AST) -> Iterator[str]:
    """String constants of a module that look like the type of an event."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            subject, dot, what = node.value.partition(".")
            if subject in SUBJECTS and dot and what.replace("_", "").isalpha() and what.islower():
                yield node.value


def test_table_holds_every_event_type_that_services_name() -> None:
    named = {
        word
        for path in (ROOT / "services").rglob("*.py")
        for word in words(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert named == set(EVENT_RIGHTS)


def test_every_type_that_webhooks_carry_has_its_right() -> None:
    assert set(WebhookEventType) <= set(EVENT_RIGHTS)
