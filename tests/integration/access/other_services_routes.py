"""Rows of the matrix for appeals, metrics and webhooks."""

from typing import Any

from shared.auth.rights import Right
from tests.integration.access.route_table import (
    GOOD,
    ListRoute,
    PublicRoute,
    RouteCall,
    Row,
    body,
    sample_id,
    sample_ids,
)
from tests.integration.access.sample_data import PHOTO

# Excludes the older sample appeals: each organisation then has one.
SINCE = {"opened_from": "2026-03-01T00:00:00Z"}
PERIOD = {"from": "2026-03-02", "to": "2026-03-08"}


_PHOTO = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + PHOTO + b"\r\n--b--\r\n"


def _promised(found: Any) -> int:
    return sum(counted["made"] for counted in found["items"])


BULK = {"operation_id": "bulk_operation_id"}
DRAFT = {"appeal_id": "draft_appeal_id", "reply_id": "draft_reply_id"}
EXTENSION = {"request_id": "extension_request_id"}
OWN_EXTENSION = {"appeal_id": "joined_appeal_id", "request_id": "own_extension_request_id"}
PUBLISHED = {"appeal_id": "draft_appeal_id", "reply_id": "published_reply_id"}
WAITING = {"appeal_id": "on_approval_appeal_id", "reply_id": "on_approval_reply_id"}
APPEALS: dict[str, Row] = {
    "GET /api/v1/appeals": ListRoute(Right.APPEALS_READ, shows="appeal_id"),
    "GET /api/v1/appeals/facets": ListRoute(
        Right.APPEALS_READ, counts=lambda found: found["counted"], query=SINCE
    ),
    "GET /api/v1/appeals/counts": ListRoute(Right.APPEALS_READ, counts=lambda found: found["total"], query=SINCE),
    "GET /api/v1/appeals/suggestions": RouteCall(Right.APPEALS_READ, query={"q": "баб"}),
    "GET /api/v1/appeals.csv": RouteCall(Right.APPEALS_READ),
    "GET /api/v1/appeals.xlsx": RouteCall(Right.APPEALS_READ),
    "GET /open311/v2/discovery.json": PublicRoute("nothing: it says where Open311 is and how to get a key"),
    "GET /open311/v2/services.json": RouteCall(Right.REGISTRY_READ),
    "GET /open311/v2/services/{service_code}.json": RouteCall(
        Right.REGISTRY_READ, names={"service_code": "topic_id"}
    ),
    "GET /open311/v2/requests.json": ListRoute(
        Right.APPEALS_READ,
        shows="appeal_id",
        key="service_request_id",
        query={"start_date": "2026-03-01T00:00:00Z"},
    ),
    "GET /open311/v2/requests/{service_request_id}.json": ListRoute(
        Right.APPEALS_READ,
        shows="appeal_id",
        key="service_request_id",
        names={"service_request_id": "appeal_id"},
    ),
    "POST /open311/v2/requests.json": RouteCall(
        Right.APPEALS_OPEN, form=body(service_code=sample_id("topic_id"), address_string="Речная, 1")
    ),
    "GET /open311/v2/{path:path}": PublicRoute("nothing: it says that there is no such resource"),
    "POST /open311/v2/{path:path}": PublicRoute("nothing: it says that there is no such resource"),
    # Each caller sees only their own exports: tests/integration/appeals/test_export_jobs.py.
    "GET /api/v1/exports": RouteCall(Right.APPEALS_READ),
    "POST /api/v1/exports": RouteCall(Right.APPEALS_READ, body(format="csv")),
    "GET /api/v1/exports/{export_id}": RouteCall(Right.APPEALS_READ, answers=frozenset({404})),
    "GET /api/v1/exports/{export_id}/file": RouteCall(Right.APPEALS_READ, answers=frozenset({404})),
    "DELETE /api/v1/exports/{export_id}": RouteCall(Right.APPEALS_READ, answers=frozenset({404})),
    "GET /api/v1/appeals/{appeal_id}": RouteCall(Right.APPEALS_READ),
    "POST /api/v1/appeals": RouteCall(
        Right.APPEALS_OPEN,
        body(text="По телефону", source="phone", organisation_id=sample_id("organisation_id")),
        hidden=403,
    ),
    "POST /api/v1/appeals/{appeal_id}/moves": RouteCall(
        Right.APPEALS_WORK, body(to="triage", reason="Дорога республиканская")
    ),
    # Staff see their own bulk operations, managers those of their organisation, as
    # tests/integration/appeals/test_bulk_operations.py shows.
    "GET /api/v1/appeals/bulk": RouteCall(Right.APPEALS_WORK),
    "POST /api/v1/appeals/bulk": RouteCall(
        Right.APPEALS_WORK,
        body(action="assign", assignee_id=sample_id("person_id"), appeal_ids=sample_ids("lone_appeal_id")),
        hidden=422,
    ),
    "GET /api/v1/appeals/bulk/{operation_id}": RouteCall(Right.APPEALS_WORK, names=BULK, answers=GOOD | {404}),
    "GET /api/v1/appeals/bulk/{operation_id}/rows": RouteCall(
        Right.APPEALS_WORK, names=BULK, answers=GOOD | {404}
    ),
    "POST /api/v1/appeals/bulk/{operation_id}/undo": RouteCall(
        Right.APPEALS_WORK, names=BULK, answers=GOOD | {404}
    ),
    "GET /api/v1/appeals/{appeal_id}/replies": ListRoute(Right.APPEALS_READ, shows="reply_id"),
    "POST /api/v1/appeals/{appeal_id}/replies": RouteCall(Right.APPEALS_ANSWER, body(text="Включим")),
    "POST /api/v1/appeals/{appeal_id}/recorded-answers": RouteCall(
        Right.APPEALS_ANSWER,
        body(channel="phone", text="Починим", answered_at="2026-03-04T10:00:00+08:00"),
        names={"appeal_id": "phone_appeal_id"},
    ),
    "POST /api/v1/appeals/{appeal_id}/replies/{reply_id}/retry": RouteCall(Right.APPEALS_ANSWER),
    "POST /api/v1/appeals/{appeal_id}/replies/{reply_id}/edits": RouteCall(
        Right.APPEALS_ANSWER, body(text="Починим завтра", reason="Уточнили срок"), names=PUBLISHED
    ),
    "POST /api/v1/appeals/{appeal_id}/replies/{reply_id}/withdrawal": RouteCall(
        Right.REPLIES_WITHDRAW, body(ground="factual_error", reason="Не тот адрес"), names=PUBLISHED
    ),
    "POST /api/v1/appeals/{appeal_id}/replies/check": RouteCall(Right.APPEALS_ANSWER, body(text="Включим")),
    "PUT /api/v1/appeals/{appeal_id}/replies/{reply_id}": RouteCall(
        Right.APPEALS_ANSWER, body(text="Включим завтра"), names=DRAFT
    ),
    "DELETE /api/v1/appeals/{appeal_id}/replies/{reply_id}": RouteCall(Right.APPEALS_ANSWER, names=DRAFT),
    "GET /api/v1/appeals/{appeal_id}/replies/{reply_id}/versions": ListRoute(
        Right.APPEALS_READ, shows="version_number", key="number", names=DRAFT
    ),
    "POST /api/v1/appeals/{appeal_id}/replies/{reply_id}/submit": RouteCall(Right.APPEALS_ANSWER, names=DRAFT),
    "POST /api/v1/appeals/{appeal_id}/replies/{reply_id}/approve": RouteCall(Right.REPLIES_APPROVE, names=WAITING),
    "POST /api/v1/appeals/{appeal_id}/replies/{reply_id}/refuse": RouteCall(
        Right.REPLIES_APPROVE, body(remarks="Назовите дату"), names=WAITING
    ),
    "POST /api/v1/attachments": RouteCall(
        Right.APPEALS_ANSWER, content=_PHOTO, headers={"Content-Type": "multipart/form-data; boundary=b"}
    ),
    "GET /api/v1/attachments/{attachment_id}": RouteCall(Right.APPEALS_READ),
    "GET /api/v1/appeals/{appeal_id}/presence": RouteCall(Right.APPEALS_READ),
    "PUT /api/v1/appeals/{appeal_id}/presence": RouteCall(Right.APPEALS_READ),
    "DELETE /api/v1/appeals/{appeal_id}/presence": RouteCall(Right.APPEALS_READ),
    "GET /api/v1/appeals/{appeal_id}/reply-lease": RouteCall(Right.APPEALS_READ, names=WAITING),
    "PUT /api/v1/appeals/{appeal_id}/reply-lease": RouteCall(
        Right.APPEALS_ANSWER, body(take_over=False), names=DRAFT
    ),
    "DELETE /api/v1/appeals/{appeal_id}/reply-lease": RouteCall(Right.APPEALS_ANSWER, names=DRAFT),
    "GET /api/v1/appeals/{appeal_id}/reply-templates": ListRoute(Right.APPEALS_ANSWER, shows="template_id"),
    "GET /api/v1/reply-templates": ListRoute(Right.APPEALS_ANSWER, shows="template_id"),
    "POST /api/v1/reply-templates": RouteCall(
        Right.APPEALS_ANSWER,
        body(name="Новый", text="Включим до {срок}", organisation_id=sample_id("organisation_id")),
        hidden=422,
    ),
    "GET /api/v1/reply-templates/{template_id}": RouteCall(Right.APPEALS_ANSWER),
    "PUT /api/v1/reply-templates/{template_id}": RouteCall(
        Right.APPEALS_ANSWER,
        body(name="Новый", text="Включим до {срок}", organisation_id=sample_id("organisation_id")),
    ),
    "DELETE /api/v1/reply-templates/{template_id}": RouteCall(Right.APPEALS_ANSWER),
    "GET /api/v1/reply-approvals": ListRoute(
        Right.REPLIES_APPROVE, shows="on_approval_appeal_id", key="appeal_id"
    ),
    "GET /api/v1/approval-rules": RouteCall(Right.REGISTRY_READ),
    "POST /api/v1/approval-rules": RouteCall(Right.RULES_MANAGE, body(urgency="high")),
    "GET /api/v1/approval-rules/{rule_id}": RouteCall(Right.REGISTRY_READ, names={"rule_id": "approval_rule_id"}),
    "DELETE /api/v1/approval-rules/{rule_id}": RouteCall(
        Right.RULES_MANAGE, names={"rule_id": "approval_rule_id"}
    ),
    "GET /api/v1/appeals/{appeal_id}/possible-assignees": ListRoute(Right.APPEALS_WORK, shows="person_id"),
    "GET /api/v1/appeals/{appeal_id}/notes": ListRoute(Right.APPEALS_READ, shows="note_id"),
    "POST /api/v1/appeals/{appeal_id}/notes": RouteCall(Right.APPEALS_WORK, body(text="Звонили")),
    # Only the author edits a note; its author and moderators delete it: tests/integration/appeals/test_notes.py.
    "PATCH /api/v1/appeals/{appeal_id}/notes/{note_id}": RouteCall(
        Right.APPEALS_WORK, body(text="Звонили дважды"), answers=GOOD | {403}
    ),
    "DELETE /api/v1/appeals/{appeal_id}/notes/{note_id}": RouteCall(Right.APPEALS_WORK, answers=GOOD | {403}),
    "PUT /api/v1/appeals/{appeal_id}/read": RouteCall(Right.APPEALS_READ, body(until="2026-03-04T10:00:00Z")),
    "PATCH /api/v1/appeals/{appeal_id}/tags": RouteCall(Right.APPEALS_WORK, body(add=["крыльцо"])),
    "GET /api/v1/tags": ListRoute(Right.APPEALS_READ, shows="tag", key="tag"),
    # Only the owner changes a view; the organisation reads it: tests/integration/appeals/test_saved_views.py.
    "GET /api/v1/views": RouteCall(Right.APPEALS_READ),
    "POST /api/v1/views": RouteCall(Right.APPEALS_READ, body(name="Срочные", sort="urgency")),
    "GET /api/v1/views/{view_id}": RouteCall(Right.APPEALS_READ, answers=GOOD | {404}),
    "PUT /api/v1/views/{view_id}": RouteCall(
        Right.APPEALS_READ, body(name="Срочные", sort="urgency"), answers=GOOD | {403, 404}
    ),
    "DELETE /api/v1/views/{view_id}": RouteCall(Right.APPEALS_READ, answers=GOOD | {403, 404}),
    "POST /api/v1/appeals/{appeal_id}/watchers": RouteCall(Right.APPEALS_WORK, body()),
    "DELETE /api/v1/appeals/{appeal_id}/watchers/{person_id}": RouteCall(Right.APPEALS_WORK),
    "GET /api/v1/appeals/{appeal_id}/similar": ListRoute(
        Right.APPEALS_READ, shows="lone_appeal_id", key="appeal_id"
    ),
    "GET /api/v1/promises": ListRoute(Right.APPEALS_READ, shows="promise_id"),
    "GET /api/v1/promises/ledger": ListRoute(Right.APPEALS_READ, counts=_promised),
    "GET /api/v1/incidents": ListRoute(Right.APPEALS_READ, shows="incident_id"),
    "POST /api/v1/incidents": RouteCall(
        Right.APPEALS_WORK, body(appeal_ids=sample_ids("lone_appeal_id")), hidden=422
    ),
    "GET /api/v1/incidents/{incident_id}": RouteCall(Right.APPEALS_READ),
    "PATCH /api/v1/incidents/{incident_id}": RouteCall(Right.APPEALS_WORK, body(title="A title")),
    "POST /api/v1/incidents/{incident_id}/closure": RouteCall(Right.APPEALS_WORK),
    "GET /api/v1/incidents/{incident_id}/members": ListRoute(
        Right.APPEALS_READ, shows="appeal_id", key="appeal_id"
    ),
    "POST /api/v1/incidents/{incident_id}/members": RouteCall(
        Right.APPEALS_WORK, body(appeal_ids=sample_ids("lone_appeal_id"))
    ),
    "DELETE /api/v1/incidents/{incident_id}/members/{appeal_id}": RouteCall(Right.APPEALS_WORK),
    "GET /api/v1/incidents/{incident_id}/replies": ListRoute(Right.APPEALS_READ, shows="incident_reply_id"),
    "POST /api/v1/incidents/{incident_id}/replies": RouteCall(
        Right.APPEALS_ANSWER, body(text="Включим"), right_of_centre=Right.APPEALS_TRIAGE
    ),
    "GET /api/v1/alerts": ListRoute(Right.APPEALS_TRIAGE, shows="alert_id"),
    "POST /api/v1/alerts/{alert_id}/seen": RouteCall(Right.APPEALS_TRIAGE),
    "GET /api/v1/classifications": ListRoute(Right.CLASSIFICATIONS_READ, shows="message_id", key="message_id"),
    "GET /api/v1/classifier": RouteCall(Right.CLASSIFICATIONS_READ),
    "POST /api/v1/messages/{message_id}/triage": RouteCall(
        Right.APPEALS_TRIAGE, body(needs_answer=False), names={"message_id": "other_message_id"}
    ),
    "POST /api/v1/appeals/{appeal_id}/triage": RouteCall(
        Right.APPEALS_TRIAGE, body(urgency="high"), names={"appeal_id": "lone_appeal_id"}
    ),
    "POST /api/v1/appeals/{appeal_id}/matter-decisions": RouteCall(
        Right.APPEALS_TRIAGE,
        lambda things: {"decision": "keep", "message_id": str(things["message_id"])},
    ),
    "POST /api/v1/appeals/{appeal_id}/merge": RouteCall(
        Right.APPEALS_TRIAGE,
        body(into=sample_id("draft_appeal_id"), reason="Повтор"),
        names={"appeal_id": "second_assigned_appeal_id"},
    ),
    # The decision is the moderator's: other callers cannot undo it and get 409.
    "POST /api/v1/appeals/{appeal_id}/undo": RouteCall(
        Right.APPEALS_WORK,
        names={"appeal_id": "phone_appeal_id"},
        answers=GOOD | {409},
        right_of_centre=Right.APPEALS_TRIAGE,
    ),
    "POST /api/v1/appeals/{appeal_id}/unmerge": RouteCall(
        Right.APPEALS_TRIAGE,
        body(reason="Другой вопрос"),
        names={"appeal_id": "second_merged_appeal_id"},
    ),
    "GET /api/v1/reviews/training.csv": RouteCall(Right.RULES_MANAGE),
    "GET /api/v1/reviews": ListRoute(Right.APPEALS_READ, shows="message_id", key="message_id"),
    "GET /api/v1/topics": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/topics/{topic_id}": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/assignee-rules": ListRoute(Right.APPEALS_READ, shows="assignee_rule_id"),
    "POST /api/v1/assignee-rules": RouteCall(
        Right.ASSIGNEES_MANAGE,
        body(
            organisation_id=sample_id("organisation_id"),
            topic_id=sample_id("topic_id"),
            person_ids=sample_ids("person_id"),
        ),
        hidden=403,
    ),
    "GET /api/v1/assignee-rules/{rule_id}": RouteCall(Right.APPEALS_READ, names={"rule_id": "assignee_rule_id"}),
    "PATCH /api/v1/assignee-rules/{rule_id}": RouteCall(
        Right.ASSIGNEES_MANAGE,
        body(person_ids=sample_ids("deputy_id", "person_id")),
        names={"rule_id": "assignee_rule_id"},
    ),
    "DELETE /api/v1/assignee-rules/{rule_id}": RouteCall(
        Right.ASSIGNEES_MANAGE, names={"rule_id": "assignee_rule_id"}
    ),
    "GET /api/v1/absences": ListRoute(Right.APPEALS_READ, shows="absence_id"),
    "POST /api/v1/absences": RouteCall(Right.APPEALS_WORK, body(starts_on="2099-01-01", ends_on="2099-01-02")),
    # An absence of a colleague needs the right to manage assignees: tests/integration/appeals/test_absences.py.
    "DELETE /api/v1/absences/{absence_id}": RouteCall(Right.APPEALS_WORK, answers=GOOD | {403}),
    "GET /api/v1/sla-policies": RouteCall(Right.REGISTRY_READ),
    "POST /api/v1/sla-policies": RouteCall(
        Right.RULES_MANAGE, body(name="Новая", urgency="normal", first_response_hours=8, resolution_hours=56)
    ),
    "GET /api/v1/sla-policies/{policy_key}": RouteCall(Right.REGISTRY_READ),
    "PUT /api/v1/sla-policies/{policy_key}": RouteCall(
        Right.RULES_MANAGE, body(name="Новая", channel="vk", first_response_hours=8, resolution_hours=56)
    ),
    "DELETE /api/v1/sla-policies/{policy_key}": RouteCall(Right.RULES_MANAGE),
    "GET /api/v1/appeals/{appeal_id}/deadlines": RouteCall(Right.APPEALS_READ),
    "POST /api/v1/appeals/{appeal_id}/clocks/pause": RouteCall(
        Right.APPEALS_PAUSE, body(reason="Ждём адрес от автора")
    ),
    "POST /api/v1/appeals/{appeal_id}/clocks/resume": RouteCall(
        Right.APPEALS_PAUSE, body(), names={"appeal_id": "lone_appeal_id"}
    ),
    "PUT /api/v1/appeals/{appeal_id}/feedback/{feedback_id}": RouteCall(
        Right.APPEALS_TRIAGE, body(kind="mark", mark=5, reason="Гражданин поставил оценку")
    ),
    "GET /api/v1/extension-requests": ListRoute(Right.APPEALS_READ, shows="appeal_id", key="appeal_id"),
    "POST /api/v1/appeals/{appeal_id}/extension-requests": RouteCall(
        Right.APPEALS_WORK, body(hours=8, ground="Ждём акт"), names={"appeal_id": "lone_appeal_id"}
    ),
    "POST /api/v1/appeals/{appeal_id}/extension-requests/{request_id}/approve": RouteCall(
        Right.EXTENSIONS_APPROVE, body(), names=EXTENSION
    ),
    "POST /api/v1/appeals/{appeal_id}/extension-requests/{request_id}/refuse": RouteCall(
        Right.EXTENSIONS_APPROVE, body(remarks="Времени хватит"), names=EXTENSION
    ),
    "POST /api/v1/appeals/{appeal_id}/extension-requests/{request_id}/withdraw": RouteCall(
        Right.APPEALS_WORK, names=OWN_EXTENSION, answers=GOOD | {403}
    ),
    "GET /api/v1/routing-rules": ListRoute(Right.REGISTRY_READ, shows="rule_id"),
    "POST /api/v1/routing-rules": RouteCall(
        Right.RULES_MANAGE, body(organisation_id=sample_id("organisation_id"), municipality="81701000")
    ),
    "DELETE /api/v1/routing-rules/{rule_id}": RouteCall(Right.RULES_MANAGE),
    "GET /api/v1/rule-sets": ListRoute(Right.REGISTRY_READ, shows="rule_set_id"),
    "POST /api/v1/rule-sets": RouteCall(
        Right.RULES_MANAGE,
        body(
            default={"send_to": "page_owner"},
            rules=lambda sample_ids: [
                {"municipality": "81701000", "organisation_id": str(sample_ids["organisation_id"])}
            ],
        ),
    ),
    "GET /api/v1/rule-sets/{rule_set_id}": RouteCall(Right.REGISTRY_READ),
    "POST /api/v1/rule-sets/{rule_set_id}/activation": RouteCall(Right.RULES_MANAGE, body(reroute=True)),
    "POST /api/v1/rule-sets/{rule_set_id}/dry-run": RouteCall(Right.RULES_MANAGE, body(only_untouched=True)),
    "POST /api/v1/rule-sets/{rule_set_id}/preview": RouteCall(
        Right.RULES_MANAGE, body(page_id=sample_id("page_id"))
    ),
    "GET /api/v1/rule-sets/{rule_set_id}/changes": RouteCall(Right.REGISTRY_READ),
    "GET /api/v1/partners": ListRoute(Right.WEBHOOKS_READ, shows="partner_id"),
    # Whoever creates or takes over a partner or rotates its secret must have the rights that the partner uses:
    # tests/integration/appeals/test_partners.py.
    "POST /api/v1/partners": RouteCall(
        Right.WEBHOOKS_MANAGE, body(name="Портал", source="portal"), answers=GOOD | {403}
    ),
    "GET /api/v1/partners/{partner_id}": RouteCall(Right.WEBHOOKS_READ),
    "PATCH /api/v1/partners/{partner_id}": RouteCall(Right.WEBHOOKS_MANAGE, body(active=False)),
    "DELETE /api/v1/partners/{partner_id}": RouteCall(Right.WEBHOOKS_MANAGE),
    "POST /api/v1/partners/{partner_id}/take-over": RouteCall(Right.WEBHOOKS_MANAGE, answers=GOOD | {403}),
    "POST /api/v1/partners/{partner_id}/rotate-secret": RouteCall(Right.WEBHOOKS_MANAGE, answers=GOOD | {403}),
    "POST /api/v1/partners/{partner_id}/events": PublicRoute(
        "the signature of the partner, whose owner has rights"
    ),
}


