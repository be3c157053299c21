"""One REST call: its parameters, its session, and the registry of methods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulators.ok.errors import OkError
from emulators.ok.state.network_state import OkState
from emulators.ok.state.tokens import Session

TRUE = frozenset({"true", "1", "yes", "on"})


@dataclass(frozen=True, slots=True)
class RestCall:
    """The arguments of a method: decoded parameters and the session."""

    world: OkState
    params: Mapping[str, str]
    session: Session

    @property
    def uid(self) -> str | None:
        """Return the user of the session, or None."""
        return self.session.uid

    @property
    def user(self) -> str:
        """Return the user of the session; error 453 without one."""
        if self.uid is None:
            raise OkError(453)
        return self.uid

    def text(self, name: str) -> str:
        """Return a required parameter; error 100 if it is missing or empty."""
        value = self.params.get(name, "")
        if not value:
            raise OkError(100, f"Missing required parameter {name}", name)
        return value

    def optional(self, name: str) -> str | None:
        """Return a parameter, or None if it is missing or empty."""
        return self.params.get(name) or None

    def values(self, name: str) -> list[str]:
        """Return a list separated by commas."""
        return [part.strip() for part in self.params.get(name, "").split(",") if part.strip()]

    def flag(self, name: str) -> bool:
        """Return a boolean parameter."""
        return self.params.get(name, "").lower() in TRUE

    def count(self, default: int, name: str = "count") -> int:
        """Return a page size, at least 1 and capped by the network; error 100 if it is not a number."""
        value = self.params.get(name, "")
        if not value:
            return default
        if not value.isascii() or not value.isdigit() or len(value) > 9 or int(value) == 0:
            raise OkError(100, f"Invalid parameter {name}", name)
        return min(int(value), self.world.settings.page_size_max)

    def choice(self, name: str, allowed: frozenset[str], default: str) -> str:
        """Return a parameter that must be one of the given values; error 100 for any other."""
        value = self.params.get(name) or default
        if value not in allowed:
            raise OkError(100, f"Invalid parameter {name}", name)
        return value


Method = Callable[[RestCall], Any]
METHODS: dict[str, Method] = {}


def method(name: str) -> Callable[[Method], Method]:
    """Register a function as the REST method of this name."""

    def register(function: Method) -> Method:
        METHODS[name] = function
        return function

    return register
