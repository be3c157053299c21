"""Settings and limits of the VK emulator."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from emulators.common.settings import EmulatorSettings

FIXED_SETTINGS = frozenset(
    {
        "host",
        "port",
        "data",
        "public_url",
        "seed",
        "citizens",
        "citizens_per_minute",
        "day_seconds",
        "clock_shift_seconds",
        "rate_window_seconds",
        "slow_seconds",
        "timeout_seconds",
    }
)
"""Settings that are read only at the start, so they cannot be changed at run time."""


class VkSettings(EmulatorSettings):
    """Settings read from the environment with the prefix `EMULATOR_`; a limit of 0 means no limit."""

    port: int = Field(default=8090, ge=1, le=65535)
    data: Path = Path(".data/vk.sqlite3")

    user_per_second: int = 3
    """Calls per second of one user or service token."""
    group_per_second: int = 20
    """Calls per second of one community with all its tokens."""
    daily_limits: dict[str, int] = Field(default={"wall.get": 5_000})
    """Calls per day of one token, by method."""

    comment_length: int = 4_096
    comment_attachments: int = 2
    """Maximum number of media in a comment; the network does not document it."""
    post_length: int = 16_384
    message_length: int = 4_096
    message_edit_seconds: int = Field(default=86_400, ge=0)
    """How long a message may be edited; error 909 afterwards."""
    message_delete_seconds: int = Field(default=86_400, ge=0)
    """How long a message may be deleted for everybody; error 924 afterwards."""
    reply_window_seconds: float = Field(default=0, ge=0)
    """How long after a person's last message the community may write; error 950 afterwards. 0: no limit."""
    changes_take_effect: bool = True
    """Whether edits and deletions of comments and messages are carried out; if not, they answer 0."""
    topic_title_length: int = 128
    comments_default_count: int = 10
    """Size of a page of wall.getComments when `count` is absent."""

    thread_items: Literal["oldest", "newest"] = "oldest"
    """Which replies of a branch wall.getComments embeds; the network does not document it."""
    wall_page_size: int = Field(default=100, ge=1, le=100)
    """Most posts in one response of wall.get, even if more are requested and follow."""

    page_sizes: dict[str, int] = Field(default={})
    """Most items in one response of board.getTopics, messages.getConversations or messages.getHistory, by method,
    even if more are requested and follow."""

    suggested_post_events: bool = True
    """Whether a suggested post is pushed as wall_post_new (with `post_type` suggest)."""
    hidden_posts: Literal["omitted", "refused"] = "omitted"
    """What wall.getById returns for posts of a wall that the caller may not read: no item, or error 15."""
    stats_periods_as_text: bool = False
    """Whether stats.get returns the bounds of a period as text, as some real responses do."""
    execute_failed_value: Literal["false", "null"] = "false"
    """The value that `execute` returns in place of a failed inner call."""
    execute_calls: int = 25
    """Maximum number of API calls in one execute."""
    execute_operations: int = 1_000

    long_poll_depth: int = 10_000
    """Events kept per community; an older `ts` gets `failed: 1`."""
    long_poll_batch: int = 1_000
    """Maximum number of events in one response."""
    long_poll_key_seconds: float = 0
    """Age at which a key expires (`failed: 2`); 0: never."""
    callback_timeout_seconds: float = Field(default=8, gt=0)
    """How long a server of the Callback API may take to respond."""
    callback_retry_seconds: list[float] = Field(default=[18, 60, 300, 600, 1_800, 3_600])
    """Delays before the resends of an event; after the last resend it is dropped."""
    callback_pause_after: int = Field(default=10, ge=0)
    """Consecutive failures after which deliveries to a server are paused; 0: never."""
    callback_pause_seconds: float = Field(default=600, ge=0)
    callback_in_order: bool = True
    """Whether an event that waits for a resend delays later events."""
    callback_reorder_seconds: float = Field(default=1, ge=0)
    """How long the fault `reorder` delays an event."""
    callback_confirmation_ids: bool = True
    """Whether a confirmation request contains `event_id` and `v`."""
    long_poll_enabled: bool = True
    """Whether a new community has Bots Long Poll enabled, with all its events."""
