"""Rows of the matrix for the registry."""

from shared.auth.rights import Right
from tests.integration.access.route_table import ListRoute, PublicRoute, RouteCall, Row, body, sample_id

FILE = "code,name,kind\nnew,Новая,institution\n".encode()
DAYS = "\r\n".join(
    (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//matrix//EN",
        "BEGIN:VEVENT",
        "UID:1",
        "DTSTAMP:20280101T000000Z",
        "DTSTART;VALUE=DATE:20280305",
        "SUMMARY:Day off",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
).encode()

ROWS: dict[str, Row] = {
    "POST /api/v1/auth/token": PublicRoute("a password, a refresh token or a client's secret"),
    "POST /api/v1/auth/revoke": PublicRoute("the refresh token itself"),
    "POST /api/v1/auth/session": PublicRoute("a password"),
    "POST /api/v1/auth/session/refresh": PublicRoute("the refresh token in its cookie"),
    "DELETE /api/v1/auth/session": PublicRoute("the refresh token in its cookie"),
    "GET /.well-known/jwks.json": PublicRoute("public keys"),
    "GET /api/v1/auth/methods": PublicRoute("nothing: a front end must know how people sign in before they do"),
    "GET /api/v1/me": RouteCall(None),
    "GET /api/v1/me/sessions": RouteCall(None),
    "DELETE /api/v1/me/sessions": RouteCall(None),
    # The sessions in the sample data belong to other people.
    "DELETE /api/v1/me/sessions/{session_id}": RouteCall(None, answers=frozenset({404})),
    "GET /api/v1/audit": ListRoute(Right.AUDIT_READ, shows="entry_id"),
    "GET /api/v1/audit/personal-data-reads": ListRoute(Right.AUDIT_READ, shows="read_id"),
    "GET /api/v1/organisations": ListRoute(Right.REGISTRY_READ, shows="organisation_id"),
    "GET /api/v1/organisations/{organisation_id}": RouteCall(Right.REGISTRY_READ),
    "POST /api/v1/organisations": RouteCall(Right.REGISTRY_WRITE, body(name="Новая", kind="institution")),
    "PATCH /api/v1/organisations/{organisation_id}": RouteCall(Right.REGISTRY_WRITE, body(name="Иная")),
    "GET /api/v1/organisations/search": RouteCall(Right.REGISTRY_READ, query={"q": "школа"}),
    "POST /api/v1/organisations/import": RouteCall(
        Right.REGISTRY_WRITE, content=FILE, headers={"Content-Type": "text/csv"}
    ),
    "GET /api/v1/organisations/export": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/organisations/{organisation_id}/names": RouteCall(Right.REGISTRY_READ),
    "POST /api/v1/organisations/{organisation_id}/names": RouteCall(
        Right.REGISTRY_WRITE, body(kind="alias", name="Иное прозвище")
    ),
    "DELETE /api/v1/organisations/{organisation_id}/names/{name_id}": RouteCall(Right.REGISTRY_WRITE),
    "GET /api/v1/organisations/{organisation_id}/successions": RouteCall(Right.REGISTRY_READ),
    "POST /api/v1/organisations/{organisation_id}/successions": RouteCall(
        Right.REGISTRY_WRITE,
        body(
            kind="merged",
            effective_on="2026-03-01",
            successors=lambda sample_ids: [{"organisation_id": str(sample_ids["heir_id"])}],
        ),
    ),
    "DELETE /api/v1/organisations/{organisation_id}/successions/{succession_id}": RouteCall(
        Right.REGISTRY_WRITE, names={"organisation_id": "predecessor_id"}
    ),
    "GET /api/v1/municipalities": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/pages": ListRoute(Right.REGISTRY_READ, shows="page_id"),
    "GET /api/v1/pages/lost-steps": RouteCall(Right.REGISTRY_READ, query={"since": "2026-03-01"}),
    "GET /api/v1/pages/{page_id}": RouteCall(Right.REGISTRY_READ),
    # The registry calls ingest over HTTP, and nothing listens at its address here.
    "POST /api/v1/pages/resolve": RouteCall(
        Right.REGISTRY_WRITE, body(address="https://vk.com/club5"), answers=frozenset({503})
    ),
    "POST /api/v1/pages": RouteCall(
        Right.REGISTRY_WRITE,
        body(organisation_id=sample_id("organisation_id"), network="ok", external_id="777", name="Новая"),
    ),
    "PATCH /api/v1/pages/{page_id}": RouteCall(Right.REGISTRY_WRITE, body(name="Иная")),
    "GET /api/v1/pages/{page_id}/steps": RouteCall(Right.REGISTRY_READ),
    "PUT /api/v1/pages/{page_id}/steps/{step}": RouteCall(
        Right.PAGES_CONFIRM, body(evidence="Приказ"), hidden=403
    ),
    "DELETE /api/v1/pages/{page_id}/steps/{step}": RouteCall(
        Right.PAGES_CONFIRM, hidden=403, query={"reason": "Снято"}
    ),
    "GET /api/v1/pages/checks": RouteCall(Right.REGISTRY_READ, query={"day": "2026-03-02"}),
    "GET /api/v1/pages/checks/days": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/pages/{page_id}/checks": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/coverage": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/coverage/missing": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/coverage/history": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/calendars": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/calendars/{calendar_id}": RouteCall(Right.REGISTRY_READ),
    "POST /api/v1/calendars": RouteCall(
        Right.REGISTRY_WRITE, body(name="Новый", weekly={"1": [["09:00", "18:00"]]})
    ),
    "PATCH /api/v1/calendars/{calendar_id}": RouteCall(Right.REGISTRY_WRITE, body(name="Иной")),
    "PUT /api/v1/calendars/{calendar_id}/days": RouteCall(
        Right.REGISTRY_WRITE, body(start="2028-01-01", end="2028-12-31", days=[])
    ),
    "GET /api/v1/calendars/{calendar_id}/days.ics": RouteCall(Right.REGISTRY_READ),
    "PUT /api/v1/calendars/{calendar_id}/days.ics": RouteCall(
        Right.REGISTRY_WRITE, content=DAYS, headers={"Content-Type": "text/calendar"}
    ),
    "GET /api/v1/people": ListRoute(Right.PEOPLE_READ, shows="person_id"),
    "GET /api/v1/people/{person_id}": RouteCall(Right.PEOPLE_READ),
    "POST /api/v1/people": RouteCall(
        Right.PEOPLE_MANAGE,
        body(
            username="somebody",
            full_name="Кто-то",
            role="executor",
            organisation_id=sample_id("organisation_id"),
            password="correct horse 9",
        ),
        hidden=403,
    ),
    "PATCH /api/v1/people/{person_id}": RouteCall(Right.PEOPLE_MANAGE, body(full_name="Другой")),
    "POST /api/v1/people/{person_id}/lock": RouteCall(Right.PEOPLE_MANAGE, body(reason="Пропал телефон")),
    "POST /api/v1/people/{person_id}/unlock": RouteCall(Right.PEOPLE_MANAGE),
    "GET /api/v1/people/{person_id}/sessions": ListRoute(Right.PEOPLE_READ, shows="session_id"),
    "DELETE /api/v1/people/{person_id}/sessions": RouteCall(Right.PEOPLE_MANAGE),
    "DELETE /api/v1/people/{person_id}/sessions/{session_id}": RouteCall(Right.PEOPLE_MANAGE),
    "GET /api/v1/clients": ListRoute(Right.CLIENTS_READ, shows="client_id"),
    "GET /api/v1/clients/{client_id}": RouteCall(Right.CLIENTS_READ),
    "POST /api/v1/clients": RouteCall(
        Right.CLIENTS_MANAGE,
        body(
            name="Новая",
            role="executor",
            organisation_id=sample_id("organisation_id"),
            scopes=["registry:read"],
        ),
        hidden=403,
    ),
    "PATCH /api/v1/clients/{client_id}": RouteCall(Right.CLIENTS_MANAGE, body(name="Иная")),
    "DELETE /api/v1/clients/{client_id}": RouteCall(Right.CLIENTS_MANAGE),
    "POST /api/v1/clients/{client_id}/secrets": RouteCall(Right.CLIENTS_MANAGE, body(overlap_hours=1)),
    "DELETE /api/v1/clients/{client_id}/secrets/{secret_id}": RouteCall(Right.CLIENTS_MANAGE),
}
