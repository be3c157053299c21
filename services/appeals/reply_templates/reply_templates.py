"""Templates of replies: the centre's for all, and each organisation's own; ranked for an appeal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Row, Select, case, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.classification import topics
from services.appeals.classification.topics import TopicGroup, require_topic
from services.appeals.reply_templates.template_fields import fill_fields, template_errors
from shared import clock
from shared.api.pagination import Paging
from shared.api.preconditions import check_version
from shared.api.query_parameters import ListFilter
from shared.auth.callers import Caller
from shared.database.sessions import WriteSession
from shared.http.problems import FieldError, Forbidden, Invalid, NotFound
from shared.ids import new_id
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_replies import ReplyTemplate
from shared.tables.registry import Organisation

# Maximum number of templates that are offered for an appeal, best first.
_OFFERED = 50

# A template, the names of its organisation and topic, and the id and name of its topic group.
ReplyTemplateRow = Row[ReplyTemplate, str | None, str | None, UUID | None, str | None]


class ReplyTemplateFilter(ListFilter):
    """Filter of reply templates."""

    organisation_id: UUID | None = Field(default=None, description="Only those of this organisation")
    topic_id: UUID | None = Field(default=None, description="A topic, or a group with all its topics")


@dataclass(frozen=True)
class TemplateText:
    """The content of a template, as submitted."""

    organisation_id: UUID | None
    topic_id: UUID | None
    name: str
    kind: str
    text: str


@dataclass(frozen=True)
class FilledTemplate:
    """A template filled with the values of an appeal; `missing` are the fields that a person must fill in."""

    template: ReplyTemplate
    text: str
    missing: tuple[str, ...]


def _rows() -> Select[ReplyTemplate, str | None, str | None, UUID | None, str | None]:
    return (
        select(ReplyTemplate, Organisation.name, Topic.name, Topic.group_id, TopicGroup.name)
        .outerjoin(Organisation, Organisation.id == ReplyTemplate.organisation_id)
        .outerjoin(Topic, Topic.id == ReplyTemplate.topic_id)
        .outerjoin(TopicGroup, TopicGroup.id == Topic.group_id)
    )


def _visible(caller: Caller) -> ColumnElement[bool]:
    """Return the SQL condition of the templates that the caller may use: the centre's and those in scope."""
    if caller.is_region_wide:
        return true()
    return or_(ReplyTemplate.organisation_id.is_(None), caller.scope(ReplyTemplate.organisation_id))


async def list_templates(
    session: AsyncSession, caller: Caller, filters: ReplyTemplateFilter, paging: Paging
) -> Sequence[ReplyTemplateRow]:
    """Return the templates that the caller may use, newest first: one page plus one row."""
    query = (
        _rows()
        .where(_visible(caller))
        .order_by(ReplyTemplate.created_at.desc(), ReplyTemplate.id.desc())
        .limit(paging.limit + 1)
    )
    if filters.organisation_id is not None:
        query = query.where(ReplyTemplate.organisation_id == filters.organisation_id)
    if filters.topic_id is not None:
        query = query.where(topics.in_topic(ReplyTemplate.topic_id, filters.topic_id))
    after = paging.after((ReplyTemplate.created_at, ReplyTemplate.id), (datetime.fromisoformat, UUID))
    return (await session.execute(query if after is None else query.where(after))).all()


async def get_template(session: AsyncSession, caller: Caller, template_id: UUID) -> ReplyTemplateRow:
    """Return a template. Raises `NotFound` if there is none that the caller may use."""
    row = (await session.execute(_rows().where(ReplyTemplate.id == template_id, _visible(caller)))).one_or_none()
    if row is None:
        raise NotFound("No such reply template")
    return row


async def create_template(session: WriteSession, caller: Caller, given: TemplateText) -> ReplyTemplate:
    """Create a template.

    Raises `Invalid` naming an unknown field, topic or organisation, and `Forbidden` for a template of the centre
    by staff of an organisation.
    """
    await _check(session, caller, given)
    now = clock.now()
    template = ReplyTemplate(
        id=new_id(), organisation_id=given.organisation_id, topic_id=given.topic_id, name=given.name,
        kind=given.kind, text=given.text, created_by=caller.actor, created_at=now, updated_at=now,
    )  # fmt: skip
    session.add(template)
    await session.flush()
    return template


