"""The table of rights as a document: `python -m services.registry.rights_document > docs/access.md`."""

import sys

from shared.access import CENTRE_ROLES, RIGHTS, Reach, Relation, Right, Role

MEANINGS: dict[Right, str] = {
    Right.REGISTRY_READ: "read organisations, pages, municipalities and calendars",
    Right.REGISTRY_WRITE: "register and change them",
    Right.PAGES_CONFIRM: "confirm the steps of a page's way to being official and live",
    Right.PEOPLE_READ: "see people with access",
    Right.PEOPLE_MANAGE: "give access to people, change and take it",
    Right.CLIENTS_READ: "see API clients, never their secrets",
    Right.CLIENTS_MANAGE: "make API clients, change and remove them",
    Right.MESSAGES_READ: "read collected messages",
    Right.SOURCES_READ: "see how collecting goes, page by page",
    Right.SOURCES_INSPECT: "see states of network tokens, call budgets, and what could not be read",
    Right.SOURCES_MANAGE: "enter network tokens, ask for backfills and comparisons",
    Right.APPEALS_READ: "read appeals with their messages, answers and timeline",
    Right.APPEALS_TRIAGE: "decide what needs an answer, whose it is and how urgent",
    Right.APPEALS_WORK: "move appeals through their statuses",
    Right.APPEALS_ANSWER: "write and send answers",
    Right.RULES_MANAGE: "change topics, routing rules and SLA policies",
    Right.METRICS_READ: "read figures and reports",
    Right.WEBHOOKS_READ: "see endpoints and deliveries",
    Right.WEBHOOKS_MANAGE: "subscribe other systems to events",
    Right.EVENTS_READ: "read the event feed",
    Right.AUDIT_READ: "read who changed what",
}
PEOPLE: dict[Role, str] = {
    Role.MODERATOR: "moderator of the centre",
    Role.ANALYST: "analyst of the centre: reads cases, messages and figures",
    Role.HEAD: "head: reads reports",
    Role.AUDITOR: "auditor: reads everything, changes nothing",
    Role.OPERATIONS: "operations: keys, access, health",
    Role.MANAGER: "manager of an organisation: its people, systems and pages",
    Role.APPROVER: "signs an organisation's answers",
    Role.EXECUTOR: "answers for an organisation",
}
INTRODUCTION = """\
# Who may do what

Made from the one table that the code asks (`shared/access.py`) by `python -m services.registry.rights_document`;
a test compares the two.

A right says what a caller may do; each cell says to whose things:

- `region`: to everybody's;
- `place`: to those of the organisation that the caller belongs to, and, for who is bound to it with `beneath`, to
  those of all organisations below it in the owner tree, however deep;
- –: not at all.

A call without a good token answers 401, one without the right 403. A thing outside the caller's reach answers 404,
as if it did not exist, and no list, count, search, cursor or feed shows it. The registry itself (organisations,
pages, municipalities, calendars, coverage) is the region's public directory: everybody who is signed in reads all
of it, so a change to what one may read but not touch answers 403. A system's token may hold fewer rights than its
role (`scopes` of the client, claim `scope`), never more. `GET /me` shows the caller's own rights.
"""
SIGN_IN = """\
## Signing in

`POST /api/v1/auth/token` is an OAuth 2 token endpoint. Its errors are OAuth's `{error, error_description}`.

| grant | for | gives |
|---|---|---|
| `password` | people | an access token of 15 minutes and a refresh token of 14 days |
| `refresh_token` | people | both anew; the one that was used is used up, and using it again ends the session |
| `client_credentials` | systems (`POST /clients`), by form or HTTP Basic | an access token of 15 minutes |

Passwords are kept as Argon2 hashes; refresh tokens and clients' secrets, which are random, as SHA-256 digests.
Wrong passwords are counted per user name in the database (`sign_in_failures`, under a digest of what was typed):
after five in a row the name waits 30 seconds, doubling up to 15 minutes; a right password, or an hour, starts
afresh. `POST /api/v1/auth/revoke` signs out. A new password, role or place ends all sessions of a person; an
access token given before lives on for its 15 minutes at most. `GET /.well-known/jwks.json` holds the public keys.

In the embedded run `centre`, `head`, `ops` and `org` sign in with the password `demo`. In production they are not
made, and that password opens nothing.
"""


REACHES = (
    ("`region`", Reach.REGION, False),
    ("`place`", Reach.PLACE, False),
    ("`place` with `beneath`", Reach.PLACE, True),
)


def _cell(role: Role, right: Right) -> str:
    reach = RIGHTS[role].get(right)
    return "–" if reach is None else f"{reach}"


def render() -> str:
    """The document, in Markdown."""
    roles = list(Role)
    lines = [
        INTRODUCTION,
        "| right | allows to | " + " | ".join(f"`{role}`" for role in roles) + " |",
        "|---|---|" + "---|" * len(roles),
    ]
    for right in Right:
        cells = " | ".join(_cell(role, right) for role in roles)
        lines.append(f"| `{right}` | {MEANINGS[right]} | {cells} |")
    lines += ["", "| role | who | bound to |", "|---|---|---|"]
    for role in roles:
        place = "the centre" if role in CENTRE_ROLES else "an organisation, by choice with all beneath it"
        lines.append(f"| `{role}` | {PEOPLE[role]} | {place} |")
    lines += ["", "| reach | own | subordinate | foreign |", "|---|---|---|---|"]
    for name, reach, beneath in REACHES:
        relations = reach.relations(beneath=beneath)
        lines.append(f"| {name} | " + " | ".join("yes" if r in relations else "–" for r in Relation) + " |")
    return "\n".join([*lines, "", SIGN_IN])


if __name__ == "__main__":
    sys.stdout.write(render())
