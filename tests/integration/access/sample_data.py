"""The matrix's sample data: the caller's own organisation, a subordinate one and a foreign one, with their rows.

Path parameters and bodies of routes refer to rows by these names; a missing name fails the test. The texts
of a row contain the mark of its organisation, so that a leaked text is recognised. Rows are inserted with the
role of the database's owner, and no call of the matrix changes them.
"""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid5

from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from services.appeals.moderation.decision_undo import FormerAppeal
from services.appeals.search.documents import index_appeals
from shared import clock
from shared.database.sessions import WriteSession, create_engine
from shared.ids import new_id
from shared.signing_secrets import SecretCipher, SigningSecrets, new_secret
from shared.tables import (
    appeals,
    appeals_bulk,
    appeals_classification,
    appeals_extensions,
    appeals_incidents,
    appeals_lists,
    appeals_merges,
    appeals_partners,
    appeals_replies,
    appeals_routing,
    appeals_sla,
    appeals_work,
    attachments,
    ingest,
    ingest_erasure,
    metrics_grading,
    metrics_pages,
    notices,
    registry,
    webhooks,
)
from shared.tables import common as events
from shared.tables.appeals_feedback import FeedbackRound
from tests.conftest import TestDatabase
from tests.support.sample_images import jpeg

# The first page of the first organisation.
NOTICES_PAGES = "vk:101"
KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
THEN = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
# The id of a caller of the matrix is the UUID5 of this namespace and the kind of caller.
NAMESPACE = UUID(int=1)
RELATIONS = ("own", "subordinate", "foreign")
# Words that occur only in the texts of one organisation's sample rows.
MARKS = {"own": "bagulnik", "subordinate": "saranka", "foreign": "oblepiha"}
PHOTO = jpeg(8, 8)
# The audience of the page in one of its two weeks; in the other week it is unknown.
AUDIENCE = {
    "members": 1000, "reacted_posts": 4, "views": 2000, "likes": 60, "comments": 15, "reposts": 5,
    "reactions_on": "2026-03-01", "reach_on": "2026-03-01", "reach": 664, "reach_counted_by": "week",
    "mean_post_reach": 310,
}  # fmt: skip
# Ids and other values of one organisation's sample rows, by the names that lists, bodies and paths use.
Things = Mapping[str, Any]


class SampleData(dict[str, Things]):
    """The sample rows of each organisation (own, subordinate, foreign) by name."""

    @cached_property
    def identifying(self) -> Mapping[str, frozenset[str]]:
        """The values, by relation, that only a caller with access to the organisation's data may get.

        Computed once, at the first read: read it only when the sample data is complete.
        """
        distinguished = self._distinguished()
        return {
            relation: frozenset(str(value) for value in things.values() if isinstance(value, UUID)) & distinguished
            | {MARKS[relation]}
            for relation, things in self.items()
        }

    def _distinguished(self) -> set[str]:
        counted: dict[str, int] = {}
        for sample_ids in self.values():
            for value in {str(value) for value in sample_ids.values()}:
                counted[value] = counted.get(value, 0) + 1
        return {value for value, times in counted.items() if times == 1}


async def build(database: TestDatabase) -> SampleData:
    """Insert the sample data and return the rows by name."""
    engine = create_engine(database.url("gospablik_owner"), name="world")
    try:
        async with async_sessionmaker(engine, class_=WriteSession)() as session, session.begin():
            common = await _common(session)
            samples, above = SampleData(), None
            for number, relation in enumerate(RELATIONS, start=1):
                sample_ids: dict[str, Any] = dict(common)
                parent = above if relation == "subordinate" else None
                mark = MARKS[relation]
                await _directory(session, sample_ids, mark, number, parent)
                above = above or sample_ids["organisation_id"]
                await _ingestion(session, sample_ids, mark, number)
                await _appeal_rows(session, sample_ids, mark)
                await _notifications(session, sample_ids, mark, number)
                await _people(session, sample_ids, mark)
                await _grading(session, sample_ids, mark)
                await index_appeals(session, [sample_ids["appeal_id"]])
                samples[relation] = sample_ids
        return samples
    finally:
        await engine.dispose()


async def _add(session: AsyncSession, *rows: Any) -> Any:
    session.add_all(rows)
    await session.flush()
    return rows[0].id if hasattr(rows[0], "id") else None