def _opened(found: Any) -> int:
    total: int = found["total"]["opened"]
    assert total == sum(group["opened"] for group in found["groups"])
    return total


def _reviewed(found: Any) -> int:
    total: int = found["total"]["reviewed"]
    assert total == sum(group["reviewed"] for group in found["groups"])
    return total


def _held(found: Any) -> int:
    total: int = found["total"]["appeals"]
    assert total == sum(group["appeals"] for group in found["groups"])
    return total


def _requested(found: Any) -> int:
    total: int = found["total"]["requested"]
    assert total == sum(group["requested"] for group in found["groups"])
    return total


def _opened_rows(found: Any) -> int:
    total: int = found["total"]["opened"]
    assert total == sum(row["opened"] for row in found["rows"])
    return total


def _ranked(found: Any) -> int:
    return sum(len(group["organisations"]) for group in found["groups"])


def _pages_in_table(body: Any) -> int:
    """Return the sum of the pages that the rows count."""
    return sum(row["scored"] + row["unknown"] for row in body["rows"])


def _pages_among_peers(found: Any) -> int:
    return sum(group["pages"] for group in found["groups"])


def _mapped(found: Any) -> int:
    shown = [feature["properties"] for feature in found["features"]]
    return sum(figures["opened"] for figures in [*shown, found["elsewhere"]])


