"""Closed lists of values that several services use. Each is one named component of the OpenAPI document.

`TypeAliasType` gives a `Literal` a name there, so that a generated client has one union for it.
"""

from typing import Literal

from typing_extensions import TypeAliasType

AppealStatus = TypeAliasType(
    "AppealStatus",
    Literal["triage", "assigned", "in_progress", "interim", "answered", "reopened", "closed", "not_required"],
)
DeletedBy = TypeAliasType("DeletedBy", Literal["author", "community", "unknown"])
MessageKind = TypeAliasType("MessageKind", Literal["comment", "wall_post", "message"])
