"""Closed lists of values that several services use. Each list is one named component of the OpenAPI document.

`TypeAliasType` names the component of a `Literal`, so that a generated client has one union type for it.
"""

from enum import StrEnum
from typing import Literal

from typing_extensions import TypeAliasType

AlertKind = TypeAliasType("AlertKind", Literal["urgent", "spike", "repeated_transfers"])
AnswerChannel = TypeAliasType("AnswerChannel", Literal["phone", "reception", "letter", "email", "system"])
# What an appeal waits for: an answer with an SLA clock, or an answer that an interim reply promised.
AwaitedClock = TypeAliasType("AwaitedClock", Literal["first_response", "next_response", "final_answer", "promise"])
AppealOutcome = TypeAliasType("AppealOutcome", Literal["solved", "explained", "not_solved", "postponed"])
AppealStatus = TypeAliasType(
    "AppealStatus",
    Literal[
        "triage", "assigned", "in_progress", "interim", "answered", "reopened", "closed", "not_required", "merged"
    ],
)
ClassificationField = TypeAliasType(
    "ClassificationField", Literal["topic_id", "municipality", "settlement", "street", "house", "urgency"]
)
CountedClock = TypeAliasType("CountedClock", Literal["first_response", "next_response", "final_answer"])
DeletedBy = TypeAliasType("DeletedBy", Literal["author", "community", "unknown"])
EscalationStep = TypeAliasType("EscalationStep", Literal["executor", "manager", "centre", "deputy_head"])
ExtendableClock = TypeAliasType("ExtendableClock", Literal["first_response", "next_response", "final_answer"])
ExtensionEndReason = TypeAliasType(
    "ExtensionEndReason",
    Literal["answered", "closed", "merged", "transferred", "returned", "deadline_passed", "question_withdrawn"],
)
ExtensionStatus = TypeAliasType("ExtensionStatus", Literal["open", "approved", "refused", "withdrawn", "ended"])
FeedbackKind = TypeAliasType("FeedbackKind", Literal["thanks", "not_solved", "mark", "silence"])
IncidentOrigin = TypeAliasType("IncidentOrigin", Literal["spike", "person"])
Language = TypeAliasType("Language", Literal["ru", "bxr", "mixed"])
MessageKind = TypeAliasType("MessageKind", Literal["comment", "wall_post", "message"])
# How far a partner system is with an appeal.
PartnerStatus = TypeAliasType("PartnerStatus", Literal["accepted", "in_progress", "done", "rejected"])
PersonalDataSubject = TypeAliasType("PersonalDataSubject", Literal["appeal", "message", "payload"])
PhotoType = TypeAliasType("PhotoType", Literal["image/jpeg"])
PromiseStatus = TypeAliasType("PromiseStatus", Literal["open", "kept", "moved", "broken"])
NoteVisibility = TypeAliasType("NoteVisibility", Literal["organisation", "everyone_on_appeal"])
# How the reach of a page counts a person with several visits: once in total, or once a day.
ReachCountedBy = TypeAliasType("ReachCountedBy", Literal["week", "days"])
ReplyChangeKind = TypeAliasType("ReplyChangeKind", Literal["edit", "withdrawal"])
ReplyKind = TypeAliasType("ReplyKind", Literal["final", "interim"])
ReplyOrigin = TypeAliasType("ReplyOrigin", Literal["gospablik", "network", "recorded"])
# Why a published reply is withdrawn: it discloses personal data, is unlawful, insults, is untrue, or
# is in the wrong thread.
WithdrawalGround = TypeAliasType(
    "WithdrawalGround", Literal["personal_data", "unlawful", "insult", "factual_error", "wrong_thread"]
)
Urgency = TypeAliasType("Urgency", Literal["normal", "high"])

# The maximum size of an attachment's file in bytes.
MAX_ATTACHMENT_BYTES = 20 * 1024 * 1024


class OrganisationKind(StrEnum):
    """The kind of an organisation."""

    REGIONAL = "regional"
    MUNICIPALITY = "municipality"
    INSTITUTION = "institution"
    COURT = "court"
    OTHER = "other"
