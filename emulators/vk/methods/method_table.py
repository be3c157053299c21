"""Table of API methods, and the arguments that each method gets."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulators.common.errors import RefusedError
from emulators.common.network_protocol import TokenKind
from emulators.common.store import Row
from emulators.vk.emulated_vk import EmulatedVk
from emulators.vk.errors import vk_error
from emulators.vk.state.tokens import Token, check_kind

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
"""A whole number that SQLite can store."""
_KINDS: dict[str, TokenKind] = {"U": "user", "G": "group", "S": "service"}


@dataclass(frozen=True)
class MethodCall:
    """One call: the network's state, the caller, and the parameters as text."""

    world: EmulatedVk
    token: Token
    params: dict[str, str]
    persistent_error: Callable[[str, Mapping[str, str]], int | None] = lambda _name, _params: None
    """Returns the code of the token's persistent error for a method, or None."""

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter as received."""
        return self.params.get(name, default)

    def flag(self, name: str) -> bool:
        """Return a boolean parameter: `1` or `true`."""
        return self.params.get(name, "").lower() in {"1", "true"}

    def optional(self, name: str) -> int | None:
        """Return a whole number, or None if absent; raises error 100 for anything else."""
        value = self.params.get(name, "").strip()
        if not value:
            return None
        if not _WHOLE.fullmatch(value):
            raise vk_error(100, f"{name} not integer")
        return int(value)

    def number(self, name: str, default: int | None = None, *, least: int | None = None) -> int:
        """Return a whole number; raises error 100 if it is absent without a default, or too small."""
        number = self.optional(name)
        if number is None:
            number = default
        if number is None:
            raise vk_error(100, f"{name} is undefined")
        if least is not None and number < least:
            raise vk_error(100, f"{name} should be greater or equal to {least}")
        return number

    def count_of_items(self, method_name: str, default: int, most: int) -> int:
        """Return how many items a response may have: the parameter `count`, at most what the network allows."""
        return min(
            self.number("count", default, least=0), most, self.world.settings.page_sizes.get(method_name, most)
        )

    def list_param(self, name: str) -> list[str]:
        """Return the items of a comma-separated parameter."""
        return [word.strip() for word in self.params.get(name, "").split(",") if word.strip()]

    def attachments(self, name: str = "attachments") -> list[object]:
        """Return attachments; photos saved in this emulator are checked and returned as objects."""
        owners = {self.token.user_id or 0, -(self.token.page or 0)}
        return self.world.photos.attach(self.list_param(name), owners)

    def integers(self, name: str) -> list[int]:
        """Return a list of whole numbers; raises error 100 for anything else."""
        words = self.list_param(name)
        if not all(_WHOLE.fullmatch(word) for word in words):
            raise vk_error(100, f"{name} is invalid")
        return [int(word) for word in words]

    def page(self, number: int) -> Row | None:
        """Return a community by its positive id, or None."""
        return self.world.store.one("SELECT * FROM pages WHERE id = ?", (number,))

    def managed_page(self, name: str = "group_id") -> int:
        """Return the id of the token's community, or of the given community if the token may act for it."""
        number = self.optional(name)
        if number is None:
            if self.token.page is None:
                raise vk_error(100, f"{name} is undefined")
            return self.token.page
        if self.page(number) is None:
            raise vk_error(125)
        if not self.token.manages(number):
            raise vk_error(15, "no access to this group")
        return number


Handler = Callable[[MethodCall], Any]


@dataclass(frozen=True)
class Method:
    """An API method: its handler and the kinds of token it accepts."""

    name: str
    kinds: frozenset[TokenKind]
    handler: Handler


METHODS: dict[str, Method] = {}


def check_token_and_count(world: EmulatedVk, token: Token, found: Method) -> None:
    """Count a call of the method; raises errors 27 and 28 for the wrong kind of token, 29 past the day's limit."""
    try:
        check_kind(token, found.kinds)
        if not world.call_counter.within_day(token.token, found.name, world.settings.daily_limits.get(found.name)):
            raise vk_error(29)
    except RefusedError:
        world.call_counter.count(found.name, token.kind, token.token, accepted=False)
        raise
    world.call_counter.count(found.name, token.kind, token.token, accepted=True)


def method(name: str, kinds: str) -> Callable[[Handler], Handler]:
    """Return a decorator that registers a handler. `kinds`: letters of the token kinds that may call it, U user,
    G community, S service.
    """

    def register(handler: Handler) -> Handler:
        METHODS[name] = Method(name, frozenset(_KINDS[letter] for letter in kinds), handler)
        return handler

    return register
