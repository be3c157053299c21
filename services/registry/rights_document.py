"""The table of rights as a document: `python -m services.registry.rights_document > docs/access.md`."""

import sys

from shared.access import CENTRE_ROLES, RIGHTS, Right, Role

MEANINGS: dict[Right, str] = {
    Right.REGISTRY_READ: "read organisations, pages, municipalities and calendars",
    Right.REGISTRY_WRITE: "register and change them",
    Right.PEOPLE_MANAGE: "see people with access, give and take it",
    Right.CLIENTS_MANAGE: "see API clients, make and remove them",
    Right.MESSAGES_READ: "read collected messages",
    Right.SOURCES_READ: "see how collecting goes, page by page",
    Right.SOURCES_MANAGE: "enter network tokens",
    Right.APPEALS_READ: "read appeals with their messages, answers and timeline",
    Right.APPEALS_TRIAGE: "decide what needs an answer, whose it is and how urgent",
    Right.APPEALS_WORK: "move appeals through their statuses",
    Right.APPEALS_ANSWER: "write and send answers",
    Right.RULES_MANAGE: "change topics, routing rules and SLA policies",
    Right.METRICS_READ: "read figures and reports",
    Right.WEBHOOKS_MANAGE: "subscribe other systems to events",
    Right.EVENTS_READ: "read the event feed",
}
PEOPLE: dict[Role, str] = {
    Role.MODERATOR: "moderator of the centre",
    Role.HEAD: "head: reads reports",
    Role.OPERATIONS: "operations: keys, access, health",
    Role.EXECUTOR: "staff of one organisation",
}
INTRODUCTION = """\
# Who may do what

Made from the one table that the code asks (`shared/access.py`) by `python -m services.registry.rights_document`;
a test compares the two.

A right says what a caller may do; the caller's place says to whose things. Roles of the centre see all
organisations. Everybody else sees what belongs to the organisation that their token names: a foreign thing answers
404, as if it did not exist, and no list counts or shows it. The registry itself (organisations, pages,
municipalities, calendars) is the region's public directory: everybody who is signed in reads all of it.

A call without a good token answers 401, one without the right 403. `GET /me` shows the caller's own rights.
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


def render() -> str:
    """The document, in Markdown."""
    roles = list(Role)
    lines = [
        INTRODUCTION,
        "| right | allows to | " + " | ".join(f"`{role}`" for role in roles) + " |",
        "|---|---|" + "---|" * len(roles),
    ]
    for right in Right:
        cells = " | ".join("yes" if right in RIGHTS[role] else "–" for role in roles)
        lines.append(f"| `{right}` | {MEANINGS[right]} | {cells} |")
    lines += ["", "| role | who | sees |", "|---|---|---|"]
    for role in roles:
        sees = "all organisations" if role in CENTRE_ROLES else "its own organisation"
        lines.append(f"| `{role}` | {PEOPLE[role]} | {sees} |")
    return "\n".join([*lines, "", SIGN_IN])


if __name__ == "__main__":
    sys.stdout.write(render())
