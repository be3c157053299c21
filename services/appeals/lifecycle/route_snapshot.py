"""The stored route of an appeal: why it is where it is, and why it waits for a moderator."""

from typing import Literal
from uuid import UUID

from typing_extensions import TypeAliasType

from shared.tables.appeals import Appeal

# Why the rules name no organisation; why it is unclear that an answer is due; why an appeal waits for a moderator.
UnroutedReason = Literal["topic_unsure", "by_rule", "unruled", "no_page", "closed"]
UnclearNeedReason = Literal["need_unclear", "buryat", "other_region"]
TriageReason = TypeAliasType("TriageReason", Literal[UnclearNeedReason, UnroutedReason, "returned"])


def returned_by_organisation(appeal: Appeal) -> UUID | None:
    """Return the organisation that returned the appeal, if it now waits for a moderator because of that."""
    returned_by = appeal.route.get("returned_by")
    return UUID(returned_by) if returned_by and appeal.organisation_id is None else None


def suggested_organisation(appeal: Appeal) -> UUID | None:
    suggested = appeal.route.get("suggested_organisation_id")
    return UUID(suggested) if suggested else None