async def _common(session: AsyncSession) -> dict[str, Any]:
    """Insert rows that belong to no organisation; return them by name, for all three organisations."""
    calendar = registry.Calendar(name="Матрица", time_zone="Asia/Irkutsk", weekly={"1": [["09:00", "18:00"]]})
    calendar_id = await _add(session, calendar)
    topic = appeals_classification.Topic(
        code="matrix", name="Матрица", position=999, taxonomy_version="matrix", aliases=[]
    )
    policy = appeals_sla.SlaPolicy(
        policy_key=new_id(), name="Матрица", legal_regime="matrix", first_response_hours=9,
        resolution_hours=56, valid_from=THEN,
    )  # fmt: skip
    await _add(session, policy)
    formula = metrics_pages.PageScoreFormula(
        number=900, name="Матрица", valid_from="2026-W01", criteria=[{"kind": "comments_open", "weight": 10}],
        green_from=80, yellow_from=50, min_known_percent=50, created_by="matrix",
    )  # fmt: skip
    rubric_id = await session.scalar(select(metrics_grading.GradingRubric.id))
    sample = metrics_grading.GradingSample(
        week="2026-W10", rubric_id=rubric_id, seed="matrix", size=12, second_share=0, answers=12,
        created_by="matrix",
    )  # fmt: skip
    return {
        "formula_id": await _add(session, formula),
        "grading_sample_id": await _add(session, sample),
        "calendar_id": calendar_id,
        "topic_id": await _add(session, topic),
        "policy_key": policy.policy_key,
        "step": "created",
    }


async def _directory(
    session: AsyncSession, sample_ids: dict[str, Any], mark: str, number: int, parent: UUID | None
) -> None:
    name = f"Организация {mark}"
    organisation_id = await _add(
        session,
        registry.Organisation(
            code=f"code-{mark}",
            name=name,
            sort_key=name.lower(),
            kind="institution",
            parent_id=parent,
            lineage=[],
        ),
    )
    pages = [
        registry.Page(
            organisation_id=organisation_id,
            network="vk",
            external_id=f"{number}0{which}",
            name=f"Страница {mark} {which}",
            sort_key=f"страница {mark} {which}",
            url=f"https://vk.com/club{number}0{which}",
            go_live_at=THEN,
        )
        for which in (1, 2)
    ]
    await _add(session, *pages)
    # A page has at most one backfill at a time: the first page has one, so calls start one for the second page.
    sample_ids["code"] = f"code-{mark}"
    sample_ids["week"], sample_ids["population"] = "2026-W10", "opened"
    sample_ids |= {"organisation_id": organisation_id, "page_id": pages[0].id, "other_page_id": pages[1].id}
    # A former organisation that this one succeeded, and an organisation that may succeed this one.
    others = [
        registry.Organisation(name=f"{name} {when}", sort_key=f"{name.lower()} {when}", kind="other", lineage=[])
        for when in ("прежде", "потом")
    ]
    await _add(session, *others)
    sample_ids["heir_id"] = others[1].id
    succession = registry.Succession(
        predecessor_id=others[0].id, successor_id=organisation_id, kind="merged", effective_on=date(2020, 1, 1)
    )
    sample_ids["predecessor_id"] = others[0].id
    sample_ids["succession_id"] = await _add(session, succession)
    alias = registry.OrganisationName(
        organisation_id=organisation_id, kind="alias", name=f"Прозвище {mark}", normalized_name=f"прозвище {mark}"
    )
    sample_ids["name_id"] = await _add(session, alias)
    sample_ids["person_name"] = f"person-{mark}"
    step = registry.PageStep(
        page_id=pages[0].id,
        step="created",
        reached_on=date(2026, 3, 1),
        evidence_kind="manual",
        evidence="приказ",
        confirmed_by="matrix",
    )
    check = registry.PageCheck(
        page_id=pages[0].id, day=date(2026, 3, 2), checked_at=THEN, state="open", snapshot={}, changes=[]
    )
    await _add(session, step)
    await _add(session, check)
    points = {"key": "comments_open", "points": 0, "possible": 10, "value": False, "source": "page_checks"}
    scores = [
        metrics_pages.PageScore(
            page_id=pages[0].id,
            week=week,
            formula_id=sample_ids["formula_id"],
            score=Decimal(0),
            light="red",
            inputs={"comments_open": False} | audience,
            points=[points],
        )
        for week, audience in (("2026-W08", {}), ("2026-W09", AUDIENCE))
    ]
    sample_ids["week"] = "2026-W09"
    await _add(session, *scores)


