"""Settings of the Odnoklassniki emulator.

What the network does not publish is a setting with a default of ours: the call limits, the answer of
addDiscussionComment, the schedule on which webhooks are sent again.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from emulators.common.settings import EmulatorSettings


class OkSettings(EmulatorSettings):
    """Read from the environment with the prefix `EMULATOR_`."""

    port: int = Field(default=8091, ge=1, le=65535)
    data: Path = Path(".data/emulator-ok.sqlite3")

    comment_max_length: int = Field(default=3_000, ge=1)
    topic_max_length: int = Field(default=20_000, ge=1)
    message_max_length: int = Field(default=4_000, ge=1)
    page_size_max: int = Field(default=100, ge=1)
    edit_window_seconds: int = Field(default=86_400, ge=0)
    """How long its author may edit a comment; error 704 afterwards."""

    calls_per_second: int = Field(default=20, ge=0)
    """REST calls of one token within `rate_window_seconds`; 0: no limit; error 8 above."""
    calls_per_day: int = Field(default=100_000, ge=0)
    """REST calls of one method by one token within the emulator's day; 0: no limit; error 11 above."""
    bot_calls_per_second: int = Field(default=20, ge=0)
    """Bot API calls of one group's token; 0: no limit; error 8 above."""
    bot_calls_per_day: int = Field(default=100_000, ge=0)
    """Bot API calls of one method by one group's token; 0: no limit; error 11 above."""

    comment_answer: Literal["id", "object"] = "id"
    """What addDiscussionComment answers: the bare id as a string, or the comment as an object."""

    webhook_type_field: bool = True
    """Whether webhook bodies carry `webhookType`; those of 2017 had none."""
    webhook_timeout_seconds: float = Field(default=5, gt=0)
    webhook_retry_seconds: list[float] = Field(default=[5, 30, 120, 600, 1_800], min_length=1)
    """Pauses before each further attempt; the last one repeats."""
    webhook_removed_after_seconds: float = Field(default=8 * 3_600, gt=0)
    """A subscription that has failed this long is removed."""
    webhook_parallel: int = Field(default=16, ge=1)
    webhook_reorder_ms: int = Field(default=500, ge=0)
    """How much later an event arrives that the fault `reorder` has hit."""
