"""Every route that changes data writes an audit row naming its caller, or is listed with a reason not to."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, select

from services.ingest.networks import catalogue
from shared.audit import column_policy
from shared.database.sessions import Database, WriteSession
from shared.settings import ServiceName
from shared.tables import all_tables as tables
from shared.tables import ownership
from shared.tables.common import AuditEntry
from tests.integration.access import documented_rights, ingest_routes
from tests.integration.access.all_routes import ROWS
from tests.integration.access.all_services import EVERYBODY, AllServices
from tests.integration.access.route_table import GOOD, RouteCall, body, sample_id, sample_ids
from tests.support.service_under_test import CENTRE_SUBJECT

UNRECORDED = dict.fromkeys(
    ingest_routes.PUSH, "what a network pushes is recorded as messages and their events"
) | {
    "POST /api/v1/auth/token": "signing in changes no data; audit/test_audit_trail.py covers token reuse",
    "POST /api/v1/auth/revoke": "people end their own session",
    "POST /api/v1/auth/session": "signing in changes no data",
    "POST /api/v1/auth/session/refresh": "it continues a session and changes no data",
    "DELETE /api/v1/auth/session": "people end their own session",
    "POST /api/v1/pages/resolve": "it asks the networks and changes nothing",
    "POST /api/v1/rule-sets/{rule_set_id}/dry-run": "it only says which appeals would move",
    "POST /api/v1/rule-sets/{rule_set_id}/preview": "it only says where a made-up message would go",
    "POST /api/v1/appeals/{appeal_id}/replies/check": "it reads the text and stores nothing",
    "PUT /api/v1/appeals/{appeal_id}/presence": "it expires within a minute; opening a page changes nothing",
    "DELETE /api/v1/appeals/{appeal_id}/presence": "closing a page changes nothing",
    "PUT /api/v1/appeals/{appeal_id}/reply-lease": "it ends within minutes; taking one over is in the timeline",
    "DELETE /api/v1/appeals/{appeal_id}/reply-lease": "it would end within minutes anyway",
    "PUT /api/v1/appeals/{appeal_id}/read": "it changes only what the caller is shown as unread",
    "POST /api/v1/stream/tickets": "a ticket expires within a minute; reading events changes nothing",
    "POST /open311/v2/{path:path}": "it refuses every path",
    "POST /internal/pages/describe": "it asks the networks and changes nothing",
    "POST /internal/pages/resolve": "it asks the networks and changes nothing",
    "POST /internal/identity": "it says whose token it is; signing in changes no data",
}
# Routes whose calls in the matrix change nothing: the sample data has nothing to change, or the caller lacks
# the rights of a partner. Other tests cover them. In tests/integration/webhooks:
# test_notice_settings.py (links in letters) and test_notice_messages.py (accounts). In tests/integration/appeals:
# test_export_jobs.py (exports), test_partners.py and test_partner_events.py (partners). The rest:
# audit/test_audit_trail.py.
ELSEWHERE = {
    "DELETE /api/v1/me/notice-accounts/{network}",
    "DELETE /api/v1/exports/{export_id}",
    "POST /api/v1/partners/{partner_id}/take-over",
    "POST /api/v1/partners/{partner_id}/rotate-secret",
    "POST /api/v1/partners/{partner_id}/events",
    "DELETE /api/v1/me/sessions",
    "DELETE /api/v1/me/sessions/{session_id}",
    "POST /api/v1/people/{person_id}/unlock",
    "POST /api/v1/notices/unsubscription",
    "POST /api/v1/notices/confirmation",
}
# Bodies for routes whose body in the access matrix changes nothing, so that no audit row would be written.
CHANGING = {
    "PUT /api/v1/calendars/{calendar_id}/days": body(
        start="2028-01-01", end="2028-12-31", days=[{"day": "2028-03-05", "intervals": [], "title": "Праздник"}]
    )
}
# Commands between services by route: the service that sends the command, and the call.
COMMANDS: dict[str, tuple[ServiceName, RouteCall]] = {
    "POST /internal/publications": (
        "appeals",
        RouteCall(
            None,
            body(
                reply_id=str(UUID(int=9)),
                message_id=sample_id("message_id"),
                text="Включим завтра",
                on_behalf_of=CENTRE_SUBJECT,
            ),
        ),
    ),
    "POST /internal/publications/{publication_id}/retry": ("appeals", RouteCall(None, body())),
    "POST /internal/publications/{publication_id}/changes": (
        "appeals",
        RouteCall(
            None,
            body(id=str(UUID(int=9)), text="Починим завтра", on_behalf_of=CENTRE_SUBJECT),
            names={"publication_id": "published_publication_id"},
        ),
    ),
    "POST /internal/erasures/appeals": (
        "ingest",
        RouteCall(
            None,
            body(
                author_key=sample_id("author_key"),
                pseudonym="erased-1",
                until="2100-01-01T00:00:00+00:00",
                threads={},
            ),
        ),
    ),
    "POST /internal/erasures/quotations": (
        "ingest",
        RouteCall(None, body(message_ids=sample_ids("message_id"))),
    ),
    "POST /internal/erasures/deliveries": (
        "ingest",
        RouteCall(None, body(subject_ids=sample_ids("appeal_id"))),
    ),
    "POST /internal/erasures/grades": (
        "ingest",
        RouteCall(None, body(appeal_ids=sample_ids("appeal_id"))),
    ),
}
SHOWN = {
    route: replace(row, body=CHANGING.get(route, row.body))
    for route, row in ROWS.items()
    if isinstance(row, RouteCall)
    and not route.startswith("GET ")
    and route not in UNRECORDED | dict.fromkeys(ELSEWHERE)
}


class RecordedChanges(Database):
    """Makes every change, reads the audit trail, and rolls both back."""

    def __init__(self, former: Database) -> None:
        self.engine, self._writers, self._readers = former.engine, former._writers, former._readers
        self.rows: list[Row[Any]] = []

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        async with self._writers() as session:
            try:
                yield session
                await session.flush()
                # The check before a commit: it fails for a change without an audit row.
                session.sync_session.dispatch.before_commit(session.sync_session)
                written = select(AuditEntry.__table__).where(AuditEntry.position.is_(None))
                self.rows += await session.execute(written)
            finally:
                await session.rollback()


@contextmanager
def record_changes(all_services: AllServices, name: ServiceName) -> Iterator[RecordedChanges]:
    """Record the audit rows that calls of this service would write."""
    service = all_services.services[name].service
    former = service.database
    service._database = found = RecordedChanges(former)
    try:
        yield found
    finally:
        service._database = former


def has_no_texts(database: RecordedChanges) -> bool:
    """Return whether the audit rows contain no names or texts: only these are Russian in the sample data."""
    kept = json.dumps([(row.before, row.after) for row in database.rows], ensure_ascii=False)
    return re.search("[а-яё]", kept, re.IGNORECASE) is None


def test_every_changing_route_is_audited_or_has_a_reason_not_to_be(all_services: AllServices) -> None:
    routes = {route for route in (*all_services.routes, *all_services.internal) if not route.startswith("GET ")}
    known = SHOWN.keys() | UNRECORDED.keys() | COMMANDS.keys() | ELSEWHERE
    assert not routes - known, "test that these write an audit row, or add them to UNRECORDED with the reason"
    assert not known - routes, "these belong to no route"


@pytest.mark.parametrize("route", SHOWN)
async def test_change_writes_an_audit_row_that_names_its_caller(
    all_services: AllServices, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if route.endswith("/quarantine/{payload_id}/retry"):  # as if the parsers had been fixed meanwhile
        known = catalogue.NETWORKS["vk"]
        assert known.push is not None
        fixed = replace(known, push=replace(known.push, parse=lambda _raw, _page: None))
        monkeypatch.setitem(catalogue.NETWORKS, "vk", fixed)
    call, service = SHOWN[route], all_services.routes[route]
    who = next(
        who
        for who in EVERYBODY
        if call.right is None
        or documented_rights.reached(who.role, call.right, include_subordinates=who.include_subordinates)
    )
    with record_changes(all_services, service) as database:
        answer = await all_services.send(
            route, all_services.route_request(route, call, all_services.samples["own"]), all_services.token(who)
        )
    assert answer.status_code in GOOD, answer.text
    assert database.rows, "the change wrote no audit row"
    for row in database.rows:
        assert (row.actor, row.on_behalf_of, row.service) == (all_services.subject(who), None, service)
        assert row.action == all_services.operation(route)["operationId"]
        assert row.request_id == answer.headers["x-request-id"]
    assert has_no_texts(database)


@pytest.mark.parametrize("route", COMMANDS)
async def test_command_writes_an_audit_row_that_names_the_service_and_its_caller(
    all_services: AllServices, route: str
) -> None:
    sender, call = COMMANDS[route]
    name = all_services.internal[route]
    callee = all_services.services[name]
    asked = all_services.route_request(route, call, all_services.samples["own"])
    headers = callee.service_headers(sender, CENTRE_SUBJECT)
    with record_changes(all_services, name) as database:
        answer = await callee.client.request(asked.method, asked.path, headers=headers, json=asked.body)
    assert answer.status_code in GOOD, answer.text
    assert database.rows
    for row in database.rows:
        assert (row.actor, row.on_behalf_of, row.service) == (sender, CENTRE_SUBJECT, name)
    assert has_no_texts(database)


def test_every_table_is_audited_or_has_a_reason_not_to_be() -> None:
    known = set(tables.Base.metadata.tables)
    assert known == column_policy.READABLE_COLUMNS.keys() | column_policy.UNAUDITED_TABLES.keys()
    assert not column_policy.READABLE_COLUMNS.keys() & column_policy.UNAUDITED_TABLES.keys()


def test_readable_audit_columns_exist_and_are_not_secret() -> None:
    for name, plain in column_policy.READABLE_COLUMNS.items():
        columns = tables.Base.metadata.tables[name].columns
        assert plain <= set(columns.keys()), name
        assert all(column_policy.may_hold_text(columns[column].type) for column in plain), name
        assert not plain & column_policy.SECRET_COLUMNS, name
        hidden = ownership.RESTRICTED_COLUMNS.get(name, set())
        assert not plain & hidden - {"issuer"}, (
            f"{name}: services that may not read this column can read the audit trail"
        )
