"""Logs: what a database error repeats of rows and arguments does not stand in them."""

import logging

import pytest

from shared.logs import LibraryFormatter, without_values


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            "duplicate key value violates unique constraint\nDETAIL:  Key (username)=(t.ivanova) already exists.",
            "duplicate key value violates unique constraint\nDETAIL: ***",
        ),
        (
            "DETAIL:  Failing row contains (1, t.\nivanova, x).\n[SQL: INSERT INTO people]",
            "DETAIL: ***\n[SQL: INSERT INTO people]",
        ),
        (
            r"IntegrityError('…\nDETAIL:  Key (username)=(t.ivanova) already exists.\n[SQL: INSERT INTO people]')",
            r"IntegrityError('…\nDETAIL: ***\n[SQL: INSERT INTO people]')",
        ),
        (
            "  | DETAIL:  Key (username)=(t.ivanova) exists.\n  | [SQL: INSERT]\n  | rest",
            "  | DETAIL: ***\n  | [SQL: INSERT]\n  | rest",
        ),
        (
            "DETAIL:  Key (username)=(t.ivanova).\n\nThe above exception was the direct cause of …",
            "DETAIL: ***\n\nThe above exception was the direct cause of …",
        ),
        (
            "invalid input for query argument $2: 't.ivanova' (an integer is required)",
            "invalid input for query argument $2: ***",
        ),
        (
            "invalid input for query argument $2 in element #3 of executemany() sequence: 't.ivanova' (no)",
            "invalid input for query argument $2 in element #3 of executemany() sequence: ***",
        ),
        ('invalid input syntax for type uuid: "t.ivanova"', "invalid input syntax for type uuid: ***"),
        ("OSError: [Errno 111] Connect call failed", "OSError: [Errno 111] Connect call failed"),
    ],
)
def test_values_are_cut_and_all_else_stays(said: str, kept: str) -> None:
    assert without_values(said) == kept


def test_a_library_that_logs_a_traceback_shows_no_values() -> None:
    error = ValueError("DETAIL:  Key (username)=(t.ivanova) already exists.")
    record = logging.LogRecord(
        "pgqueuer", logging.ERROR, "x.py", 1, "a job failed", None, (ValueError, error, None)
    )
    line = LibraryFormatter("%(message)s").format(record)
    assert "a job failed" in line
    assert "ValueError: DETAIL: ***" in line
    assert "t.ivanova" not in line
