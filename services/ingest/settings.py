"""Settings of ingest beside those every service has."""

from functools import lru_cache
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import FernetKeys, StrongKey


class IngestSettings(BaseSettings):
    """Read from `GOSPABLIK_*`. Periods are in seconds; budgets in calls a day of one token."""

    model_config = SettingsConfigDict(env_prefix="GOSPABLIK_", extra="ignore", hide_input_in_errors=True)

    encryption_keys: FernetKeys = Field(description="Fernet keys, newest first, separated by commas")
    pseudonym_key: StrongKey = Field(description="Keys the digests of authors and of tokens")

    callbacks_url: str | None = Field(
        default=None,
        description="Where networks reach the gateway, such as https://push.example.ru; none: no push",
    )

    callbacks_backlog: int = Field(
        default=2_000, ge=1, description="Pushed events that may wait to be stored; more are postponed"
    )

    callbacks_page_backlog: int = Field(
        default=500, ge=1, description="The same for the events of one page: a flooded page holds up no other"
    )

    vk_api_url: str = "https://api.vk.com"
    vk_version: str = "5.199"
    vk_call_seconds: float = 12
    vk_long_poll_wait: int = Field(default=25, ge=1, le=90)
    vk_key_seconds: float = Field(default=4 * 3600, description="Age at which a long poll's key is renewed")
    vk_silence_seconds: float = Field(
        default=8 * 3600, description="A long poll that brings nothing for so long, unlike before, is opened anew"
    )
    vk_wall_calls_a_day: int = Field(default=5_000, description="wall.get of one token, as the network allows")
    vk_calls_a_day: dict[str, int] = Field(
        default={"wall.search": 1_000, "newsfeed.search": 1_000}, description="Other limited methods of one token"
    )
    vk_user_calls_a_second: float = 3
    vk_group_calls_a_second: float = 20
    vk_walk_thread_days: float = Field(
        default=30, description="A walk also reads the threads of posts of the last so many days"
    )
    vk_push: Literal["long_poll", "callback", "both"] = Field(
        default="long_poll", description="How VK brings events: `callback` needs an address that VK reaches"
    )
    vk_callbacks_seconds: float = Field(
        default=600, description="How often a community's callback server is looked at"
    )
    vk_closed_seconds: float = Field(default=3_600, description="How long what is closed is left alone")
    vk_boards_seconds: float = Field(default=3_600, description="How often a community's discussions are compared")
    vk_suggests_seconds: float = Field(
        default=43_200, description="How often suggested posts are read where a person's token may; 0: never"
    )
    vk_boards: bool = Field(default=True, description="Whether discussions of communities are read")
    vk_dialogs_seconds: float = Field(default=600, description="How often a page's conversations are compared")

    ok_api_url: str = "https://api.ok.ru"
    ok_call_seconds: float = 12
    ok_webhook_networks: str = Field(
        default="", description="Addresses that may push for OK, such as 217.20.145.192/28; empty: all"
    )
    ok_calls_a_day: dict[str, int] = Field(default={}, description="Limited methods of one token; none published")
    ok_calls_a_second: float = Field(default=10, description="Calls of one token; the network publishes no number")
    ok_discussions_seconds: float = 2
    ok_discussion_types: str = Field(
        default="GROUP_TOPIC,GROUP_PHOTO,GROUP_MOVIE", description="Which discussions of groups are read"
    )
    ok_walk_seconds: float = Field(default=600, description="How often the list of discussions is walked down")
    ok_walk_days: float = Field(default=14, description="How long ago the last comment may be in that walk")
    ok_topics_seconds: float = Field(default=1_800, description="How often a group's topics are compared")
    ok_closed_seconds: float = Field(default=3_600, description="How long what is closed is left alone")
    ok_chats_seconds: float = 4
    ok_chats_subscribed_seconds: float = Field(
        default=600, description="How often chats are compared while the network pushes them"
    )
    ok_subscriptions_seconds: float = Field(
        default=600, description="How often a group's subscription is looked at"
    )

    reconcile_period_seconds: float = Field(
        default=86_400, gt=0, description="How often each page is compared with the network"
    )
    reconcile_grace_seconds: float = Field(
        default=900, ge=0, description="How long the ordinary ways may take before what is missing is a gap"
    )
    reconcile_overlap_seconds: float = Field(
        default=172_800, ge=0, description="How far each comparison reaches back behind the last one"
    )
    reconcile_at_once: int = Field(default=2, ge=1, le=4)
    backfill_at_once: int = Field(default=2, ge=1, le=4)

    token_check_seconds: float = Field(
        default=40, gt=0, description="How long a token may lie unused before it is tried by a cheap call"
    )
    network_day_seconds: float = Field(
        default=86_400, gt=0, description="How long the networks' daily limits count back"
    )
    registry_seconds: float = Field(default=3, description="How soon new pages and tokens are noticed")
    publish_settle_seconds: float = Field(
        default=3, description="Beyond the call's timeout: how long a lost call may still take effect"
    )

    def calls_a_day(self, network: str) -> dict[str, int]:
        """Calls one token may make in the network's day, of the methods that are limited."""
        if network == "vk":
            return {"wall.get": self.vk_wall_calls_a_day, **self.vk_calls_a_day}
        return self.ok_calls_a_day if network == "ok" else {}


@lru_cache
def ingest_settings() -> IngestSettings:
    """The process's settings, read once."""
    return IngestSettings()
