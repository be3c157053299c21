"""Settings of ingest, in addition to the settings shared by all services."""

import json
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from shared.settings import FernetKeys, SecretFileSettings, StrongKey

# Methods of VK that the network limits per token and day.
VK_CALLS_PER_DAY = {"wall.get": 5_000, "wall.search": 1_000, "newsfeed.search": 1_000}


def _object_from_text(value: Any) -> Any:
    """Return the JSON object in a text; an empty text, which Compose passes for an unset variable, is `{}`."""
    return json.loads(value or "{}") if isinstance(value, str) else value


class IngestSettings(SecretFileSettings):
    """Settings from `GOSPABLIK_*`. Periods are in seconds; budgets are calls per day and token."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", hide_input_in_errors=True)

    encryption_keys: FernetKeys = Field(description="Fernet keys, newest first, separated by commas")
    pseudonym_key: StrongKey = Field(description="Keys the digests of authors and of tokens")

    callbacks_url: str | None = Field(
        default=None,
        description="Public URL of the gateway for callbacks, such as https://push.example.ru; unset: no push",
    )

    callbacks_backlog: int = Field(
        default=2_000,
        ge=1,
        description="Pushed events that may wait to be stored; the network has to send further events again later",
    )

    callbacks_page_backlog: int = Field(
        default=500, ge=1, description="The same for one page, so that a busy page does not delay the others"
    )

    vk_api_url: str = "https://api.vk.com"
    vk_version: str = "5.199"
    vk_call_timeout_seconds: float = 12
    vk_long_poll_wait_seconds: int = Field(default=25, ge=1, le=90)
    vk_long_poll_key_seconds: float = Field(
        default=4 * 3600, description="Age at which a long poll's key is renewed"
    )
    vk_long_poll_silence_seconds: float = Field(
        default=8 * 3600, description="A long poll is reopened after this time without events, if that is unusual"
    )
    vk_calls_per_day: dict[str, int] = Field(
        default=VK_CALLS_PER_DAY,
        description="Daily calls of one token, by method; a method that is not named keeps its default",
    )
    vk_user_calls_per_second: float = 3
    vk_group_calls_per_second: float = 20
    vk_scan_thread_days: float = Field(
        default=30, description="A scan also reads the threads of posts up to this many days old"
    )
    vk_push: Literal["long_poll", "callback", "both"] = Field(
        default="long_poll", description="How VK delivers events: `callback` needs a URL that VK can reach"
    )
    vk_callback_check_seconds: float = Field(
        default=600, description="How often a community's callback server is checked"
    )
    vk_closed_retry_seconds: float = Field(default=3_600, description="How long a closed wall is not read again")
    vk_board_poll_seconds: float = Field(
        default=3_600, description="How often a community's discussions are compared"
    )
    vk_suggested_post_poll_seconds: float = Field(
        default=43_200, description="How often suggested posts are read when a user token has access; 0: never"
    )
    vk_read_boards: bool = Field(default=True, description="Whether discussions of communities are read")
    vk_conversation_poll_seconds: float = Field(
        default=600, description="How often a page's conversations are compared"
    )

    ok_api_url: str = "https://api.ok.ru"
    ok_call_timeout_seconds: float = 12
    ok_webhook_address_ranges: str = Field(
        default="", description="Addresses that may push for OK, such as 217.20.145.192/28; empty: all"
    )
    ok_calls_per_day: dict[str, int] = Field(
        default={}, description="Daily calls of one token, by method; the network publishes no limits"
    )
    ok_calls_per_second: float = Field(
        default=10, description="Calls of one token per second; the network publishes no limit"
    )
    ok_discussion_poll_seconds: float = 2
    ok_discussion_types: str = Field(
        default="GROUP_TOPIC,GROUP_PHOTO,GROUP_MOVIE", description="Which discussions of groups are read"
    )
    ok_full_pass_seconds: float = Field(default=600, description="How often the whole list of discussions is read")
    ok_full_pass_days: float = Field(
        default=14,
        description="The whole list is read down to discussions whose last comment is this many days old",
    )
    ok_topic_poll_seconds: float = Field(default=1_800, description="How often a group's topics are compared")
    ok_closed_retry_seconds: float = Field(
        default=3_600, description="How long a closed page or thread is not read again"
    )
    ok_comment_fields: str = Field(
        default="comment.*,comment.date_ms",
        description="Fields of comments to ask for; empty: OK's default fields",
    )
    ok_topic_fields: str = Field(
        default="media_topic.*,user.*,group.*",
        description="Fields of topics to ask for, with their authors; empty: OK's default fields",
    )
    ok_fields_retry_seconds: float = Field(
        default=3_600, description="How long a method is called with fewer `fields` after OK refused them"
    )
    ok_photo_albums: Annotated[dict[str, str], NoDecode, BeforeValidator(_object_from_text)] = Field(
        default={},
        description="Albums for photos of replies, by group id; without one they belong to the token's owner",
    )
    ok_chat_poll_seconds: float = 4
    ok_chat_poll_with_push_seconds: float = Field(
        default=600, description="Longest interval between polls of chats that the network pushes"
    )
    ok_subscription_check_seconds: float = Field(
        default=600, description="How often a group's subscription is checked"
    )

    reconcile_period_seconds: float = Field(
        default=86_400, gt=0, description="How often each page is compared with the network"
    )
    reconcile_grace_seconds: float = Field(
        default=900, ge=0, description="How long regular sources have before a missing message counts as a gap"
    )
    reconcile_overlap_seconds: float = Field(
        default=172_800, ge=0, description="How far each reconciliation overlaps the previous one"
    )
    reconcile_concurrency: int = Field(default=2, ge=1, le=4)
    backfill_concurrency: int = Field(default=2, ge=1, le=4)

    token_probe_seconds: float = Field(
        default=40, gt=0, description="How long a token may be unused before a cheap call probes it"
    )
    call_budget_window_seconds: float = Field(
        default=86_400, gt=0, description="Sliding window of the networks' daily limits"
    )
    page_refresh_seconds: float = Field(default=3, description="How often pages and tokens are reloaded")
    photo_upload_timeout_seconds: float = Field(
        default=60, gt=0, description="Timeout of the upload of a photo to a network"
    )
    publish_settle_seconds: float = Field(
        default=3, description="How long a call without a response may still take effect after its timeout"
    )

    @field_validator("vk_calls_per_day")
    @classmethod
    def _add_default_limits(cls, value: dict[str, int]) -> dict[str, int]:
        return VK_CALLS_PER_DAY | value

    def calls_per_day(self, network: str) -> dict[str, int]:
        """Return the daily call limits of one token, by method; unlimited methods are left out."""
        return {"vk": self.vk_calls_per_day, "ok": self.ok_calls_per_day}.get(network, {})


@lru_cache
def ingest_settings() -> IngestSettings:
    """Return the settings of the process, read once."""
    return IngestSettings()
