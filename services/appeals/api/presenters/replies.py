"""Presenters of replies, drafts, hints, templates and approval rules: rows to response models."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.api.presenters.topics import topic_ref
from services.appeals.assignees.directory import ActorNames
from services.appeals.classification.topics import TopicName
from services.appeals.replies.approval_rules import ApprovalRuleRow
from services.appeals.replies.checks.hints import Hint
from services.appeals.replies.reply_attachments import attachments_of
from services.appeals.replies.reply_changes import changes_of
from services.appeals.reply_templates.reply_templates import ReplyTemplateRow
from services.appeals.schemas.common import named_ref
from services.appeals.schemas.replies import replies
from services.appeals.schemas.replies.approval_rules import ApprovalRuleOut
from services.appeals.schemas.replies.attachments import AttachmentOut
from services.appeals.schemas.replies.reply_templates import ReplyTemplateOut
from shared.masking import mask
from shared.tables.appeals_replies import Reply, ReplyChange, ReplyLease, ReplyVersion
from shared.tables.attachments import Attachment

_APPROVAL_ACTORS = ("requested_by", "decided_by")


async def replies_out(session: AsyncSession, rows: Sequence[Reply]) -> list[replies.ReplyOut]:
    """Return replies as the API shows them, with the names of their authors."""
    changes = await changes_of(session, rows)
    names = await ActorNames.load(session, people_in(rows, changes))
    attached = await attachments_of(session, rows)
    return [named_reply(row, names, attached, changes) for row in rows]


async def reply_out(session: AsyncSession, row: Reply) -> replies.ReplyOut:
    """Return a reply as the API shows it."""
    (shown,) = await replies_out(session, [row])
    return shown


def people_in(rows: Sequence[Reply], changes: Mapping[UUID, Sequence[ReplyChange]]) -> set[str]:
    """Return the actors who wrote these replies, requested or decided their approval, or requested the changes."""
    people = {row.author for row in rows} | {change.requested_by for found in changes.values() for change in found}
    for approval in [row.approval for row in rows if row.approval is not None]:
        people |= {approval[name] for name in _APPROVAL_ACTORS if approval[name] is not None}
    return people


def named_reply(
    row: Reply,
    names: ActorNames,
    attached: Mapping[UUID, Attachment],
    changes: Mapping[UUID, Sequence[ReplyChange]],
) -> replies.ReplyOut:
    """Return a reply with its photos and changes; people's names come from `names`."""
    loaded = {"author", "approval", "attachments", "changes"}
    same = {name: getattr(row, name) for name in replies.ReplyOut.model_fields if name not in loaded}
    photos = [attachment_out(attached[found]) for found in row.attachment_ids if found in attached]
    return replies.ReplyOut(
        **same,
        author=names.ref(row.author),
        approval=_approval_out(row.approval, names) if row.approval is not None else None,
        attachments=photos,
        changes=[_change_out(change, names) for change in changes.get(row.id, ())],
    )


def _approval_out(approval: Mapping[str, Any], names: ActorNames) -> replies.ReplyApproval:
    actors = {
        name: names.ref(found) if (found := approval[name]) is not None else None for name in _APPROVAL_ACTORS
    }
    return replies.ReplyApproval(**{**approval, **actors})


def _change_out(change: ReplyChange, names: ActorNames) -> replies.ReplyChangeOut:
    fields = replies.ReplyChangeOut.model_fields
    same = {name: getattr(change, name) for name in fields if name not in {"requested_by", "progress"}}
    progress = None
    if (found := change.progress) is not None:
        shown = replies.ReplyChangeProgress.model_fields
        progress = replies.ReplyChangeProgress(**{name: getattr(found, name) for name in shown})
    return replies.ReplyChangeOut(**same, requested_by=names.ref(change.requested_by), progress=progress)


def masked_reply(shown: replies.ReplyOut) -> replies.ReplyOut:
    """Return a reply with the personal data masked in its text and in the names of its photos."""
    photos = [photo.model_copy(update={"name": mask(photo.name)}) for photo in shown.attachments]
    return shown.model_copy(update={"text": mask(shown.text), "attachments": photos})


def attachment_out(row: Attachment) -> AttachmentOut:
    """Return an attachment as the API shows it."""
    return AttachmentOut(**{name: getattr(row, name) for name in AttachmentOut.model_fields})


def lease_out(lease: ReplyLease) -> replies.ReplyLeaseOut:
    """Return an edit lease as the API shows it."""
    return replies.ReplyLeaseOut(**{name: getattr(lease, name) for name in replies.ReplyLeaseOut.model_fields})


async def versions_out(session: AsyncSession, rows: Sequence[ReplyVersion]) -> list[replies.ReplyVersionOut]:
    """Return versions of a reply as the API shows them, with the names of their authors."""
    names = await ActorNames.load(session, {row.author for row in rows})
    same = [name for name in replies.ReplyVersionOut.model_fields if name != "author"]
    return [
        replies.ReplyVersionOut(**{name: getattr(row, name) for name in same}, author=names.ref(row.author))
        for row in rows
    ]


def hints_out(hints: Sequence[Hint]) -> replies.ReplyHints:
    """Return the results of the checks as the API shows them."""
    return replies.ReplyHints(
        publishable=all(hint.severity != "blocking" for hint in hints),
        hints=[
            replies.ReplyHint(**{name: getattr(hint, name) for name in replies.ReplyHint.model_fields})
            for hint in hints
        ],
    )


def template_out(row: ReplyTemplateRow) -> ReplyTemplateOut:
    """Return a reply template as the API shows it."""
    template, organisation, topic, group_id, group = row
    same = ("id", "version", "name", "kind", "text", "created_by", "created_at", "updated_at")
    return ReplyTemplateOut(
        **{name: getattr(template, name) for name in same},
        organisation=named_ref(template.organisation_id, organisation),
        topic=topic_ref(TopicName(template.topic_id, topic or "", group_id, group)) if template.topic_id else None,
    )


def approval_rule_out(row: ApprovalRuleRow) -> ApprovalRuleOut:
    """Return an approval rule as the API shows it."""
    rule, topic, group_id, group, organisation = row
    same = ("id", "urgency", "organisation_kind", "created_by", "created_at")
    return ApprovalRuleOut(
        **{name: getattr(rule, name) for name in same},
        organisation=named_ref(rule.organisation_id, organisation),
        topic=topic_ref(TopicName(rule.topic_id, topic or "", group_id, group)) if rule.topic_id else None,
    )
