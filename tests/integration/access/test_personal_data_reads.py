"""Every read of a citizen's unmasked text is logged and recorded, with the reader and the citizen."""

import pytest
from structlog.testing import capture_logs

from tests.integration.access.all_routes import CALLS
from tests.integration.access.all_services import AllServices, CallerCase


@pytest.mark.parametrize(
    ("route", "kind"),
    [
        ("GET /api/v1/messages", "message"),
        ("GET /api/v1/messages/{message_id}", "message"),
        ("GET /api/v1/appeals/{appeal_id}", "appeal"),
    ],
)
async def test_reads_of_unmasked_texts_are_logged_with_reader_and_citizen(
    all_services: AllServices, route: str, kind: str
) -> None:
    who = CallerCase("executor")
    own, foreign = all_services.samples["own"], all_services.samples["foreign"]
    with capture_logs() as lines:
        answer = await all_services.send(
            route, all_services.route_request(route, CALLS[route], own), all_services.token(who)
        )
        if "{" in route:
            # A caller who gets no text is not logged.
            hidden = await all_services.send(
                route, all_services.route_request(route, CALLS[route], foreign), all_services.token(who)
            )
            assert hidden.status_code == 404
    assert answer.status_code == 200, answer.text
    [entry] = [line for line in lines if line["event"] == "personal_data_read"]
    assert (entry["module"], entry["actor"], entry["kind"]) == ("security", all_services.subject(who), kind)
    assert str(own[f"{kind}_id"]) in entry["subjects"]
    assert str(foreign[f"{kind}_id"]) not in entry["subjects"]