def _opened_that_day(found: Any) -> int:
    total: int = found["total"]["opened"]["value"]
    assert total == sum(channel["opened"]["value"] for channel in found["channels"])
    return total


def _groups(found: Any) -> int:
    groups = found["groups"]
    assert found["total"]["graded"] == sum(group["graded"] for group in groups)
    return len(groups)


_SCORES = dict.fromkeys(
    ("question", "action_or_date", "proof", "contact", "politeness", "plain_language", "own_words"), 2
)
_RUBRIC = [
    {
        "code": "question", "title": "По существу", "explanation": "Есть ответ", "scale": ["нет", "часть", "да"],
        "axes": ["completeness"], "kinds": ["final", "interim"], "graded": True, "hints": [],
    }
]  # fmt: skip
# The moderator of the matrix has claimed this item: other callers get 409.
CLAIMED = {"item_id": "claimed_item_id"}
METRICS: dict[str, Row] = {
    # The report covers the region: a caller who may read reports sees all of it.
    "GET /api/v1/reports/weekly": RouteCall(Right.REPORTS_READ),
    "GET /api/v1/reports/weekly/{week}": RouteCall(Right.REPORTS_READ),
    # 404: only a published report has a document.
    "GET /api/v1/reports/weekly/{week}/document": RouteCall(Right.REPORTS_READ, answers=frozenset({404})),
    "GET /api/v1/reports/weekly/{week}.json": RouteCall(Right.REPORTS_READ),
    "GET /api/v1/reports/weekly/{week}.html": RouteCall(Right.REPORTS_READ),
    "GET /api/v1/reports/weekly/{week}.pdf": RouteCall(Right.REPORTS_READ),
    "GET /api/v1/reports/weekly/{week}.xlsx": RouteCall(Right.REPORTS_READ),
    "GET /api/v1/reports/weekly/{week}/rows/{population}": RouteCall(Right.REPORTS_READ),
    "GET /api/v1/reports/weekly/{week}/rows/{population}.csv": RouteCall(Right.REPORTS_READ),
    "GET /api/v1/open-data/weeks": PublicRoute("nothing: counts for everybody, if the region switches them on"),
    "GET /api/v1/open-data/weeks/{week}": PublicRoute("nothing: no count is below the minimum"),
    "GET /api/v1/open-data/weeks/{week}.csv": PublicRoute("nothing: no count is below the minimum"),
    "GET /api/v1/metrics/embellishment-signs": RouteCall(Right.REPORTS_READ, query=PERIOD),
    "GET /api/v1/metrics/quality": ListRoute(
        Right.METRICS_READ, counts=_groups, query=PERIOD | {"group_by": "organisation"}
    ),
    # The agreement of graders and hints is computed for the whole region.
    "GET /api/v1/grading/agreement": RouteCall(Right.METRICS_READ, query=PERIOD),
    "GET /api/v1/grading/hints": RouteCall(Right.METRICS_READ, query=PERIOD),
    "GET /api/v1/grading/rubrics": RouteCall(Right.METRICS_READ),
    "POST /api/v1/grading/rubrics": RouteCall(Right.RULES_MANAGE, body(criteria=_RUBRIC)),
    "GET /api/v1/grading/samples": RouteCall(Right.ANSWERS_GRADE),
    "POST /api/v1/grading/samples": RouteCall(Right.ANSWERS_GRADE, body(week="2026-W05")),
    "GET /api/v1/grading/assignments": RouteCall(Right.ANSWERS_GRADE),
    "POST /api/v1/grading/assignments": RouteCall(Right.ANSWERS_GRADE, body(count=1)),
    "GET /api/v1/grading/items": ListRoute(Right.METRICS_READ, shows="graded_item_id", query=PERIOD),
    "GET /api/v1/grading/items/{item_id}": RouteCall(Right.APPEALS_READ, names={"item_id": "graded_item_id"}),
    "POST /api/v1/grading/items/{item_id}/grades": RouteCall(
        Right.ANSWERS_GRADE, body(scores=_SCORES), names=CLAIMED, answers=GOOD | {409}
    ),
    "POST /api/v1/grading/items/{item_id}/objections": RouteCall(
        Right.GRADES_OBJECT, body(ground="Дата есть"), names={"item_id": "graded_item_id"}
    ),
    "GET /api/v1/grading/objections": ListRoute(Right.METRICS_READ, shows="objection_id"),
    "POST /api/v1/grading/objections/{objection_id}/uphold": RouteCall(
        Right.ANSWERS_GRADE, body(scores=_SCORES, reason="Дата есть")
    ),
    "POST /api/v1/grading/objections/{objection_id}/reject": RouteCall(
        Right.ANSWERS_GRADE, body(reason="Даты нет")
    ),
    "GET /api/v1/metrics/sla": ListRoute(
        Right.METRICS_READ, counts=_opened, query=PERIOD | {"group_by": "organisation"}
    ),
    "GET /api/v1/metrics/table": ListRoute(
        Right.METRICS_READ, counts=_opened_rows, query=PERIOD | {"rows": "organisation"}
    ),
    "GET /api/v1/metrics/table.csv": RouteCall(Right.METRICS_READ, query=PERIOD | {"rows": "organisation"}),
    "GET /api/v1/metrics/appeals": ListRoute(Right.METRICS_READ, shows="appeal_id", query=PERIOD),
    "GET /api/v1/metrics/appeals.csv": RouteCall(Right.METRICS_READ, query=PERIOD),
    "GET /api/v1/metrics/rankings": ListRoute(Right.METRICS_READ, counts=_ranked, query=PERIOD),
    "GET /api/v1/metrics/rankings.csv": RouteCall(Right.METRICS_READ, query=PERIOD),
    "GET /api/v1/metrics/map": ListRoute(Right.METRICS_READ, counts=_mapped, query=PERIOD),
    "GET /api/v1/metrics/classifier-agreement": ListRoute(
        Right.METRICS_READ, counts=_reviewed, query=PERIOD | {"group_by": "organisation"}
    ),
    "GET /api/v1/metrics/transfers": ListRoute(Right.METRICS_READ, counts=_held, query=PERIOD),
    "GET /api/v1/metrics/extensions": ListRoute(Right.METRICS_READ, counts=_requested, query=PERIOD),
    "GET /api/v1/metrics/pulse": ListRoute(
        Right.METRICS_READ, counts=_opened_that_day, query={"day": "2026-03-04"}
    ),
    "GET /api/v1/metrics/sla/appeals": ListRoute(
        Right.METRICS_READ, shows="appeal_id", query=PERIOD | {"figure": "opened"}
    ),
    "GET /api/v1/metrics/pages": ListRoute(Right.METRICS_READ, shows="page_id", key="page_id"),
    "GET /api/v1/metrics/pages/{page_id}": ListRoute(Right.METRICS_READ, shows="week", key="week", has_text=False),
    "GET /api/v1/metrics/page-peers": ListRoute(
        Right.METRICS_READ, counts=_pages_among_peers, query={"week": "2026-W09"}
    ),
    "GET /api/v1/metrics/page-table": ListRoute(
        Right.METRICS_READ, counts=_pages_in_table, query={"from": "2026-W09", "to": "2026-W09"}
    ),
    "GET /api/v1/metrics/page-table.csv": RouteCall(Right.METRICS_READ),
    "GET /api/v1/metrics/page-formulas": RouteCall(Right.METRICS_READ),
    "GET /api/v1/metrics/page-formulas/{formula_id}": RouteCall(Right.METRICS_READ),
    "POST /api/v1/metrics/page-formulas": RouteCall(
        Right.RULES_MANAGE, body(name="Новая", criteria=[{"kind": "comments_open", "weight": 10}])
    ),
}
WEBHOOKS: dict[str, Row] = {
    "GET /api/v1/webhooks/event-types": RouteCall(Right.WEBHOOKS_READ),
    "POST /api/v1/webhooks/endpoints": RouteCall(
        Right.WEBHOOKS_MANAGE, body(url="http://127.0.0.1:9/other", event_types=["page.changed"])
    ),
    "GET /api/v1/webhooks/endpoints": ListRoute(Right.WEBHOOKS_READ, shows="endpoint_id"),
    "GET /api/v1/webhooks/endpoints/{endpoint_id}": RouteCall(Right.WEBHOOKS_READ),
    "PATCH /api/v1/webhooks/endpoints/{endpoint_id}": RouteCall(Right.WEBHOOKS_MANAGE, body(description="Иное")),
    "DELETE /api/v1/webhooks/endpoints/{endpoint_id}": RouteCall(Right.WEBHOOKS_MANAGE),
    "POST /api/v1/webhooks/endpoints/{endpoint_id}/take-over": RouteCall(Right.WEBHOOKS_MANAGE),
    "POST /api/v1/webhooks/endpoints/{endpoint_id}/consent": RouteCall(
        Right.WEBHOOKS_CONSENT, names={"endpoint_id": "unmasked_endpoint_id"}
    ),
    "DELETE /api/v1/webhooks/endpoints/{endpoint_id}/consent": RouteCall(
        Right.WEBHOOKS_CONSENT, names={"endpoint_id": "unmasked_endpoint_id"}
    ),
    "POST /api/v1/webhooks/endpoints/{endpoint_id}/rotate-secret": RouteCall(Right.WEBHOOKS_MANAGE),
    "POST /api/v1/webhooks/endpoints/{endpoint_id}/test": RouteCall(Right.WEBHOOKS_MANAGE),
    "POST /api/v1/webhooks/endpoints/{endpoint_id}/verification": RouteCall(
        Right.WEBHOOKS_MANAGE, names={"endpoint_id": "unverified_endpoint_id"}
    ),
    "POST /api/v1/webhooks/endpoints/{endpoint_id}/replay": RouteCall(
        Right.WEBHOOKS_MANAGE, body(what="failed", since="2026-03-01T00:00:00Z")
    ),
    "GET /api/v1/webhooks/deliveries": ListRoute(Right.WEBHOOKS_READ, shows="delivery_id"),
    "GET /api/v1/webhooks/deliveries/{delivery_id}": RouteCall(Right.WEBHOOKS_READ),
    "GET /api/v1/webhooks/deliveries/{delivery_id}/attempts": RouteCall(Right.WEBHOOKS_READ),
    "POST /api/v1/webhooks/deliveries/{delivery_id}/retry": RouteCall(Right.WEBHOOKS_MANAGE),
    "GET /api/v1/events": ListRoute(Right.EVENTS_READ, shows="event_id"),
    # Streams do not end, so they are off here: tests/integration/webhooks/test_event_stream.py shows their scope.
    "GET /api/v1/stream": RouteCall(Right.EVENTS_READ, answers=frozenset({503})),
    "POST /api/v1/stream/tickets": RouteCall(Right.EVENTS_READ),
    "GET /api/v1/me/notice-settings": RouteCall(None),
    "PATCH /api/v1/me/notice-settings": RouteCall(None, body(choices={"mention": "never"})),
    "GET /api/v1/me/notice-accounts": RouteCall(None),
    "POST /api/v1/me/notice-accounts": RouteCall(None, body(network="vk")),
    "DELETE /api/v1/me/notice-accounts/{network}": RouteCall(None, answers=frozenset({404})),
    "GET /api/v1/me/notices": RouteCall(None),
    "GET /api/v1/people/{person_id}/notice-address": RouteCall(Right.PEOPLE_READ),
    "PUT /api/v1/people/{person_id}/notice-address": RouteCall(
        Right.PEOPLE_MANAGE, body(address="sadik5@example.ru")
    ),
    "GET /api/v1/notices": ListRoute(Right.WEBHOOKS_READ, shows="notice_id", has_text=False),
    "GET /api/v1/asyncapi.json": PublicRoute("the AsyncAPI document, which holds no data"),
    "GET /api/v1/notices/unsubscription": PublicRoute("a signed token of a letter; it changes nothing"),
    "POST /api/v1/notices/unsubscription": PublicRoute(
        "a signed token of a letter; it stops notices of the letter's recipient"
    ),
    "GET /api/v1/notices/confirmation": PublicRoute("a signed token of a letter; it changes nothing"),
    "POST /api/v1/notices/confirmation": PublicRoute("a signed token of a letter, which works once"),
}
