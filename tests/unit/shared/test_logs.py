"""Logs contain no values of rows from database errors and no personal data."""

import io
import json
import logging
from typing import Any
from uuid import UUID

import pytest
import structlog

from shared import logs
from shared.logs import PROCESSORS, LibraryFormatter, strip_database_values
from tests.support.regex_step_counter import Steps


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
def test_row_values_are_removed_from_database_errors(said: str, kept: str) -> None:
    assert strip_database_values(said) == kept


def test_traceback_logged_by_a_library_has_no_values() -> None:
    error = ValueError("DETAIL:  Key (username)=(t.ivanova) already exists.")
    record = logging.LogRecord(
        "pgqueuer", logging.ERROR, "x.py", 1, "a job failed", None, (ValueError, error, None)
    )
    written = LibraryFormatter().format(record)
    line = json.loads(written)
    assert (line["event"], line["level"], line["module"]) == ("a job failed", "error", "pgqueuer")
    assert "ValueError: DETAIL: ***" in line["exception"]
    assert "t.ivanova" not in written


PHONE, MAIL, NAME = "8-924-123-45-67", "ivanova@mail.ru", "Мария Ивановна"
PLAIN = (
    "Connect call failed ('127.0.0.1', 54321); page 0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10, 20.11.2025, line 1024"
)


class Refusal:
    def __repr__(self) -> str:
        return f"<Refusal of {NAME}>"


def logged(level: str, event: str, **values: Any) -> dict[str, Any]:
    written = io.StringIO()
    log = structlog.wrap_logger(structlog.PrintLogger(written), processors=PROCESSORS)
    getattr(log, level)(event, **values)
    line: dict[str, Any] = json.loads(written.getvalue())
    return line


def test_log_values_have_no_personal_data() -> None:
    line = logged(
        "warning",
        f"refused {PHONE}",
        error=f"the network says: {NAME}, {MAIL}",
        said=[{"who": NAME, MAIL: [PHONE]}, Refusal()],
        text="Нет света",
        full_name=NAME,
        page_id=UUID("0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10"),
        count=89241234567,
        done=True,
        pause=1.5,
        nothing=None,
        plain=PLAIN,
    )
    assert not any(secret in json.dumps(line, ensure_ascii=False) for secret in (PHONE, MAIL, NAME, "Нет света"))
    assert line["event"] == "refused [телефон]"
    assert line["error"] == "the network says: [имя], [почта]"
    assert line["said"] == [{"who": "[имя]", "[почта]": ["[телефон]"]}, "<Refusal of [имя]>"]
    assert (line["text"], line["full_name"], line["plain"]) == ("***", "***", PLAIN)
    assert (line["count"], line["done"], line["pause"], line["nothing"]) == (89241234567, True, 1.5, None)
    assert line["page_id"] == "UUID('0198f3a0-7c1e-7e5a-9d3b-2f6f3a1c9e10')"


def test_traceback_has_no_personal_data() -> None:
    def fails() -> None:
        raise ValueError(f"cannot read «{NAME}, {PHONE}»")

    try:
        fails()
    except ValueError:
        line = logged("exception", "failed")
    assert "cannot read «[имя], [телефон]»" in line["exception"]
    assert "in fails" in line["exception"]
    assert NAME not in line["exception"]
    assert PHONE not in line["exception"]


def test_line_with_a_lone_surrogate_can_be_written() -> None:
    """A network may send a lone surrogate: logging an error that quotes it must not raise."""
    written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    log = structlog.wrap_logger(structlog.PrintLogger(written), processors=PROCESSORS)
    log.warning("failed", error="a\ud800b")
    written.seek(0)
    assert json.loads(written.read())["error"] == "a\ud800b"
    record = logging.LogRecord("aiohttp", logging.ERROR, "x.py", 1, "answer: a\ud800b", None, None)
    assert LibraryFormatter().format(record).encode()


def test_library_log_line_has_no_personal_data() -> None:
    record = logging.LogRecord("aiohttp", logging.ERROR, "x.py", 1, "answer: %s", (f"{NAME} {PHONE}",), None)
    assert json.loads(LibraryFormatter().format(record))["event"] == "answer: [имя] [телефон]"


def test_library_log_line_has_the_request_id() -> None:
    record = logging.LogRecord("aiohttp", logging.ERROR, "x.py", 1, "lost", None, None)
    with structlog.contextvars.bound_contextvars(request_id="call-1", service="registry"):
        line = json.loads(LibraryFormatter().format(record))
    assert (line["request_id"], line["service"]) == ("call-1", "registry")


def test_values_before_many_line_breaks_are_removed_in_linear_time() -> None:
    matcher = Steps(logs._DATABASE_VALUES)
    steps = []
    for breaks in (60, 120):
        matcher.spans("DETAIL: value" + "\n" * breaks)
        steps.append(matcher.count)
    # Without the limit of 40 blanks the steps would grow with the cube of the length.
    assert steps[1] <= 5 * steps[0]
