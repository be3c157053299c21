"""Rights, roles and the scope of each right: the table that all access checks use."""

from collections.abc import Mapping
from enum import StrEnum


class Right(StrEnum):
    """Rights of callers. `RIGHTS` defines for each role which organisations a right covers."""

    REGISTRY_READ = "registry:read"
    REGISTRY_WRITE = "registry:write"
    PAGES_CONFIRM = "pages:confirm"
    PEOPLE_READ = "people:read"
    PEOPLE_MANAGE = "people:manage"
    CLIENTS_READ = "clients:read"
    CLIENTS_MANAGE = "clients:manage"
    MESSAGES_READ = "messages:read"
    SOURCES_READ = "sources:read"
    SOURCES_INSPECT = "sources:inspect"
    SOURCES_MANAGE = "sources:manage"
    APPEALS_READ = "appeals:read"
    APPEALS_OPEN = "appeals:open"
    APPEALS_TRIAGE = "appeals:triage"
    APPEALS_WORK = "appeals:work"
    APPEALS_ANSWER = "appeals:answer"
    REPLIES_APPROVE = "replies:approve"
    REPLIES_WITHDRAW = "replies:withdraw"
    ASSIGNEES_MANAGE = "assignees:manage"
    APPEALS_PAUSE = "appeals:pause"
    EXTENSIONS_APPROVE = "extensions:approve"
    CLASSIFICATIONS_READ = "classifications:read"
    RULES_MANAGE = "rules:manage"
    METRICS_READ = "metrics:read"
    REPORTS_READ = "reports:read"
    ANSWERS_GRADE = "answers:grade"
    GRADES_OBJECT = "grades:object"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_MANAGE = "webhooks:manage"
    WEBHOOKS_CONSENT = "webhooks:consent"
    EVENTS_READ = "events:read"
    AUDIT_READ = "audit:read"
    PERSONAL_DATA_ERASE = "personal_data:erase"


# What each right allows, for the documentation of rights and for OAuth scopes.
RIGHT_DESCRIPTIONS: Mapping[Right, str] = {
    Right.REGISTRY_READ: "read organisations, pages, municipalities, calendars and coverage; "
    "topics, SLA policies and routing rules too",
    Right.REGISTRY_WRITE: "register and change organisations, pages and calendars",
    Right.PAGES_CONFIRM: "confirm the steps by which a page becomes official and goes live",
    Right.PEOPLE_READ: "see people with access",
    Right.PEOPLE_MANAGE: "create people, change and revoke their access",
    Right.CLIENTS_READ: "see API clients, never their secrets",
    Right.CLIENTS_MANAGE: "create, change and deactivate API clients",
    Right.MESSAGES_READ: "read collected messages",
    Right.SOURCES_READ: "see the state of collection, page by page",
    Right.SOURCES_INSPECT: "see states of network tokens, call budgets and quarantined payloads",
    Right.SOURCES_MANAGE: "enter network tokens, start backfills and reconciliations",
    Right.APPEALS_READ: "read appeals with their messages, replies and timeline",
    Right.APPEALS_OPEN: "enter appeals that came by phone, in person, by letter or from another system",
    Right.APPEALS_TRIAGE: "decide what needs an answer, which organisation answers and how urgent it is; "
    "make the moves that only the centre may make; correct how citizens' feedback was classified",
    Right.APPEALS_WORK: "move appeals through their statuses; the centre's decisions need `appeals:triage` too",
    Right.APPEALS_ANSWER: "write and publish replies, and keep templates of replies",
    Right.REPLIES_APPROVE: "approve or refuse replies that need approval",
    Right.REPLIES_WITHDRAW: "withdraw published replies, with a ground",
    Right.ASSIGNEES_MANAGE: "assign appeals that a colleague has; manage the rules that choose assignees, "
    "and the absences of colleagues",
    Right.APPEALS_PAUSE: "pause and resume the clocks of appeals",
    Right.EXTENSIONS_APPROVE: "approve or refuse requests to extend a deadline",
    Right.CLASSIFICATIONS_READ: "see the classification of all messages, and by which model it was made",
    Right.RULES_MANAGE: "create, preview, dry-run and activate routing rules, SLA policies and approval rules; "
    "add formulas of page scores",
    Right.METRICS_READ: "read figures",
    Right.REPORTS_READ: "read the weekly report of the region, the rows behind it, and signs of embellished "
    "figures",
    Right.ANSWERS_GRADE: "grade answers of weekly samples, and decide about objections to other people's grades",
    Right.GRADES_OBJECT: "object to the grades of the organisation's answers",
    Right.WEBHOOKS_READ: "see endpoints, deliveries and partners, and whom notices reached",
    Right.WEBHOOKS_MANAGE: "subscribe other systems to events of the types that the caller may read; connect "
    "partners, which act with the caller's rights",
    Right.WEBHOOKS_CONSENT: "consent that an endpoint receives citizens' texts with personal data unmasked",
    Right.EVENTS_READ: "read the event feed",
    Right.AUDIT_READ: "read who changed what, and who read which citizens' texts",
    Right.PERSONAL_DATA_ERASE: "erase a citizen's personal data on request, and see the record of it",
}


class Role(StrEnum):
    """Roles of people and API clients: roles of the centre first, then roles of organisations."""

    MODERATOR = "moderator"
    ANALYST = "analyst"
    HEAD = "head"
    AUDITOR = "auditor"
    OPERATIONS = "operations"
    MANAGER = "manager"
    APPROVER = "approver"
    EXECUTOR = "executor"


