"""The data that a decision about a message needs."""

from dataclasses import dataclass
from uuid import UUID

from services.appeals.classification.types import ClassificationResult
from services.appeals.inbound.locked_appeals import LockedAppeals
from services.appeals.inbound.matter_readings import ClassifiedMessage
from services.appeals.inbound.thread_context import ThreadContext
from services.appeals.lifecycle.route_snapshot import route_of
from services.appeals.moderation import reviews
from services.appeals.moderation.decided_appeals import AppealState
from services.appeals.moderation.decision_undo import BeforeDecision
from services.appeals.routing.context import RoutingContext
from shared.database.sessions import WriteSession
from shared.tables.appeals import Appeal
from shared.tables.appeals_classification import Classification, Review
from shared.tables.ingest import Message


@dataclass(frozen=True)
class DecisionSubject:
    """A message to decide about, with its locked appeal and its classification and review before the decision."""

    message: Message
    thread: ThreadContext
    locked: LockedAppeals
    routing: RoutingContext
    appeal: Appeal | None
    state: AppealState | None
    classification: Classification | None
    review: Review | None
    # A snapshot of the classification, because the decision changes its row.
    classified: reviews.ReviewSnapshot
    # The organisation shown to the person: the assigned or the suggested one.
    organisation_id: UUID | None

    @classmethod
    async def load(
        cls, session: WriteSession, message: Message, organisation_id: UUID | None
    ) -> "DecisionSubject":
        """Load and lock the data of a decision about the message; `organisation_id` is the organisation given in
        the decision.
        """
        thread = await ThreadContext.load(session, [message])
        locked = await LockedAppeals.load(session, [message, *thread.parents.values()])
        organisations = locked.organisation_ids() | ({organisation_id} if organisation_id else set())
        routing = await RoutingContext.load(session, {message.page_id} | locked.page_ids(), organisations)
        appeal = locked.appeals.get(locked.by_message.get(message.id, message.id))
        classification = await session.get(Classification, message.id, populate_existing=True)
        return cls(
            message=message,
            thread=thread,
            locked=locked,
            routing=routing,
            appeal=appeal,
            state=await AppealState.load(session, appeal, message.id) if appeal else None,
            classification=classification,
            review=await session.get(Review, message.id, populate_existing=True),
            classified=reviews.classification_snapshot(classification) if classification else {},
            organisation_id=(appeal.organisation_id or route_of(appeal).suggested_organisation_id)
            if appeal
            else None,
        )

    def before(self) -> BeforeDecision | None:
        """Return the state that an undo of the decision restores; None without an appeal or a classification."""
        if self.appeal is None or self.classification is None:
            return None
        return BeforeDecision.of(self.appeal, self.classification, self.review)

    def classified_message(self, result: ClassificationResult, actor: str, *, by_rules: bool) -> ClassifiedMessage:
        """Return the message with its decided classification; `by_rules`: the rules assign the appeal."""
        return ClassifiedMessage(
            self.message,
            result,
            actor,
            actor,
            assign_by_rules=by_rules,
            context=self.thread.message_context(self.message),
            parent=self.thread.parent_of(self.message),
        )