async def _ingestion(session: AsyncSession, sample_ids: dict[str, Any], mark: str, number: int) -> None:
    page_id, organisation_id = sample_ids["page_id"], sample_ids["organisation_id"]
    sample_ids["thread_key"] = f"vk:-{number}01_1"
    messages = [
        ingest.Message(
            network="vk",
            kind="comment",
            external_id=f"-{number}01_{which}",
            page_id=page_id,
            organisation_id=organisation_id,
            thread_key=sample_ids["thread_key"],
            author_key=f"author-{mark}-{which}",
            from_community=False,
            text=f"Не горят фонари: {mark} {which}",
            attachments=[],
            url=f"https://vk.com/wall-{number}01_1?reply={which}",
            history=False,
            source_kind="wall_poll",
            written_at=THEN,
            received_at=THEN + timedelta(minutes=which),
            raw={},
        )
        for which in (1, 2)
    ]
    await _add(session, *messages)
    sample_ids |= {"message_id": messages[0].id, "other_message_id": messages[1].id}
    sample_ids["author_key"] = messages[0].author_key
    erased = ingest_erasure.Erasure(
        author_digest=f"digest-{mark}", ground="other", reference=f"вх. {mark}", status="done", until=THEN,
        pseudonym=f"erased-{mark}", requested_by="matrix",
    )  # fmt: skip
    sample_ids["erasure_id"] = await _add(session, erased)
    await _add(
        session,
        *(
            appeals_classification.Classification(
                message_id=message.id, needs_answer="no", type="chatter", urgency="normal",
                needs_answer_confidence=0.5, language="ru", top3=[], why="", classified_by="rule",
            )
            for message in messages
        ),
    )  # fmt: skip
    await _add(session, ingest.Source(page_id=page_id, kind="wall_poll", cursor={}))
    sealed = Fernet(KEY).encrypt(json.dumps({"token": "vk1.a", "secret": "s3cret"}).encode())
    token = ingest.NetworkToken(
        network="vk",
        kind="group",
        page_id=page_id,
        digest=f"token-{mark}",
        secret=sealed,
        state="revoked",
        reason=f"Revoked: {mark}",
    )
    sample_ids["token_id"] = await _add(session, token)
    backfill = ingest.Backfill(
        page_id=page_id,
        organisation_id=organisation_id,
        since=THEN,
        open_appeals=False,
        requested_by=f"asker-{mark}",
    )
    sample_ids["backfill_id"] = await _add(session, backfill)
    compared = [
        ingest.Reconciliation(
            page_id=page_id, since=THEN, started_at=THEN, gaps=1, compared=1, error=f"Rate limited: {mark}"
        ),
        ingest.Reconciliation(
            page_id=page_id, since=THEN, started_at=THEN - timedelta(days=1), finished_at=THEN, gaps=1, compared=1
        ),
    ]
    await _add(session, *compared)
    sample_ids["reconciliation_id"] = compared[0].id
    pushed = ingest.CallbackRegistration(
        page_id=page_id, network="vk", url="http://127.0.0.1:9/callbacks/vk", digest=f"callback-{mark}",
        secret=sealed,
    )  # fmt: skip
    await _add(session, pushed)
    raw = json.dumps({"type": 1, "of": mark})
    unread = ingest.QuarantinedPayload(
        network="vk", page_id=page_id, source_kind="callback", reason=f"unknown: {mark}", raw=raw
    )
    sample_ids["payload_id"] = await _add(session, unread)


async def _appeal_rows(session: AsyncSession, sample_ids: dict[str, Any], mark: str) -> None:
    sample_ids["word"] = f"слово-{mark}"
    appeal = appeals.Appeal(
        status="in_progress",
        organisation_id=sample_ids["organisation_id"],
        topic_id=sample_ids["topic_id"],
        page_id=sample_ids["page_id"],
        network="vk",
        thread_key=sample_ids["thread_key"],
        author_key=f"author-{mark}-1",
        url=f"https://vk.com/wall-1_1?of={mark}",
        text=f"Не горят фонари: {sample_ids['word']}",
        written_at=THEN,
        opened_at=THEN,
        first_response_due_at=THEN + timedelta(hours=1),
        route={"reason": "", "rule_id": None, "confidence": 1.0},
        possible_other_matters=[
            {"message_id": str(sample_ids["message_id"]), "reason": f"Другая тема: {mark}", "at": THEN.isoformat()}
        ],
    )
    appeal_id = sample_ids["appeal_id"] = await _add(session, appeal)
    sample_ids["number"] = appeal.number
    await _add(session, appeals.AppealMessage(message_id=sample_ids["message_id"], appeal_id=appeal_id))
    await _add(
        session,
        appeals_classification.Review(
            message_id=sample_ids["message_id"], organisation_id=sample_ids["organisation_id"],
            topic_group_id=sample_ids["topic_id"], predicted_by="rule", predicted={},
            decided={"needs_answer": "yes"}, agrees_needs_answer=True,
            reviewed_by=f"actor-{mark}", created_at=THEN,
        ),
    )  # fmt: skip
    publication = ingest.Publication(
        reply_id=new_id(), appeal_id=sample_ids["appeal_id"], page_id=sample_ids["page_id"],
        organisation_id=sample_ids["organisation_id"], network="vk", kind="comment",
        thread_key=sample_ids["thread_key"], text=f"Включим: {mark}", on_behalf_of="matrix", status="failed",
    )  # fmt: skip
    sample_ids["publication_id"] = await _add(session, publication)
    reply = appeals_replies.Reply(
        id=publication.reply_id, appeal_id=appeal_id, origin="gospablik", kind="final", text=f"Включим: {mark}",
        status="failed", author="matrix", publication_id=publication.id,
    )  # fmt: skip
    sample_ids["reply_id"] = await _add(session, reply)
    promise = appeals_replies.Promise(
        appeal_id=appeal_id, organisation_id=sample_ids["organisation_id"], reply_id=reply.id, promised_at=THEN,
        made_at=THEN, status="open",
    )  # fmt: skip
    sample_ids["promise_id"] = await _add(session, promise)
    said = FeedbackRound(
        appeal_id=appeal_id, reply_id=reply.id, answered_at=THEN, silent_after=THEN, ended_at=THEN, kind="thanks",
    )  # fmt: skip
    sample_ids["feedback_id"] = await _add(session, said)
    actor = f"actor-{mark}"
    await _add(session, appeals.TimelineEntry(appeal_id=appeal_id, at=THEN, kind="opened", actor=actor, data={}))
    await _incident(session, sample_ids, mark)
    await _drafts(session, sample_ids, mark)
    await _merges(session, sample_ids, mark)
    rules = await session.scalar(
        select(appeals_routing.RuleSet.id).where(appeals_routing.RuleSet.status == "active")
    )
    rule = appeals_routing.RoutingRule(
        rule_set_id=rules, topic_id=sample_ids["topic_id"], organisation_id=sample_ids["organisation_id"],
        page_owner_id=sample_ids["organisation_id"], send_to="organisation",
    )  # fmt: skip
    sample_ids["rule_id"] = await _add(session, rule)
    draft = appeals_routing.RuleSet(
        status="draft", note=f"Правила {mark}", default_to="page_owner", created_by="matrix"
    )
    sample_ids["rule_set_id"] = await _add(session, draft)
    await _clock(session, sample_ids["appeal_id"], paused=False)
    await _clock(session, sample_ids["lone_appeal_id"], paused=True)
    await _extension(session, sample_ids, mark)
    assignment = appeals.Assignment(
        appeal_id=appeal_id, at=THEN, kind="routed", to_organisation_id=sample_ids["organisation_id"], actor=actor
    )
    await _add(session, assignment)


