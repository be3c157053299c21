"""Appeals in triage: the stored route, and the reason why a person must decide whether an answer is due."""

from typing import cast, get_args

from services.appeals.classification.types import ClassificationResult
from services.appeals.lifecycle.route_snapshot import UnclearNeedReason, returned_by_organisation, route_of
from services.appeals.routing.engine import Route
from shared.tables.appeals import Appeal


def keep_in_triage(appeal: Appeal, route: Route) -> None:
    """Store the route of an appeal in triage; the organisation that returned the appeal is not suggested again."""
    triage = route.to_triage_snapshot(excluding=returned_by_organisation(appeal))
    appeal.route = route_of(appeal).replaced_by(triage).dump()


def unclear_need_reason(result: ClassificationResult) -> UnclearNeedReason | None:
    """Return the reason why a person must decide whether an answer is due; None if the result is clear."""
    if result.needs_answer != "unsure":
        return None
    if result.language == "bxr":
        return "buryat_text"
    return "other_region" if result.other_region else "need_unclear"


def stored_unclear_need_reason(appeal: Appeal) -> UnclearNeedReason:
    """Return the stored reason why the need for an answer was unclear when the message was routed; `need_unclear`
    if none is stored.
    """
    stored = route_of(appeal).triage_reason
    return cast(UnclearNeedReason, stored) if stored in get_args(UnclearNeedReason) else "need_unclear"
