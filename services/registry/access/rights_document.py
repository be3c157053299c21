"""The table of rights as a document.

`python -m services.registry.access.rights_document > docs/operations/access.md`
"""

import sys
from pathlib import Path

from shared.auth.rights import CENTRE_ROLES, RIGHTS, Reach, Relation, Right, Role

RIGHT_DESCRIPTIONS: dict[Right, str] = {
    Right.REGISTRY_READ: "read organisations, pages, municipalities, calendars and coverage; "
    "topics, SLA policies and routing rules too",
    Right.REGISTRY_WRITE: "register and change organisations, pages and calendars",
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
    Right.UNDERSTANDING_READ: "see what was judged of all messages, and by which model",
    Right.RULES_MANAGE: "make, try, run dry and activate routing rules, and SLA policies",
    Right.METRICS_READ: "read figures and reports",
    Right.WEBHOOKS_READ: "see endpoints and deliveries",
    Right.WEBHOOKS_MANAGE: "subscribe other systems to events, of those types alone that one may read",
    Right.WEBHOOKS_CONSENT: "consent that an endpoint gets citizens' words with personal data",
    Right.EVENTS_READ: "read the event feed",
    Right.AUDIT_READ: "read who changed what",
}
ROLE_DESCRIPTIONS: dict[Role, str] = {
    Role.MODERATOR: "moderator of the centre",
    Role.ANALYST: "analyst of the centre: reads cases, messages and figures",
    Role.HEAD: "head: reads reports",
    Role.AUDITOR: "auditor: reads everything, changes nothing",
    Role.OPERATIONS: "operations: keys, access, health",
    Role.MANAGER: "manager of an organisation: its people, systems and pages",
    Role.APPROVER: "approver of an organisation's answers: no step asks for an approval yet, "
    "so it may do what an executor may, webhooks apart",
    Role.EXECUTOR: "answers for an organisation",
}
INTRODUCTION = """\
# Who may do what

Made from the one table that the code asks (`shared/auth/rights.py`) by
`python -m services.registry.access.rights_document`; a test compares the two.

A right says what a caller may do; each cell says to whose things:

- `region`: to everybody's;
- `place`: to those of the organisation that the caller belongs to, and, for who is bound to it with `beneath`, to
  those of all organisations below it in the owner tree, however deep;
- –: not at all.

A call without a good token answers 401, one without the right 403. A thing outside the caller's reach answers 404,
as if it did not exist, and no list, count, search, cursor or feed shows it. The registry itself (organisations,
pages, municipalities, calendars, coverage) is the region's public directory, and topics, SLA policies and routing
rules are its rules: everybody who is signed in reads all of it, so a change to what one may read but not touch
answers 403. A system's token may hold fewer rights than its role (`scopes` of the client, claim `scope`), never
more. `GET /me` shows the caller's own rights.

Nobody gives more than they have: who is bound to an organisation gives that organisation's roles there, and
beneath it when they are bound with `beneath` themselves; only then do they bind others so, or change those who
are. Nobody changes their own access. Roles of the centre are given by `operations`, the first of them by
`gospablik add-person`.

A test calls every route of every service as every role, for own, subordinate and foreign things, and compares the
answers with these tables (`tests/integration/access`).
"""
SIGN_IN_SECTION = Path(__file__).with_name("sign_in.md").read_text(encoding="utf-8")


REACH_ROWS = (
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
        lines.append(f"| `{right}` | {RIGHT_DESCRIPTIONS[right]} | {cells} |")
    lines += ["", "| role | who | bound to |", "|---|---|---|"]
    for role in roles:
        place = "the centre" if role in CENTRE_ROLES else "an organisation, by choice with all beneath it"
        lines.append(f"| `{role}` | {ROLE_DESCRIPTIONS[role]} | {place} |")
    lines += ["", "| reach | own | subordinate | foreign |", "|---|---|---|---|"]
    for name, reach, beneath in REACH_ROWS:
        relations = reach.relations(beneath=beneath)
        lines.append(f"| {name} | " + " | ".join("yes" if r in relations else "–" for r in Relation) + " |")
    return "\n".join([*lines, "", SIGN_IN_SECTION])


if __name__ == "__main__":
    sys.stdout.write(render())