async def change_template(
    session: WriteSession, caller: Caller, template_id: UUID, version: int | None, given: TemplateText
) -> ReplyTemplate:
    """Replace a template. Raises the errors of `create_template`, and `NotFound` and `PreconditionFailed`."""
    template = await _lock_own(session, caller, template_id)
    check_version(template.version, version)
    await _check(session, caller, given)
    template.organisation_id, template.topic_id = given.organisation_id, given.topic_id
    template.name, template.kind, template.text = given.name, given.kind, given.text
    template.updated_at = clock.now()
    await session.flush()
    return template


async def delete_template(session: WriteSession, caller: Caller, template_id: UUID, version: int | None) -> None:
    """Delete a template.

    Raises `NotFound` for a template that the caller may not use, `Forbidden` for a template of the centre if the
    caller is staff of an organisation, and `PreconditionFailed` for a stale version.
    """
    template = await _lock_own(session, caller, template_id)
    check_version(template.version, version)
    await session.delete(template)


async def _lock_own(session: WriteSession, caller: Caller, template_id: UUID) -> ReplyTemplate:
    """Lock and return a template that the caller may change. Raises `NotFound`, and `Forbidden` for a template of
    the centre if the caller is staff of an organisation.
    """
    template = await session.scalar(
        select(ReplyTemplate).where(ReplyTemplate.id == template_id, _visible(caller)).with_for_update()
    )
    if template is None:
        raise NotFound("No such reply template")
    if template.organisation_id is None and not caller.is_region_wide:
        raise Forbidden("Only moderators may change templates of the centre")
    return template


async def _check(session: AsyncSession, caller: Caller, given: TemplateText) -> None:
    if errors := template_errors(given.text):
        raise Invalid("Invalid: /text", errors=[FieldError(pointer="/text", detail=error) for error in errors])
    await require_topic(session, given.topic_id)
    if given.organisation_id is None:
        if not caller.is_region_wide:
            raise Forbidden(
                "Only moderators may create or change templates of the centre: choose your organisation"
            )
        return
    known = await session.scalar(
        select(Organisation.id).where(Organisation.id == given.organisation_id, caller.scope(Organisation.id))
    )
    if known is None:
        raise Invalid.field("/organisation_id", "No such organisation in your scope")


async def templates_for(session: AsyncSession, appeal: Appeal) -> list[FilledTemplate]:
    """Return the templates for an appeal, filled with its values, best first.

    Templates of its topic come first, then of the topic's group, then of any topic; among equals the
    organisation's own before the centre's. Templates of other topics are left out.
    """
    group_id = await session.scalar(select(Topic.group_id).where(Topic.id == appeal.topic_id))
    own = ReplyTemplate.organisation_id == appeal.organisation_id
    exact, of_group = ReplyTemplate.topic_id == appeal.topic_id, ReplyTemplate.topic_id == group_id
    found = await session.scalars(
        select(ReplyTemplate)
        .where(
            or_(own, ReplyTemplate.organisation_id.is_(None)),
            or_(exact, of_group, ReplyTemplate.topic_id.is_(None)),
        )
        .order_by(
            case((exact, 0), (of_group, 1), else_=2),
            case((own, 0), else_=1),
            ReplyTemplate.created_at.desc(),
            ReplyTemplate.id.desc(),
        )
        .limit(_OFFERED)
    )
    values = await _values(session, appeal)
    return [FilledTemplate(template, *fill_fields(template.text, values)) for template in found]


async def _values(session: AsyncSession, appeal: Appeal) -> dict[str, str | None]:
    organisation = await session.scalar(select(Organisation.name).where(Organisation.id == appeal.organisation_id))
    topic = await session.scalar(select(Topic.name).where(Topic.id == appeal.topic_id))
    due = appeal.resolution_due_at
    return {
        "номер": str(appeal.number),
        "организация": organisation,
        "тема": topic,
        "срок": due.astimezone(clock.REGION_TIME_ZONE).strftime("%d.%m.%Y") if due is not None else None,
    }