async def _clock(session: AsyncSession, appeal_id: UUID, *, paused: bool) -> None:
    """Insert the clock of the appeal's first response, running or paused."""
    policy_id = await session.scalar(
        select(appeals_sla.SlaPolicy.id).where(appeals_sla.SlaPolicy.urgency == "normal")
    )
    clock_id = await _add(
        session,
        appeals_sla.SlaClock(
            appeal_id=appeal_id, kind="first_response", state="paused" if paused else "running", written_at=THEN,
            received_at=THEN, policy_id=policy_id, target_seconds=32_400, unit="working", started_at=THEN,
            due_at=None if paused else THEN + timedelta(hours=1), started_by="matrix", start_recorded_at=THEN,
        ),
    )  # fmt: skip
    if paused:
        pause = appeals_sla.SlaClockEvent(clock_id=clock_id, sequence=2, kind="paused", at=THEN, actor="matrix")
        await _add(session, pause)


async def _extension(session: AsyncSession, sample_ids: dict[str, Any], mark: str) -> None:
    """Insert paused clocks of final answers, so that no deadline passes; two have an open extension request, one
    by a colleague, one by the moderator who calls the routes.
    """
    policy_id = await session.scalar(
        select(appeals_sla.SlaPolicy.id).where(appeals_sla.SlaPolicy.urgency == "normal")
    )
    who = {"appeal_id": "matrix", "joined_appeal_id": str(uuid5(NAMESPACE, "moderator"))}
    names = {"appeal_id": "extension_request_id", "joined_appeal_id": "own_extension_request_id"}
    for name in ("lone_appeal_id", *who):
        row = appeals_sla.SlaClock(
            appeal_id=sample_ids[name], kind="final_answer", state="paused", written_at=THEN, received_at=THEN,
            policy_id=policy_id, target_seconds=201_600, unit="working", started_at=THEN, started_by="matrix",
            start_recorded_at=THEN,
        )  # fmt: skip
        await _add(session, row)
        pause = appeals_sla.SlaClockEvent(clock_id=row.id, sequence=2, kind="paused", at=THEN, actor="matrix")
        await _add(session, pause)
        if name in who:
            asked = appeals_extensions.ExtensionRequest(
                appeal_id=sample_ids[name], clock_id=row.id, clock="final_answer",
                organisation_id=sample_ids["organisation_id"], extension_seconds=3_600, unit="working",
                ground=f"Ждём акт: {mark}", requested_by=who[name],
            )  # fmt: skip
            sample_ids[names[name]] = await _add(session, asked)
            row.extension_request_id = asked.id
            await session.flush()


async def _incident(session: AsyncSession, sample_ids: dict[str, Any], mark: str) -> None:
    """Insert an incident with the appeal and an older similar one; a third similar appeal is in no incident."""
    case = await session.get_one(appeals.Appeal, sample_ids["appeal_id"])
    earlier = THEN - timedelta(days=10)
    alike = [
        appeals.Appeal(
            status="assigned", organisation_id=case.organisation_id, topic_id=case.topic_id, page_id=case.page_id,
            network="vk", thread_key=f"{case.thread_key}0", author_key=f"author-{mark}-0{which}", url=case.url,
            text=case.text, written_at=earlier, opened_at=earlier, route=case.route,
        )
        for which in (1, 2)
    ]  # fmt: skip
    await _add(session, *alike)
    sample_ids["lone_appeal_id"], sample_ids["joined_appeal_id"] = alike[0].id, alike[1].id
    incident = appeals_incidents.Incident(
        origin="person", title=f"Фонари: {mark}", urgency="normal", member_count=2,
        organisation_id=case.organisation_id, first_written_at=THEN, last_written_at=THEN, opened_at=THEN,
        opened_by=f"actor-{mark}",
    )  # fmt: skip
    sample_ids["incident_id"] = await _add(session, incident)
    for joined in (case, alike[1]):
        member = appeals_incidents.IncidentMember(
            incident_id=incident.id, appeal_id=joined.id, why=f"Рядом: {mark}", joined_at=THEN, joined_by="matrix"
        )
        await _add(session, member)
        joined.incident_id = incident.id
    answers = [
        appeals_incidents.IncidentReply(
            incident_id=incident.id, kind="final", text=f"Включим: {mark}", author="matrix",
            organisation_id=case.organisation_id,
        )
        for _ in range(2)
    ]  # fmt: skip
    sample_ids["incident_reply_id"] = await _add(session, *answers)
    alert = appeals_incidents.Alert(kind="urgent", appeal_id=case.id, why=f"Срочно: {mark}")
    sample_ids["alert_id"] = await _add(session, alert)


