"""Which fields of a payload refer to people."""

from typing import Any

import pytest

from services.ingest.pseudonymisation.people_in_payloads import people_in


@pytest.mark.parametrize(
    ("payload", "people"),
    [
        ({"reply_to_id": "570012", "reply_to_name": "Мария"}, {"570012"}),
        ({"reply_to_comment_id": "570012", "reply_to_comment": 570012}, set()),
        ({"reply_to": "mid:570012"}, set()),
        ({"reply_to_user": 17}, {"17"}),
        ({"reply_message": {"from_id": 17, "id": 18}}, {"17"}),
        ({"author_ref": "user:17", "author_id": "17"}, {"17"}),
        ({"participants": {"user:17": 1_760_000_000_000}}, {"17", "1760000000000"}),
        ({"profiles": [{"id": 17}]}, {"17"}),
        ({"from_id": -101, "post_id": 17, "likes": 17}, set()),
    ],
)
def test_people_are_found_in_fields_that_refer_to_people(payload: Any, people: set[str]) -> None:
    assert people_in(payload) == people
