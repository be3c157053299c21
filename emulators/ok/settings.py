"""Settings of the Odnoklassniki emulator.

Values that the network does not publish are settings with our own defaults: the call limits, response formats
that differ between sources of documentation, and the retry schedule of webhooks.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from emulators.common.settings import EmulatorSettings

EmptyLists = Literal["shown", "omitted", "null", "null_answer"]


class OkSettings(EmulatorSettings):
    """Settings read from the environment with the prefix `EMULATOR_`."""

    port: int = Field(default=8091, ge=1, le=65535)
    data: Path = Path(".data/emulator-ok.sqlite3")

    comment_max_length: int = Field(default=3_000, ge=1)
    topic_max_length: int = Field(default=20_000, ge=1)
    message_max_length: int = Field(default=4_000, ge=1)
    page_size_max: int = Field(default=100, ge=1)
    edit_window_seconds: int = Field(default=86_400, ge=0)
    """How long an author may edit a comment; error 704 afterwards."""

    calls_per_second: int = Field(default=20, ge=0)
    """REST calls of one token within `rate_window_seconds`; 0: no limit; error 8 above."""
    calls_per_day: int = Field(default=100_000, ge=0)
    """REST calls of one method by one token within the emulator's day; 0: no limit; error 11 above."""
    bot_calls_per_second: int = Field(default=20, ge=0)
    """Bot API calls of one group's token; 0: no limit; error 8 above."""
    bot_calls_per_day: int = Field(default=100_000, ge=0)
    """Bot API calls of one method by one group's token; 0: no limit; error 11 above."""

    comment_answer: Literal["id", "object", "comment"] = "id"
    """What addDiscussionComment returns: the bare id as text, `{"comment": {…}}`, or the comment itself."""
    group_info_answer: Literal["array", "groups"] = "array"
    """What group.getInfo returns: a bare array, or `{"groups": [...]}`."""
    comment_date_ms: bool = True
    """Whether comments contain `date_ms` if it is requested; otherwise only `date` in Moscow time."""
    unknown_fields: list[str] = Field(default_factory=list)
    """Fields that the network does not know, such as `comment.DATE_MS` or `media_topic.*`; a call that
    asks for one is refused as a whole."""
    field_error: Literal[220, 100] = 220
    """The error of a call that asks for an unknown field."""
    empty_lists: EmptyLists = "shown"
    """How a response without items looks: with an empty list, without the list, with null instead of the list, or
    null instead of the whole response."""
    changes_answer: Literal["true", "false", "zero", "object"] = "true"
    """What edits and deletions through the API return: `true`, or without any effect `false`, `0` or
    `{"success": false}`."""
    removed_shown: Literal["own", "all", "none"] = "own"
    """Which removed comments `includeRemoved` shows: all, none, or only those of the session's user that others
    removed."""
    removed_type: str = "REMOVED_MESSAGE"
    """The `type` of a removed comment."""
    removed_text: bool = False
    """Whether a removed comment still contains its text."""
    empty_text: bool = True
    """Whether a message without text has an empty `text`; otherwise it has no `text`."""
    deactivated_status: str = "DISABLED"
    """The `status` of a group that is blocked as a whole."""

    bot_tokens: int = Field(default=1, ge=1)
    """How many bot tokens of a group are valid at once; the network itself allows one."""
    subscriptions_end_with_token: bool = False
    """Whether a new bot token ends the webhook subscriptions made with the earlier token."""

    photo_group_needs_album: bool = True
    """Whether a photo that was uploaded with `gid` can be committed only if it also has an album, `aid`."""

    censor_words: list[str] = Field(default_factory=list)
    """Words that, in any case, make the network refuse a text with error 454."""
    antispam_repeats: int = Field(default=0, ge=0)
    """How often an author may write the same text within `antispam_seconds`; error 511 above; 0: no limit."""
    antispam_seconds: float = Field(default=3_600, gt=0)

    webhook_type_field: bool = True
    """Whether webhook bodies contain `webhookType`; in 2017 they did not."""
    webhook_timeout_seconds: float = Field(default=5, gt=0)
    webhook_retry_seconds: list[float] = Field(default=[5, 30, 120, 600, 1_800], min_length=1)
    """Delays before each further attempt; the last delay is repeated."""
    webhook_removed_after_seconds: float | None = Field(default=None, gt=0)
    """A subscription that has failed for this long is removed; None: a third of the emulator's day."""
    webhook_parallel: int = Field(default=16, ge=1)
    webhook_reorder_ms: int = Field(default=500, ge=0)
    """How long the fault `reorder` delays an event."""

    @field_validator("removed_shown", mode="before")
    @classmethod
    def _former_removed_shown(cls, given: Any) -> Any:
        """Accept the former values, which older data files may contain."""
        return {"true": "all", "false": "none"}.get(str(given).lower(), given)

    @property
    def webhook_patience_ms(self) -> int:
        """Return after how many milliseconds of failures a subscription is removed."""
        seconds = self.webhook_removed_after_seconds
        return int(1000 * (self.day_seconds / 3 if seconds is None else seconds))
