"""Schemas of saved views."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.appeals.assignees.directory import ActorRef
from services.appeals.field_types import SingleLine
from services.appeals.lists.appeal_filter import AppealFilter
from services.appeals.lists.appeal_sorting import AppealSort
from services.appeals.lists.saved_views import ViewContent
from services.appeals.schemas.common import RequestBody


class ViewFilter(AppealFilter):
    """The filter of `GET /appeals` as an object. An unknown field is an error."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("author_key")
    @classmethod
    def _names_no_citizen(cls, value: str | None) -> None:
        # Refused because a view is kept after the citizen's data is erased.
        if value is not None:
            raise ValueError("a saved view must not name a citizen: leave `author_key` out")


class ViewIn(RequestBody):
    """A view to save."""

    name: Annotated[SingleLine, Field(max_length=100)] = Field(examples=["Крыльцо, срочные"])
    filter: ViewFilter = Field(default=ViewFilter(), examples=[{"status": ["assigned"], "tag": "крыльцо"}])
    sort: AppealSort = "-opened_at"
    is_shared: bool = Field(default=False, description="Your organisation sees it too")

    def given(self) -> ViewContent:
        """Return the content of the view as a domain object."""
        return ViewContent(self.name, self.filter, self.sort, self.is_shared)


class ViewOut(BaseModel):
    """A saved view. The shown appeals depend on the reader: `assignee=me` is the reader, and everybody sees only
    appeals in their scope.
    """

    id: UUID
    version: int = Field(description="Send as `If-Match` to change the view", examples=[1])
    owner: ActorRef
    is_shared: bool = Field(description="The owner's organisation sees it too", examples=[True])
    name: str = Field(examples=["Крыльцо, срочные"])
    filter: dict[str, Any] = Field(
        description="As in `GET /appeals`, without the fields that restrict nothing",
        examples=[{"status": ["assigned"], "tag": "крыльцо"}],
    )
    sort: AppealSort = Field(examples=["urgency"])
    query: str = Field(
        description="Append it to `/api/v1/appeals?`; the counts take it without `sort`",
        examples=["status=assigned&tag=%D0%BA%D1%80%D1%8B%D0%BB%D1%8C%D1%86%D0%BE&sort=urgency"],
    )
    created_at: datetime
    updated_at: datetime