async def _merges(session: AsyncSession, sample_ids: dict[str, Any], mark: str) -> None:
    """Insert two more appeals of the draft appeal's author, the second merged into the draft appeal."""
    into = await session.get_one(appeals.Appeal, sample_ids["draft_appeal_id"])
    later = into.opened_at + timedelta(hours=1)
    for which, status in enumerate(("assigned", "merged"), start=6):
        message = ingest.Message(
            network="vk", kind="comment", external_id=f"{mark}_{which}", page_id=into.page_id,
            organisation_id=into.organisation_id, thread_key=f"{into.thread_key}{which}",
            author_key=into.author_key, from_community=False, text=f"Опять темно: {mark} {which}",
            attachments=[], url=f"{into.url}&reply={which}", history=False, source_kind="wall_poll",
            written_at=later, received_at=later, raw={},
        )  # fmt: skip
        await _add(session, message)
        appeal = appeals.Appeal(
            status=status, organisation_id=into.organisation_id, page_id=into.page_id, network="vk",
            thread_key=message.thread_key, author_key=message.author_key, url=message.url, text=message.text,
            written_at=later, opened_at=later, closed_at=later if status == "merged" else None, route=into.route,
        )  # fmt: skip
        sample_ids[f"second_{status}_appeal_id"] = await _add(session, appeal)
        owner = into if status == "merged" else appeal
        await _add(session, appeals.AppealMessage(message_id=message.id, appeal_id=owner.id))
    merge = appeals_merges.AppealMerge(
        appeal_id=appeal.id, into_id=into.id, thread_key=message.thread_key, author_key=message.author_key,
        message_ids=[message.id], former_status="assigned", reason=f"Повтор: {mark}", merged_by="matrix",
        merged_at=later,
    )  # fmt: skip
    await _add(session, merge)


