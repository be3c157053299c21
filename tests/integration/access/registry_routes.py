"""Rows of the matrix for the registry."""

from shared.auth.rights import Right
from tests.integration.access.route_table import Call, Listing, Open, Row, body, thing

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
    "POST /api/v1/auth/token": Open("a password, a refresh token or a client's secret"),
    "POST /api/v1/auth/revoke": Open("the refresh token itself"),
    "GET /.well-known/jwks.json": Open("public keys"),
    "GET /api/v1/auth/methods": Open("how people sign in, which a front end must know before"),
    "GET /api/v1/me": Call(None),
    "GET /api/v1/me/sessions": Call(None),
    "DELETE /api/v1/me/sessions": Call(None),
    # The sessions in the sample data belong to other people.
    "DELETE /api/v1/me/sessions/{session_id}": Call(None, answers=frozenset({404})),
    "GET /api/v1/audit": Listing(Right.AUDIT_READ, shows="entry_id"),
    "GET /api/v1/organisations": Listing(Right.REGISTRY_READ, shows="organisation_id"),
    "GET /api/v1/organisations/{organisation_id}": Call(Right.REGISTRY_READ),
    "POST /api/v1/organisations": Call(Right.REGISTRY_WRITE, body(name="Новая", kind="institution")),
    "PATCH /api/v1/organisations/{organisation_id}": Call(Right.REGISTRY_WRITE, body(name="Иная")),
    "GET /api/v1/organisations/search": Call(Right.REGISTRY_READ, query={"q": "школа"}),
    "POST /api/v1/organisations/import": Call(
        Right.REGISTRY_WRITE, content=FILE, headers={"Content-Type": "text/csv"}
    ),
    "GET /api/v1/organisations/export": Call(Right.REGISTRY_READ),
    "GET /api/v1/organisations/{organisation_id}/names": Call(Right.REGISTRY_READ),
    "POST /api/v1/organisations/{organisation_id}/names": Call(
        Right.REGISTRY_WRITE, body(kind="alias", name="Иное прозвище")
    ),
    "DELETE /api/v1/organisations/{organisation_id}/names/{name_id}": Call(Right.REGISTRY_WRITE),
    "GET /api/v1/organisations/{organisation_id}/successions": Call(Right.REGISTRY_READ),
    "POST /api/v1/organisations/{organisation_id}/successions": Call(
        Right.REGISTRY_WRITE,
        body(
            kind="merged",
            effective_on="2026-03-01",
            successors=lambda things: [{"organisation_id": str(things["heir_id"])}],
        ),
    ),
    "DELETE /api/v1/organisations/{organisation_id}/successions/{succession_id}": Call(
        Right.REGISTRY_WRITE, names={"organisation_id": "predecessor_id"}
    ),
    "GET /api/v1/municipalities": Call(Right.REGISTRY_READ),
    "GET /api/v1/pages": Listing(Right.REGISTRY_READ, shows="page_id"),
    "GET /api/v1/pages/lost-steps": Call(Right.REGISTRY_READ, query={"since": "2026-03-01"}),
    "GET /api/v1/pages/{page_id}": Call(Right.REGISTRY_READ),
    # The registry asks ingest, which does not run here.
    "POST /api/v1/pages/resolve": Call(
        Right.REGISTRY_WRITE, body(address="https://vk.com/club5"), answers=frozenset({503})
    ),
    "POST /api/v1/pages": Call(
        Right.REGISTRY_WRITE,
        body(organisation_id=thing("organisation_id"), network="ok", external_id="777", name="Новая"),
    ),
    "PATCH /api/v1/pages/{page_id}": Call(Right.REGISTRY_WRITE, body(name="Иная")),
    "GET /api/v1/pages/{page_id}/steps": Call(Right.REGISTRY_READ),
    "PUT /api/v1/pages/{page_id}/steps/{step}": Call(Right.PAGES_CONFIRM, body(evidence="Приказ"), hidden=403),
    "DELETE /api/v1/pages/{page_id}/steps/{step}": Call(
        Right.PAGES_CONFIRM, hidden=403, query={"reason": "Снято"}
    ),
    "GET /api/v1/pages/checks": Call(Right.REGISTRY_READ, query={"day": "2026-03-02"}),
    "GET /api/v1/pages/checks/days": Call(Right.REGISTRY_READ),
    "GET /api/v1/pages/{page_id}/checks": Call(Right.REGISTRY_READ),
    "GET /api/v1/coverage": Call(Right.REGISTRY_READ),
    "GET /api/v1/coverage/missing": Call(Right.REGISTRY_READ),
    "GET /api/v1/coverage/history": Call(Right.REGISTRY_READ),
    "GET /api/v1/calendars": Call(Right.REGISTRY_READ),
    "GET /api/v1/calendars/{calendar_id}": Call(Right.REGISTRY_READ),
    "POST /api/v1/calendars": Call(Right.REGISTRY_WRITE, body(name="Новый", weekly={"1": [["09:00", "18:00"]]})),
    "PATCH /api/v1/calendars/{calendar_id}": Call(Right.REGISTRY_WRITE, body(name="Иной")),
    "PUT /api/v1/calendars/{calendar_id}/days": Call(
        Right.REGISTRY_WRITE, body(start="2028-01-01", end="2028-12-31", days=[])
    ),
    "GET /api/v1/calendars/{calendar_id}/days.ics": Call(Right.REGISTRY_READ),
    "PUT /api/v1/calendars/{calendar_id}/days.ics": Call(
        Right.REGISTRY_WRITE, content=DAYS, headers={"Content-Type": "text/calendar"}
    ),
    "GET /api/v1/people": Listing(Right.PEOPLE_READ, shows="person_id"),
    "GET /api/v1/people/{person_id}": Call(Right.PEOPLE_READ),
    "POST /api/v1/people": Call(
        Right.PEOPLE_MANAGE,
        body(
            username="somebody",
            full_name="Кто-то",
            role="executor",
            organisation_id=thing("organisation_id"),
            password="correct horse 9",
        ),
        hidden=403,
    ),
    "PATCH /api/v1/people/{person_id}": Call(Right.PEOPLE_MANAGE, body(full_name="Другой")),
    "POST /api/v1/people/{person_id}/lock": Call(Right.PEOPLE_MANAGE, body(reason="Пропал телефон")),
    "POST /api/v1/people/{person_id}/unlock": Call(Right.PEOPLE_MANAGE),
    "GET /api/v1/people/{person_id}/sessions": Listing(Right.PEOPLE_READ, shows="session_id"),
    "DELETE /api/v1/people/{person_id}/sessions": Call(Right.PEOPLE_MANAGE),
    "DELETE /api/v1/people/{person_id}/sessions/{session_id}": Call(Right.PEOPLE_MANAGE),
    "GET /api/v1/clients": Listing(Right.CLIENTS_READ, shows="client_id"),
    "GET /api/v1/clients/{client_id}": Call(Right.CLIENTS_READ),
    "POST /api/v1/clients": Call(
        Right.CLIENTS_MANAGE,
        body(
            name="Новая",
            role="executor",
            organisation_id=thing("organisation_id"),
            scopes=["registry:read"],
        ),
        hidden=403,
    ),
    "PATCH /api/v1/clients/{client_id}": Call(Right.CLIENTS_MANAGE, body(name="Иная")),
    "DELETE /api/v1/clients/{client_id}": Call(Right.CLIENTS_MANAGE),
    "POST /api/v1/clients/{client_id}/secrets": Call(Right.CLIENTS_MANAGE, body(overlap_hours=1)),
    "DELETE /api/v1/clients/{client_id}/secrets/{secret_id}": Call(Right.CLIENTS_MANAGE),
}
