"""Render the table of rights as a document.

`python -m services.registry.access.rights_document > docs/operations/access.md`
"""

import sys
from pathlib import Path

from shared.auth.rights import CENTRE_ROLES, RIGHT_DESCRIPTIONS, RIGHTS, Relation, Right, RightScope, Role

ROLE_DESCRIPTIONS: dict[Role, str] = {
    Role.MODERATOR: "moderator of the centre",
    Role.ANALYST: "analyst of the centre: reads appeals, messages and figures, grades answers",
    Role.HEAD: "head: reads reports",
    Role.AUDITOR: "auditor: reads everything, changes nothing",
    Role.OPERATIONS: "operations: keys, access, health",
    Role.MANAGER: "manager of an organisation: its people, systems and pages",
    Role.APPROVER: "approver of an organisation's replies: also has the rights of an executor except webhooks",
    Role.EXECUTOR: "executor: answers for an organisation",
}
INTRODUCTION = """\
# Rights of each role

Generated from the table in `shared/auth/rights.py` by `python -m services.registry.access.rights_document`; a
test compares the two.

A right says what a caller may do; each cell is its scope, the organisations whose data it covers:

- `region`: of every organisation;
- `organisation`: of the caller's own organisation and, for a caller with `include_subordinates`, of all
  organisations below it in the organisation tree, at any depth;
- –: not at all.

A call without a valid token answers 401 (403 in Open311), a call without the right 403. An object outside the
caller's scope answers 404, as if it did not exist, and no list, count, search, cursor or feed shows it. The
registry itself (organisations, pages, municipalities, calendars, coverage) is the region's public directory,
and topics, SLA policies and routing rules are shared by the region: every signed-in caller reads all of it,
so a change to an object that the caller may read but not change answers 403. The token of an API client may
hold fewer rights than its role (`scopes` of the client, claim `scope`), never more. `GET /me` shows the
caller's own rights.

Nobody grants more than they have. A member of an organisation grants that organisation's roles in it, and in
subordinate organisations when the member has `include_subordinates`; only then may they grant it, change
accounts that have it, or set the address of their notices. Nobody changes their own access. Roles of the centre
are granted by `operations`, the first of them by `gospablik add-person`.

A test calls every route of every service as every role, for own, subordinate and foreign objects, and compares
the responses with these tables (`tests/integration/access`).
"""
SIGN_IN_SECTION = Path(__file__).with_name("sign_in.md").read_text(encoding="utf-8")


SCOPE_ROWS = (
    ("`region`", RightScope.REGION, False),
    ("`organisation`", RightScope.ORGANISATION, False),
    ("`organisation` with `include_subordinates`", RightScope.ORGANISATION, True),
)


def _cell(role: Role, right: Right) -> str:
    scope = RIGHTS[role].get(right)
    return "–" if scope is None else f"{scope}"


def render() -> str:
    """Return the document in Markdown."""
    roles = list(Role)
    lines = [
        INTRODUCTION,
        "| right | lets the caller | " + " | ".join(f"`{role}`" for role in roles) + " |",
        "|---|---|" + "---|" * len(roles),
    ]
    for right in Right:
        cells = " | ".join(_cell(role, right) for role in roles)
        lines.append(f"| `{right}` | {RIGHT_DESCRIPTIONS[right]} | {cells} |")
    lines += ["", "| role | who | bound to |", "|---|---|---|"]
    for role in roles:
        bound_to = "the centre" if role in CENTRE_ROLES else "an organisation, optionally with its subordinates"
        lines.append(f"| `{role}` | {ROLE_DESCRIPTIONS[role]} | {bound_to} |")
    lines += ["", "| scope | own | subordinate | foreign |", "|---|---|---|---|"]
    for name, scope, include_subordinates in SCOPE_ROWS:
        relations = scope.relations(include_subordinates=include_subordinates)
        lines.append(f"| {name} | " + " | ".join("yes" if r in relations else "–" for r in Relation) + " |")
    return "\n".join([*lines, "", SIGN_IN_SECTION])


if __name__ == "__main__":
    sys.stdout.write(render())