CENTRE_ROLES = frozenset({Role.MODERATOR, Role.ANALYST, Role.HEAD, Role.AUDITOR, Role.OPERATIONS})


class Relation(StrEnum):
    """The relation of a resource's organisation to the caller's."""

    OWN = "own"
    SUBORDINATE = "subordinate"
    FOREIGN = "foreign"


class RightScope(StrEnum):
    """The scope of a role's right: the whole region, or the caller's own organisation."""

    REGION = "region"
    ORGANISATION = "organisation"

    def relations(self, *, include_subordinates: bool) -> frozenset[Relation]:
        """Return the relations in the scope of a caller with or without subordinate organisations."""
        if self is RightScope.REGION:
            return frozenset(Relation)
        return frozenset({Relation.OWN, Relation.SUBORDINATE} if include_subordinates else {Relation.OWN})


def _region_wide(*rights: Right) -> dict[Right, RightScope]:
    return dict.fromkeys(rights, RightScope.REGION)


def _own_organisation(*rights: Right) -> dict[Right, RightScope]:
    return dict.fromkeys(rights, RightScope.ORGANISATION)


# The registry is the region's public directory: everyone with the right reads all of it.
_STAFF = _region_wide(Right.REGISTRY_READ) | _own_organisation(
    Right.MESSAGES_READ,
    Right.SOURCES_READ,
    Right.APPEALS_READ,
    Right.APPEALS_OPEN,
    Right.APPEALS_WORK,
    Right.APPEALS_ANSWER,
    Right.METRICS_READ,
    Right.EVENTS_READ,
)

RIGHTS: Mapping[Role, Mapping[Right, RightScope]] = {
    Role.MODERATOR: _region_wide(
        Right.REGISTRY_READ,
        Right.REGISTRY_WRITE,
        Right.PAGES_CONFIRM,
        Right.MESSAGES_READ,
        Right.SOURCES_READ,
        Right.SOURCES_INSPECT,
        Right.SOURCES_MANAGE,
        Right.APPEALS_READ,
        Right.APPEALS_OPEN,
        Right.APPEALS_TRIAGE,
        Right.APPEALS_WORK,
        Right.APPEALS_ANSWER,
        Right.REPLIES_APPROVE,
        Right.REPLIES_WITHDRAW,
        Right.ASSIGNEES_MANAGE,
        Right.APPEALS_PAUSE,
        Right.EXTENSIONS_APPROVE,
        Right.CLASSIFICATIONS_READ,
        Right.RULES_MANAGE,
        Right.METRICS_READ,
        Right.REPORTS_READ,
        Right.ANSWERS_GRADE,
        Right.WEBHOOKS_READ,
        Right.WEBHOOKS_MANAGE,
        Right.WEBHOOKS_CONSENT,
        Right.EVENTS_READ,
        Right.PERSONAL_DATA_ERASE,
    ),
    Role.ANALYST: _region_wide(
        Right.REGISTRY_READ,
        Right.MESSAGES_READ,
        Right.SOURCES_READ,
        Right.APPEALS_READ,
        Right.CLASSIFICATIONS_READ,
        Right.METRICS_READ,
        Right.REPORTS_READ,
        Right.ANSWERS_GRADE,
        Right.EVENTS_READ,
    ),
    Role.HEAD: _region_wide(Right.REGISTRY_READ, Right.APPEALS_READ, Right.METRICS_READ, Right.REPORTS_READ),
    Role.AUDITOR: _region_wide(
        Right.REGISTRY_READ,
        Right.PEOPLE_READ,
        Right.CLIENTS_READ,
        Right.MESSAGES_READ,
        Right.SOURCES_READ,
        Right.SOURCES_INSPECT,
        Right.APPEALS_READ,
        Right.CLASSIFICATIONS_READ,
        Right.METRICS_READ,
        Right.REPORTS_READ,
        Right.WEBHOOKS_READ,
        Right.EVENTS_READ,
        Right.AUDIT_READ,
    ),
    Role.OPERATIONS: _region_wide(
        Right.REGISTRY_READ,
        Right.PEOPLE_READ,
        Right.PEOPLE_MANAGE,
        Right.CLIENTS_READ,
        Right.CLIENTS_MANAGE,
        Right.SOURCES_READ,
        Right.SOURCES_INSPECT,
        Right.SOURCES_MANAGE,
        Right.WEBHOOKS_READ,
        Right.WEBHOOKS_MANAGE,
    ),
    Role.MANAGER: _STAFF
    | _own_organisation(
        Right.REPLIES_APPROVE,
        Right.REPLIES_WITHDRAW,
        Right.ASSIGNEES_MANAGE,
        Right.APPEALS_PAUSE,
        Right.PAGES_CONFIRM,
        Right.PEOPLE_READ,
        Right.PEOPLE_MANAGE,
        Right.CLIENTS_READ,
        Right.CLIENTS_MANAGE,
        Right.WEBHOOKS_READ,
        Right.WEBHOOKS_MANAGE,
        Right.WEBHOOKS_CONSENT,
        Right.AUDIT_READ,
        Right.GRADES_OBJECT,
    ),
    Role.APPROVER: _STAFF | _own_organisation(Right.REPLIES_APPROVE, Right.REPLIES_WITHDRAW),
    Role.EXECUTOR: _STAFF | _own_organisation(Right.WEBHOOKS_READ, Right.WEBHOOKS_MANAGE),
}
