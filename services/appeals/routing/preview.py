"""The test bench of a rule set: where a message would go, and which rules fit it, before anybody writes one."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification.classifier_pool import judging
from services.appeals.classification.topics import require_topic
from services.appeals.classification.types import Context, Judgement, Kind
from services.appeals.routing.context import Reference, facts_of
from services.appeals.routing.engine import Facts, Route, Rule
from shared.http.problems import Invalid
from shared.tables.appeals import RuleSet
from shared.tables.registry import Municipality, Page


@dataclass(frozen=True)
class Trial:
    """A message as it might come: its words, the post above, and what is to stand over what they tell."""

    text: str | None = None
    kind: Kind = "comment"
    post_context: str | None = None
    topic_id: UUID | None = None
    municipality: str | None = None
    settlement: str | None = None
    page_id: UUID | None = None
    urgency: str | None = None


@dataclass(frozen=True)
class Result:
    """Where it would go and why, what the rules looked at, and the rules that fit, the most specific first."""

    route: Route
    facts: Facts
    fitting: list[Rule]
    judgement: Judgement | None
    reference: Reference
    topic_was_read: bool


async def trial(session: AsyncSession, rule_set: RuleSet, wanted: Trial) -> Result:
    """Understand the words as those of a message are understood, and route by the set.

    Raises `Invalid` naming what is not known.
    """
    await _check(session, wanted)
    reference = await Reference.load(session, {wanted.page_id} if wanted.page_id else (), rule_set=rule_set)
    owner = reference.owners.get(wanted.page_id) if wanted.page_id else None
    read = None
    if wanted.text is not None:
        places = reference.router.names.municipalities
        around = Context(
            kind=wanted.kind,
            post_text=wanted.post_context,
            page_owner=owner.organisation if owner else None,
            page_municipality=places.get(owner.municipality or "") if owner else None,
        )
        read = (await judging().judge_now((wanted.text, around))).judgement
    facts = _facts(wanted, read, reference)
    likely = read.top if read is not None and wanted.topic_id is None else ()
    known = ((reference.topic_ids.get(code), chance) for code, chance in likely)
    route = reference.router.route(
        facts,
        candidates=[(topic_id, chance) for topic_id, chance in known if topic_id is not None],
        why=read.why if read else None,
    )
    fitting = list(reference.router.book.fitting(facts))
    was_read = facts.topic_id is not None and wanted.topic_id is None
    return Result(route, facts, fitting, read, reference, was_read)


async def _check(session: AsyncSession, wanted: Trial) -> None:
    if wanted.post_context is not None and wanted.text is None:
        raise Invalid.field("/text", "Give the words that stand under the post")
    await require_topic(session, wanted.topic_id)
    if wanted.municipality is not None and await session.get(Municipality, wanted.municipality) is None:
        raise Invalid.field("/municipality", "No such municipality")
    if wanted.settlement is not None and wanted.municipality is None:
        raise Invalid.field("/municipality", "Name the municipality of the settlement too")
    if wanted.page_id is not None and await session.get(Page, wanted.page_id) is None:
        raise Invalid.field("/page_id", "No such page")


def _facts(wanted: Trial, read: Judgement | None, reference: Reference) -> Facts:
    named = wanted.topic_id is not None or read is None
    placed = wanted.municipality is not None or read is None
    return facts_of(
        reference.owners.get(wanted.page_id) if wanted.page_id else None,
        topic_id=wanted.topic_id or (reference.topic_id(read) if read else None),
        municipality=wanted.municipality or (reference.oktmo(read) if read else None),
        settlement=wanted.settlement if placed else (read.settlement if read else None),
        urgency=wanted.urgency or (read.urgency if read else "normal"),
        confidence=None if named else (read.topic_confidence if read else None),
    )