async def _drafts(session: AsyncSession, sample_ids: dict[str, Any], mark: str) -> None:
    """Insert a draft with its photo, a reply on approval, a published one, a lease, a template and a rule."""
    case = await session.get_one(appeals.Appeal, sample_ids["appeal_id"])
    earlier = THEN - timedelta(days=20)
    for which, status in enumerate(("draft", "on_approval"), start=3):
        message = ingest.Message(
            network="vk", kind="comment", external_id=f"{mark}_{which}", page_id=case.page_id,
            organisation_id=case.organisation_id, thread_key=f"{case.thread_key}{which}",
            author_key=f"author-{mark}-{which}", from_community=False, text=f"Темно: {mark} {which}",
            attachments=[], url=f"{case.url}&reply={which}", history=False, source_kind="wall_poll",
            written_at=earlier, received_at=earlier, raw={},
        )  # fmt: skip
        await _add(session, message)
        appeal = appeals.Appeal(
            status="assigned", organisation_id=case.organisation_id, topic_id=None, page_id=case.page_id,
            network="vk", thread_key=message.thread_key, author_key=message.author_key, url=message.url,
            text=message.text, written_at=earlier, opened_at=earlier, route=case.route,
        )  # fmt: skip
        sample_ids[f"{status}_appeal_id"] = await _add(session, appeal)
        await _add(session, appeals.AppealMessage(message_id=message.id, appeal_id=appeal.id))
        asked = {"reason": mark, "requested_by": "matrix", "requested_at": earlier.isoformat()}
        decision = dict.fromkeys(("decision", "decided_by", "decided_at", "remarks"))
        reply = appeals_replies.Reply(
            appeal_id=appeal.id, origin="gospablik", kind="final", text=f"Включим: {mark}", status=status,
            author="matrix", in_reply_to=message.id, submitted_at=earlier if status == "on_approval" else None,
            approval=asked | decision if status == "on_approval" else None,
        )  # fmt: skip
        sample_ids[f"{status}_reply_id"] = await _add(session, reply)
    publication = ingest.Publication(
        reply_id=new_id(), page_id=case.page_id, organisation_id=case.organisation_id, network="vk",
        kind="comment", thread_key=case.thread_key, text=f"Чиним: {mark}", on_behalf_of="matrix",
        status="published", published_at=earlier,
    )  # fmt: skip
    sample_ids["published_publication_id"] = await _add(session, publication)
    published = appeals_replies.Reply(
        id=publication.reply_id, appeal_id=sample_ids["draft_appeal_id"], origin="gospablik", kind="final",
        text=publication.text, status="published", author="matrix", publication_id=publication.id,
        published_at=earlier, created_at=earlier,
    )  # fmt: skip
    sample_ids["published_reply_id"] = await _add(session, published)
    versions = [
        appeals_replies.ReplyVersion(
            reply_id=sample_ids["draft_reply_id"], number=number, kind="final", text=f"Включим: {mark} {number}",
            author="matrix", hints=None, saved_at=earlier,
        )
        for number in (1, 2)
    ]  # fmt: skip
    await _add(session, *versions)
    sample_ids["version_number"] = 1
    photo = attachments.Attachment(
        organisation_id=case.organisation_id, uploaded_by="matrix", reply_id=sample_ids["draft_reply_id"],
        name=f"{mark}.jpg", content_type="image/jpeg", size=len(PHOTO), sha256=sha256(PHOTO).hexdigest(), width=8,
        height=8,
    )  # fmt: skip
    sample_ids["attachment_id"] = await _add(session, photo)
    lease = appeals_replies.ReplyLease(
        appeal_id=sample_ids["on_approval_appeal_id"], holder=f"actor-{mark}", holder_name=f"Кто-то {mark}",
        acquired_at=earlier, expires_at=datetime(2100, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    await _add(session, lease)
    template = appeals_replies.ReplyTemplate(
        organisation_id=case.organisation_id, name=f"Свет {mark}", kind="final", text=f"{{имя}}, включим: {mark}",
        created_by="matrix",
    )  # fmt: skip
    sample_ids["template_id"] = await _add(session, template)
    rule = appeals_replies.ApprovalRule(urgency="high", organisation_id=case.organisation_id, created_by="matrix")
    sample_ids["approval_rule_id"] = await _add(session, rule)


async def _notifications(session: AsyncSession, sample_ids: dict[str, Any], mark: str, number: int) -> None:
    organisation_id = sample_ids["organisation_id"]
    sample_ids["actor"] = f"actor-{mark}"
    event = events.Event(
        position=number, type="appeal.opened", subject_id=sample_ids["appeal_id"], organisation_id=organisation_id,
        actor=sample_ids["actor"], occurred_at=THEN, data={"of": mark},
    )  # fmt: skip
    event_id = sample_ids["event_id"] = await _add(session, event)
    entry = events.AuditEntry(
        position=number, chain=bytes(32), service="appeals", actor=sample_ids["actor"], action="matrix",
        subject_kind="appeals", subject_id=str(sample_ids["appeal_id"]), organisation_id=organisation_id,
    )  # fmt: skip
    sample_ids["entry_id"] = await _add(session, entry)
    read = events.PersonalDataRead(
        read_at=THEN, service="appeals", actor=sample_ids["actor"], role="executor",
        organisation_id=organisation_id, action="matrix", subject_kind="appeal",
        subject_ids=[sample_ids["appeal_id"]], subject_count=1,
    )  # fmt: skip
    sample_ids["author_key"] = f"author-{mark}-1"
    sample_ids["read_id"] = await _add(session, read)
    # The owner of the endpoint; the person is inserted later, with the other people.
    sample_ids["deputy_id"] = new_id()
    endpoint = webhooks.WebhookEndpoint(
        organisation_id=organisation_id, url=f"http://127.0.0.1:9/{mark}", description=f"Для {mark}",
        secret=SecretCipher(SecretStr(KEY)).encrypt(SigningSecrets(new_secret())),
        event_types=["page.changed"], created_by="matrix", owner_id=sample_ids["deputy_id"],
    )  # fmt: skip
    sample_ids["endpoint_id"] = await _add(session, endpoint)
    # A paused endpoint with a filter; it receives citizens' texts unmasked.
    unmasked = webhooks.WebhookEndpoint(
        organisation_id=organisation_id, url=f"http://127.0.0.1:9/unmasked-{mark}", description=f"Для {mark}",
        secret=SecretCipher(SecretStr(KEY)).encrypt(SigningSecrets(new_secret())), event_types=["page.changed"],
        created_by="matrix", personal_data=True, consent_by=new_id(), consent_at=THEN, paused=True,
        municipalities=["81701000"],
    )  # fmt: skip
    sample_ids["unmasked_endpoint_id"] = await _add(session, unmasked)
    # An unverified endpoint that requests unmasked texts, without consent.
    unverified = webhooks.WebhookEndpoint(
        organisation_id=organisation_id, url=f"http://127.0.0.1:9/new-{mark}", description=f"Для {mark}",
        secret=SecretCipher(SecretStr(KEY)).encrypt(SigningSecrets(new_secret())), event_types=["page.changed"],
        created_by="matrix", owner_id=sample_ids["deputy_id"], verified_at=None, personal_data=True,
    )  # fmt: skip
    sample_ids["unverified_endpoint_id"] = await _add(session, unverified)
    partner = appeals_partners.Partner(
        organisation_id=organisation_id, name=f"Портал {mark}", source=f"portal-{mark}",
        secret=SecretCipher(SecretStr(KEY)).encrypt(SigningSecrets(new_secret())), created_by="matrix",
        owner_id=sample_ids["deputy_id"],
    )  # fmt: skip
    sample_ids["partner_id"] = await _add(session, partner)
    delivery = webhooks.WebhookDelivery(
        endpoint_id=endpoint.id, event_id=event_id, event_type="appeal.opened", organisation_id=organisation_id,
        payload={"data": {"of": mark}}, status="delivered", next_attempt_at=THEN,
        last_error=f"Once it failed: {mark}",
    )  # fmt: skip
    sample_ids["delivery_id"] = await _add(session, delivery)


async def _notices(session: AsyncSession, sample_ids: dict[str, Any]) -> None:
    """Insert a suppressed notice for the person."""
    organisation_id = sample_ids["organisation_id"]
    notice = notices.Notice(
        event_id=new_id(), event_type="appeal.assigned", kind="assignment", person_id=sample_ids["person_id"],
        organisation_id=organisation_id, appeal_id=sample_ids["appeal_id"], appeal_number=1,
        appeal_organisation_id=organisation_id, details={}, status="suppressed", reason="no_address", send_at=THEN,
        occurred_at=THEN,
    )  # fmt: skip
    sample_ids["notice_id"] = await _add(session, notice)
    sample_ids["network"] = "vk"


async def _assignees(session: AsyncSession, sample_ids: dict[str, Any]) -> None:
    """Assign the appeal to the person, by a rule of the organisation; the person is absent for a while."""
    appeal = await session.get_one(appeals.Appeal, sample_ids["appeal_id"])
    appeal.assignee_id = sample_ids["person_id"]
    review = await session.get_one(appeals_classification.Review, sample_ids["message_id"])
    review.reviewed_by = str(sample_ids["person_id"])
    rule = appeals_work.AssigneeRule(
        organisation_id=sample_ids["organisation_id"], person_ids=[sample_ids["person_id"]]
    )
    sample_ids["assignee_rule_id"] = await _add(session, rule)
    absence = appeals_work.Absence(
        person_id=sample_ids["person_id"],
        starts_on=date(2099, 1, 1),
        ends_on=date(2099, 1, 9),
        created_by="matrix",
    )
    sample_ids["absence_id"] = await _add(session, absence)
    await _bulk_operation(session, sample_ids)


async def _bulk_operation(session: AsyncSession, sample_ids: dict[str, Any]) -> None:
    """Insert a completed bulk operation of the organisation, which assigned its appeal to the person."""
    operation = appeals_bulk.BulkOperation(
        action="assign", parameters={"assignee_id": str(sample_ids["person_id"])}, author="matrix",
        organisation_id=sample_ids["organisation_id"], include_subordinates=False, total=1, created_at=THEN,
        completed_at=THEN + timedelta(seconds=1),
    )  # fmt: skip
    # Only its author may see an export. For callers of the matrix, an unknown id gives the same 404.
    sample_ids["export_id"] = new_id()
    operation_id = sample_ids["bulk_operation_id"] = await _add(session, operation)
    row = appeals_bulk.BulkOperationRow(
        operation_id=operation_id, appeal_id=sample_ids["appeal_id"], number=sample_ids["number"], outcome="done",
        former={"status": "in_progress", "organisation_id": None, "assignee_id": None, "transfers": 0}, version=2,
        changed_at=THEN,
    )  # fmt: skip
    await _add(session, row)


async def _phone_appeal(session: AsyncSession, sample_ids: dict[str, Any], mark: str) -> None:
    """Insert an older appeal of the organisation that was entered from a telephone call."""
    earlier = THEN - timedelta(days=20)
    appeal = appeals.Appeal(
        status="assigned", organisation_id=sample_ids["organisation_id"], source="phone", text=f"Звонок: {mark}",
        written_at=earlier, opened_at=earlier, assigned_at=earlier,
        route={"reason": "", "rule_id": None, "confidence": 1.0},
    )  # fmt: skip
    sample_ids["phone_appeal_id"] = await _add(session, appeal)
    was = FormerAppeal.model_validate(appeal).model_copy(update={"status": "triage", "organisation_id": None})
    # The matrix may run longer than a decision can be undone, so this one is dated a day ahead.
    decision = appeals_work.UndoableDecision(
        appeal_id=appeal.id, version=appeal.version, decided_by=str(uuid5(NAMESPACE, "moderator")),
        decided_at=clock.now() + timedelta(days=1), former=was.model_dump(mode="json"), assignment_ids=[],
    )  # fmt: skip
    session.add(decision)
    submission = appeals.AppealSubmission(
        appeal_id=appeal.id, source="phone", external_id="А-1", organisation_id=sample_ids["organisation_id"],
        fingerprint="", extra={"of": mark},
    )  # fmt: skip
    await _add(session, submission)


async def _notes(session: AsyncSession, sample_ids: dict[str, Any], mark: str) -> None:
    """Insert notes and a view of the matrix's moderator, a watcher of the appeal, and tags."""
    notes = [
        appeals_work.AppealNote(
            appeal_id=sample_ids["appeal_id"], organisation_id=sample_ids["organisation_id"],
            author=str(uuid5(NAMESPACE, "moderator")), visibility="organisation",
            text=f"Позвонить {which}: {mark}", mentions=[],
        )
        for which in (1, 2)
    ]  # fmt: skip
    sample_ids["note_id"] = await _add(session, *notes)
    sample_ids["tag"] = f"метка {mark}"
    tags = [
        appeals_lists.AppealTag(
            appeal_id=sample_ids["appeal_id"],
            organisation_id=sample_ids["organisation_id"],
            tag=tag,
            added_by="matrix",
        )
        for tag in (sample_ids["tag"], f"вторая {mark}")
    ]
    await _add(session, *tags)
    view = appeals_lists.SavedView(
        owner=str(uuid5(NAMESPACE, "moderator")),
        organisation_id=sample_ids["organisation_id"],
        is_shared=True,
        name=f"Мой список {mark}",
        sort_key=f"мой список {mark}",
        filter={},
        sort="due",
    )
    sample_ids["view_id"] = await _add(session, view)
    watcher = appeals_work.AppealWatcher(
        appeal_id=sample_ids["appeal_id"], person_id=sample_ids["person_id"], added_by="matrix"
    )
    await _add(session, watcher)


async def _grading(session: AsyncSession, sample_ids: dict[str, Any], mark: str) -> None:
    """Insert two graded answers, one of them with an objection, one answer claimed by the matrix's moderator, and
    one that nobody has claimed.
    """
    criteria = ("question", "action_or_date", "proof", "contact", "politeness", "plain_language", "own_words")
    scores = dict.fromkeys(criteria, 1)
    names = {
        "reply_id": "graded_item_id",
        "published_reply_id": "objected_item_id",
        "on_approval_reply_id": "claimed_item_id",
        "draft_reply_id": "open_item_id",
    }
    for position, (reply, name) in enumerate(names.items()):
        graded = position < 2
        item = metrics_grading.GradingItem(
            sample_id=sample_ids["grading_sample_id"], position=position, reply_id=sample_ids[reply],
            organisation_id=sample_ids["organisation_id"], kind="final", published_at=THEN, edits=0,
            stratum_size=4, graders_wanted=1, scores=scores if graded else None,
            graded_at=clock.now() if graded else None,
        )  # fmt: skip
        sample_ids[name] = await _add(session, item)
        if name == "open_item_id":
            continue
        grade = metrics_grading.GradingGrade(
            item_id=item.id, number=1, grader="matrix" if graded else str(uuid5(NAMESPACE, "moderator")),
            claimed_until=datetime(2100, 1, 1, tzinfo=UTC), scores=scores if graded else None,
            comment=f"Без даты: {mark}" if graded else None,
        )  # fmt: skip
        await _add(session, grade)
    objection = metrics_grading.GradingObjection(
        item_id=sample_ids["objected_item_id"], organisation_id=sample_ids["organisation_id"], status="open",
        ground=f"Дата есть: {mark}", former_scores=scores, requested_by="matrix",
    )  # fmt: skip
    sample_ids["objection_id"] = await _add(session, objection)


async def _people(session: AsyncSession, sample_ids: dict[str, Any], mark: str) -> None:
    organisation_id = sample_ids["organisation_id"]
    person = registry.Person(
        username=sample_ids["person_name"],
        full_name=f"Кто-то {mark}",
        role="executor",
        organisation_id=organisation_id,
    )
    sample_ids["person_id"] = await _add(session, person)
    deputy = registry.Person(
        id=sample_ids["deputy_id"], username=f"deputy-{mark}", full_name=f"Заместитель {mark}", role="manager",
        organisation_id=organisation_id,
    )  # fmt: skip
    await _add(session, deputy)
    await _assignees(session, sample_ids)
    await _notices(session, sample_ids)
    await _notes(session, sample_ids, mark)
    await _phone_appeal(session, sample_ids, mark)
    sample_ids |= {"session_id": new_id(), "other_session_id": new_id()}
    await _add(
        session,
        *(
            registry.RefreshToken(
                digest=f"refresh-{name}-{mark}", session_id=sample_ids[name], person_id=person.id,
                signed_in_at=THEN,
                expires_at=datetime(2100, 1, 1, tzinfo=UTC), user_agent=f"Browser of {mark}",
            )
            for name in ("session_id", "other_session_id")
        ),
    )  # fmt: skip
    client = registry.ApiClient(
        name=f"Система {mark}", role="executor", organisation_id=organisation_id, scopes=["registry:read"]
    )
    sample_ids["client_id"] = await _add(session, client)
    secret = registry.ClientSecret(client_id=client.id, digest=f"secret-{mark}")
    sample_ids["secret_id"] = await _add(session, secret)
