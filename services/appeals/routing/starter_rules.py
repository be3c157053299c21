"""The starter rule set, active until people create their own set. `reference/starter_rules.csv` has one rule per
line: topic or group (code, and name for the reader), conditions, target and the reason in words. Appeals that no
rule matches go to the moderators.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.routing import repository, rule_sets
from services.appeals.routing.rules import Rule
from services.appeals.routing.validation import RuleSetDraft
from shared.database.sessions import WriteSession
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_routing import RoutingRule, RuleSet
from shared.tabular.reader import package_rows

NOTE = "Начальный набор правил"
DEFAULT_TO = "moderators"
# The author of the rule sets in a new database, and the author of the starter set.
_MIGRATION = "migration"
STARTER_ACTOR = "starter-rules"


def starter_rules(topic_ids: Mapping[str, UUID]) -> list[Rule]:
    """Return the rules of the file; `topic_ids` maps the code of a topic or group to its id."""
    return [
        Rule(
            None,
            row["send_to"],
            topic_id=topic_ids[row["topic"]],
            urgency=row["urgency"] or None,
            page_owner_sphere=row["page_owner_sphere"] or None,
            page_owner_kind=row["page_owner_kind"] or None,
            reason=row["reason"],
        )
        for row in package_rows("services.appeals.routing.reference", "starter_rules.csv")
    ]


async def starter_draft(session: AsyncSession) -> RuleSetDraft:
    """Return the starter rules with the ids of the current taxonomy."""
    topics: Sequence[tuple[str, UUID]] = [
        (code, topic_id)
        for code, topic_id in await session.execute(select(Topic.code, Topic.id).where(Topic.active))
    ]
    return RuleSetDraft(starter_rules(dict(topics)), DEFAULT_TO)


async def install_starter_rules(session: WriteSession, actor: str) -> RuleSet | None:
    """Activate the starter rules and return their set; None if any rule or set, also the starter set, was ever
    created.
    """
    await repository.lock_activation(session)
    made_before = exists().where(RuleSet.created_by != _MIGRATION)
    if await session.scalar(select(made_before | exists(select(RoutingRule.id)))):
        return None
    made = await rule_sets.create_draft(session, await starter_draft(session), NOTE, actor)
    return await rule_sets.activate(session, made.id, None, actor)
