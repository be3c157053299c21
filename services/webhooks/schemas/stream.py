"""API models of the event stream: its messages other than events, and tickets."""

from enum import StrEnum

from pydantic import BaseModel, Field


class StreamEndReason(StrEnum):
    """Why the server ended a stream. Unless it is `gone`, open a new stream after the last event received."""

    TOKEN_EXPIRED = "token_expired"  # noqa: S105 — no secret
    ACCESS_CHANGED = "access_changed"
    GONE = "gone"
    UNAVAILABLE = "unavailable"
    SHUTDOWN = "shutdown"


class StreamOpened(BaseModel):
    """The data of `stream.opened`, the first message of a stream."""

    position: str = Field(examples=["0.42"], description="The stream sends the events after this position")


class StreamEnded(BaseModel):
    """The data of `stream.ended`, the last message of a stream that the server ends."""

    reason: StreamEndReason
    detail: str = Field(examples=["The access token has expired: get a new one and open the stream again"])
    next_after: str | None = Field(
        default=None, examples=["0.42"], description="With `gone`: the position from which events are kept"
    )


class StreamTicket(BaseModel):
    """A ticket that opens one stream."""

    ticket: str = Field(
        examples=["C1Sd5i94wQpTnOUud8AJUpvkLXa_CFGa4yx1vgdQmeIrdL0GT5jhKnO8BU6X4ClyuwRNlt8ocboDTJXeJ3C5AkuU"],
        description="Send it as `?ticket=`, once",
    )
    expires_in: int = Field(examples=[60], description="Seconds")
