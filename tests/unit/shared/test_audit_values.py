"""Values in the audit trail, and the hash chain of its rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from shared.audit.column_policy import audited_values
from shared.audit.hash_chain import GENESIS, ChainHead, chain_hash
from shared.settings import settings
from shared.tables.ingest import NetworkToken, PublicationChange
from shared.tables.registry import Calendar, Organisation, Person

ROW = "0193a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Set the environment of the settings, with a key for digests. Yield the monkeypatch for further changes."""
    monkeypatch.setenv("GOSPABLIK_DATABASE_URL", "postgresql://nobody@127.0.0.1/none")
    monkeypatch.setenv("GOSPABLIK_KEYS_DIR", "/nowhere")
    monkeypatch.setenv("GOSPABLIK_CURSOR_KEY", "cursor-key-of-the-tests")
    monkeypatch.setenv("GOSPABLIK_AUDIT_KEY", "audit-key-of-the-tests")
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def name_digest(subject_id: str = ROW, name: str = "Татьяна Иванова") -> Any:
    return audited_values(Person, subject_id, {"full_name": name})["full_name"]


def test_digest_depends_on_value_row_and_key(key: pytest.MonkeyPatch) -> None:
    first = name_digest()
    assert first.keys() == {"digest"}
    assert name_digest() == first
    assert name_digest(name="Татьяна Иванов") != first
    assert name_digest(subject_id=ROW[:-1] + "c") != first
    assert audited_values(Person, ROW, {"username": "Татьяна Иванова"})["username"] != first
    key.setenv("GOSPABLIK_AUDIT_KEY", "another-key-of-the-tests")
    settings.cache_clear()
    assert name_digest() != first


def test_texts_in_an_array_are_digested() -> None:
    kept = audited_values(PublicationChange, ROW, {"part_texts": ["Починим завтра", None], "parts": 2})
    assert kept["parts"] == 2
    assert kept["part_texts"].keys() == {"digest"}


def test_only_texts_are_digested_and_secrets_are_hidden() -> None:
    changed = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
    assert audited_values(
        Person, ROW, {"role": "manager", "active": False, "locked_at": changed, "organisation_id": UUID(int=1)}
    ) == {
        "role": "manager",
        "active": False,
        "locked_at": "2026-03-04T02:00:00+00:00",
        "organisation_id": "00000000-0000-0000-0000-000000000001",
    }
    assert audited_values(Person, ROW, {"password_hash": "$argon2id$…", "issuer": None}) == {
        "password_hash": {"secret": True},
        "issuer": None,
    }
    assert audited_values(NetworkToken, ROW, {"secret": b"-", "digest": "ab", "challenge": {"sid": 1}}) == {
        "secret": {"secret": True},
        "digest": {"secret": True},
        "challenge": {"secret": True},
    }


def test_json_column_is_digested_unless_listed_as_readable() -> None:
    weekly = {"1": [["09:00", "18:00"]]}
    assert audited_values(Calendar, ROW, {"weekly": weekly}) == {"weekly": weekly}
    assert audited_values(NetworkToken, ROW, {"limited_methods": {}})["limited_methods"].keys() == {"digest"}


def test_derived_columns_are_omitted() -> None:
    assert (
        audited_values(Organisation, ROW, {"sort_key": "школа", "lineage": [UUID(int=1)], "updated_at": None})
        == {}
    )


def row(**values: Any) -> dict[str, Any]:
    return {
        "id": UUID(int=1),
        "position": 1,
        "created_at": datetime(2026, 3, 4, 2, 0, tzinfo=UTC),
        "actor": "a",
        "after": {"active": True, "name": {"digest": "ab"}},
        "before": None,
    } | values


def test_hash_depends_on_the_row_and_all_previous_rows() -> None:
    first = chain_hash(GENESIS, row())
    # Computed independently: if the value changed, all existing chains would be invalid.
    assert first.hex() == "5edf74292a527204895c358c42a4c955f2bcef2a0ab00ee467f257ebd1fc7ef3"
    assert chain_hash(GENESIS, row(actor="b")) != first
    assert chain_hash(GENESIS, row(position=2)) != first
    assert chain_hash(GENESIS, row(after={"active": True, "name": {"digest": "ac"}})) != first
    assert chain_hash(first, row()) != first


def test_hash_does_not_depend_on_the_driver_types() -> None:
    there = timezone(timedelta(hours=8))
    same = row(
        created_at=datetime(2026, 3, 4, 10, 0, tzinfo=there),
        after={"name": {"digest": "ab"}, "active": True},
        chain=b"whatever",
    )
    assert chain_hash(GENESIS, same) == chain_hash(GENESIS, row())


@pytest.mark.parametrize("noted", ["", "7", "7:", "7:zz", "7:ab", f"0:{'ab' * 32}", f"x:{'ab' * 32}"])
def test_malformed_head_is_refused(noted: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 — the command line adds its own message
        ChainHead.parse(noted)
