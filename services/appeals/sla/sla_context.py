"""The data that the clocks of appeals need: policies, topic groups and calendars, loaded once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.appeals.sla.calendar_lookup import CalendarLookup
from services.appeals.sla.opened_clocks import OpenedClocks
from services.appeals.sla.policy_selection import (
    DEFAULT_LEGAL_REGIME,
    MANUAL_CHANNEL,
    PolicyFacts,
    policy_in_effect,
)
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Topic
from shared.tables.appeals_sla import SlaPolicy


@dataclass(frozen=True)
class SlaContext:
    """All versions of the policies, the group of each topic, and the calendars of given organisations and clocks.
    `opened` caches the clocks of new appeals by policy, calendar and start, which messages of a batch often share.
    """

    policies: Sequence[SlaPolicy]
    topic_groups: Mapping[UUID, UUID]
    calendars: CalendarLookup
    opened: dict[tuple[UUID, UUID | None, datetime], OpenedClocks] = field(default_factory=dict)
    _chosen: dict[tuple[PolicyFacts, datetime], SlaPolicy] = field(default_factory=dict)

    @staticmethod
    async def load(
        session: AsyncSession, organisations: Collection[UUID | None], *, selects_policies: bool = True
    ) -> "SlaContext":
        """Load the context for these organisations and for the clocks that the session has loaded.

        Without `selects_policies` topic groups are not loaded: then no policy may be selected.
        """
        groups: dict[UUID, UUID] = {}
        if selects_policies:
            topics = await session.execute(select(Topic.id, Topic.group_id))
            groups = {row.id: row.group_id or row.id for row in topics}
        return SlaContext(
            policies=await load_policies(session),
            topic_groups=groups,
            calendars=await CalendarLookup.load(session, {found for found in organisations if found is not None}),
        )

    def policy_of(self, appeal: Appeal, moment: datetime) -> SlaPolicy:
        """Return the policy for the current state of the appeal that is in effect at the moment of the message."""
        facts = PolicyFacts(
            urgency=appeal.urgency,
            topic_id=appeal.topic_id,
            topic_group_id=self.topic_groups.get(appeal.topic_id) if appeal.topic_id else None,
            organisation_kind=self.calendars.kind(appeal.organisation_id),
            channel=appeal.source or appeal.network or MANUAL_CHANNEL,
            legal_regime=appeal.legal_regime or DEFAULT_LEGAL_REGIME,
        )
        key = (facts, moment)
        if key not in self._chosen:
            self._chosen[key] = policy_in_effect(self.policies, facts, moment)
        return self._chosen[key]

    def policy(self, policy_id: UUID | None) -> SlaPolicy | None:
        """Return a version of a policy by its id."""
        return self._by_id.get(policy_id) if policy_id is not None else None

    @cached_property
    def _by_id(self) -> dict[UUID, SlaPolicy]:
        return {policy.id: policy for policy in self.policies}


async def load_policies(session: AsyncSession) -> Sequence[SlaPolicy]:
    """Return all versions of the SLA policies."""
    return list(await session.scalars(select(SlaPolicy)))
