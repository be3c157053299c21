"""Payloads of both networks are parsed, quarantined with a reason, or of a kind without text.

The project's own fixtures are invented. If a collection of recorded payloads exists next to the repository, all of
it is parsed too.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.ingest.networks.port import ParsedBatch
from tests.contract.payload_parsing import Outcome, read_ok, read_vk

READERS = {"vk": read_vk, "ok": read_ok}
FIXTURES = Path(__file__).parent / "fixtures"
RECORDED = Path(__file__).parents[3] / "shared" / "reference" / "payloads"


def _files(folder: Path) -> list[Path]:
    return sorted(path for network in READERS for path in (folder / network).rglob("*.json"))


def _name(path: Path) -> str:
    folder = FIXTURES if path.is_relative_to(FIXTURES) else RECORDED
    return str(path.relative_to(folder))


def _read(path: Path, raw: Any) -> Outcome:
    return READERS[_name(path).partition("/")[0]](raw)


def _check(outcome: Outcome) -> None:
    """Assert that no part is lost, every quarantined part has a reason, and every message can be stored."""
    found = outcome.by_kind
    assert any(found.values()), "the payload gave neither a message, a quarantined part nor a known kind"
    assert all(len(reason) > len("KeyError") for reason in found["quarantined"]), found["quarantined"]
    for item in outcome.parsed.items:
        assert item.external_id
        assert item.thread_key
        assert item.written_at.tzinfo is not None
        assert item.text is not None or item.change == "deleted"
        json.dumps(item.raw)


@pytest.mark.parametrize("path", _files(FIXTURES), ids=_name)
def test_fixture_payloads_are_parsed_as_expected(path: Path) -> None:
    document = json.loads(path.read_text("utf-8"))
    outcome = _read(path, document["payload"])
    _check(outcome)
    found, expected = outcome.by_kind, document["expected"]
    assert found["messages"] == expected.get("messages", [])
    assert found["wordless"] == expected.get("wordless", [])
    assert len(found["quarantined"]) == len(expected.get("quarantined", []))
    for reason, wanted in zip(found["quarantined"], expected.get("quarantined", []), strict=True):
        assert wanted in reason


def test_both_networks_have_fixture_payloads() -> None:
    names = {_name(path).partition("/")[0] for path in _files(FIXTURES)}
    assert names == set(READERS)


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no collection of recorded payloads lies beside the repository")
def test_recorded_payloads_are_parsed_without_loss() -> None:
    files = _files(RECORDED)
    assert files, "the collection is empty"
    totals = {"messages": 0, "quarantined": 0, "wordless": 0}
    for path in files:
        try:
            outcome = _read(path, json.loads(path.read_text("utf-8")))
            _check(outcome)
        except Exception as error:
            raise AssertionError(_name(path)) from error
        for kind, found in outcome.by_kind.items():
            totals[kind] += len(found)
    assert all(totals.values()), totals


BROKEN: list[Any] = [None, True, 0, 1.5, -(10**30), "", "x", [], [None], {}, {"id": {}}, {"date": "x"}]


@pytest.mark.parametrize("path", _files(FIXTURES), ids=_name)
def test_parsers_do_not_raise_for_any_field_value(path: Path) -> None:
    for parse, raw, args in _read(path, json.loads(path.read_text("utf-8"))["payload"]).calls:
        for broken in BROKEN:
            for spoilt in _spoilt(raw, broken):
                parsed = ParsedBatch()
                parsed.parse(parse, spoilt, *args)
                assert all(one.reason for one in parsed.unparsed)
                assert all(one.external_id for one in parsed.items)


def _spoilt(raw: Any, broken: Any) -> Iterator[Any]:
    """Yield, for each part of the payload, a copy with this part replaced by `broken`."""
    yield broken
    if isinstance(raw, dict):
        for name, inner in raw.items():
            for one in _spoilt(inner, broken):
                yield raw | {name: one}
    elif isinstance(raw, list):
        for number, inner in enumerate(raw):
            for one in _spoilt(inner, broken):
                yield [*raw[:number], one, *raw[number + 1 :]]
