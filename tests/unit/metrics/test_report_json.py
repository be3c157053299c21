"""The stored bytes of a report."""

import json
from collections.abc import Callable
from datetime import timedelta, timezone

import pytest

from services.metrics.rendering import canonical_json
from services.metrics.schemas.weekly_report import ReportDocument, ReportOut
from tests.support.sample_report import (
    empty_report,
    report_of_distinct_numbers,
    report_without_measurements,
    sample_report,
)


@pytest.mark.parametrize("build", [sample_report, empty_report, report_without_measurements])
def test_document_round_trips_through_canonical_json(build: Callable[[], ReportOut]) -> None:
    document = build().report
    content = canonical_json.encode(document)
    assert ReportDocument.model_validate_json(content) == document
    assert canonical_json.encode(ReportDocument.model_validate_json(content)) == content


def test_equal_documents_give_equal_bytes() -> None:
    document = sample_report().report
    elsewhere = document.model_copy(update={"as_of": document.as_of.astimezone(timezone(timedelta(hours=3)))})
    assert elsewhere == document
    assert canonical_json.encode(elsewhere) == canonical_json.encode(document)
    zero = document.model_copy(update={"pages": document.pages.model_copy(update={"change": 0.0})})  # type: ignore[union-attr]
    minus_zero = document.model_copy(update={"pages": document.pages.model_copy(update={"change": -0.0})})  # type: ignore[union-attr]
    assert canonical_json.encode(zero) == canonical_json.encode(minus_zero)


def test_json_is_unescaped_and_in_the_order_of_the_model() -> None:
    content = canonical_json.encode(sample_report().report).decode()
    assert content.startswith('{"format":1,"week":"2026-W47","first_day":"2026-11-16","last_day":"2026-11-22"')
    assert '"as_of":"2026-11-23T00:00:00+08:00"' in content
    assert '"label":"Здравоохранение"' in content


def test_every_number_is_in_the_bytes() -> None:
    report, numbers = report_of_distinct_numbers()
    found: list[object] = []
    json.loads(canonical_json.encode(report.report), parse_int=lambda text: found.append(int(text)),
               parse_float=lambda text: found.append(float(text)))  # fmt: skip
    assert set(numbers) <= set(found)


def test_share_that_is_not_a_number_is_refused() -> None:
    document = sample_report().report
    topic = document.topics[0].model_copy(update={"share": float("nan")})
    broken = document.model_copy(update={"topics": [topic]})
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json.encode(broken)


def test_digest_is_computed_from_the_bytes() -> None:
    assert canonical_json.digest(b"{}") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
