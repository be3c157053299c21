"""The replies published in a period, with the results of their text checks."""

from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    and_,
    case,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

from services.metrics.report_populations.appeal_columns import COUNTED, appeal_dimensions, of_appeals
from services.metrics.report_populations.reported_time import END, START, in_period
from shared.tables.appeals import Appeal
from shared.tables.appeals_replies import Reply, ReplyVersion

# An answer is canned if the organisation gave the same text to another appeal within this time.
CANNED_WITHIN = timedelta(weeks=4)
CANNED_MIN_LENGTH = 40
# Hints of the text checks: the reply names no action or no date, gives no contact, or misses the question.
NO_SUBSTANCE = ("no_action_or_date", "no_date")
NO_CONTACT = ("no_contact", "redirect_without_contact")
NOT_TO_THE_POINT = ("off_topic", "when_unanswered", "why_unanswered", "where_unanswered")


@cache
def answers() -> Select[Any]:
    """Return the SQL query for the replies published in the period, with the results of their text checks.

    `checked`: the text was checked when it was submitted in this system. A reply to all appeals of an incident is
    never canned.
    """
    checked = (
        select(ReplyVersion.hints)
        .where(ReplyVersion.reply_id == Reply.id, ReplyVersion.hints.is_not(None))
        .order_by(ReplyVersion.number.desc())
        .limit(1)
        .lateral("checked")
    )

    repeated = _repeated_texts()
    comparable = and_(Reply.incident_reply_id.is_(None), func.length(Reply.text) >= CANNED_MIN_LENGTH)

    def has(codes: tuple[str, ...]) -> ColumnElement[bool]:
        found = (checked.c.hints.op("@>")(literal([{"code": code}], JSONB)) for code in codes)
        return func.coalesce(or_(*found), false())

    return (
        of_appeals(
            select(
                *appeal_dimensions(Reply.id.expression, Appeal.organisation_id.expression),
                Reply.published_at.label("at"),
                Reply.kind.label("kind"),
                Reply.origin.label("origin"),
                Reply.outcome.label("outcome"),
                checked.c.hints.is_not(None).label("checked"),
                has(NO_SUBSTANCE).label("without_substance"),
                has(NO_CONTACT).label("without_contact"),
                has(NOT_TO_THE_POINT).label("beside_the_point"),
                (func.cardinality(Reply.attachment_ids) > 0).label("with_proof"),
                comparable.label("comparable"),
                repeated.c.digest.is_not(None).label("canned"),
            )
        )
        .join(Reply, Reply.appeal_id == Appeal.id)
        .outerjoin(checked, true())
        .outerjoin(
            repeated,
            and_(
                repeated.c.digest == _text_digest(Reply),
                repeated.c.organisation_id.is_not_distinct_from(Appeal.organisation_id),
                comparable,
            ),
        )
        .where(
            in_period(Reply.published_at),
            Reply.status == "published",
            COUNTED,
        )
    )


def _text_digest(reply: Any) -> ColumnElement[Any]:
    # Literals: with parameters, Postgres would not recognise two of these expressions as equal.
    one_space = func.regexp_replace(
        reply.text, literal_column(r"'\s+'"), literal_column("' '"), literal_column("'g'")
    )
    # Checking that there is nothing to replace takes half the time of replacing.
    has_others = reply.text.op("~")(literal_column(r"'\s\s|[^\S ]'"))
    return func.md5(func.lower(case((has_others, one_space), else_=reply.text)))


def _repeated_texts() -> CTE:
    """Return the CTE of texts that an organisation gave to several appeals in the period or shortly before."""
    texts = (
        select(Reply.appeal_id, _text_digest(Reply).label("digest"))
        .where(
            Reply.published_at >= START - CANNED_WITHIN,
            Reply.published_at < END,
            Reply.status == "published",
            Reply.incident_reply_id.is_(None),
            func.length(Reply.text) >= CANNED_MIN_LENGTH,
        )
        .cte("texts")
        .prefix_with("MATERIALIZED")
    )
    appeals = func.count(texts.c.appeal_id.distinct())
    # Few texts are repeated: only their appeals are read.
    repeated = select(texts.c.digest).group_by(texts.c.digest).having(appeals > 1)
    appeal = aliased(Appeal)
    return (
        select(appeal.organisation_id, texts.c.digest)
        .join_from(texts, appeal, appeal.id == texts.c.appeal_id)
        .where(texts.c.digest.in_(repeated))
        .group_by(appeal.organisation_id, texts.c.digest)
        .having(appeals > 1)
        .cte("repeated_texts")
        .prefix_with("MATERIALIZED")
    )
