"""Values of `Accept` for which CSV is sent."""

import pytest

from shared.api.accepted_csv import is_csv_accepted


@pytest.mark.parametrize("accept", ["text/csv", "Text/CSV; charset=utf-8", "text/html, text/csv, */*;q=0.1"])
def test_csv_is_sent_if_the_header_names_it(accept: str) -> None:
    assert is_csv_accepted(accept)


@pytest.mark.parametrize(
    "accept", ["", "*/*", "text/*", "application/json", "application/json, text/csv", "text/csv, application/*"]
)
def test_json_is_sent_if_the_header_names_it_or_does_not_name_csv(accept: str) -> None:
    assert not is_csv_accepted(accept)
