"""What a page of the console declares: routes, links, limits. A page is a folder in `services/console/pages/`."""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import ModuleType

from fastapi import APIRouter, Depends

from shared.auth.session_cookies import same_origin


class Section(Enum):
    """A section of the navigation, with its title."""

    WORK = "Работа"
    REPORTS = "Отчёты"
    REGISTRY = "Реестр"
    SYSTEM = "Система"


@dataclass(frozen=True)
class NavigationLink:
    """A link of the navigation, shown to people who have one of the rights; without rights, to everybody.

    `order` sorts the links of a section. `key` is the letter that opens the page after «g».
    """

    section: Section
    order: int
    title: str
    path: str
    rights: frozenset[str] = frozenset()
    key: str | None = None

    def is_shown_to(self, rights: Sequence[str]) -> bool:
        """Return whether a person with these rights sees the link."""
        return not self.rights or not self.rights.isdisjoint(rights)


@dataclass(frozen=True)
class Page:
    """A page: its routes, and its links in the navigation.

    `body_limits` are limits in bytes by route path (with its parameters), where they differ from the limit of
    other forms.
    """

    router: APIRouter
    links: tuple[NavigationLink, ...] = ()
    body_limits: Mapping[str, int] = field(default_factory=dict)


def page_router() -> APIRouter:
    """Return a router for a page: it accepts requests from the console's pages and opened addresses only."""
    return APIRouter(include_in_schema=False, dependencies=[Depends(same_origin)])


def find_pages(package: ModuleType) -> list[Page]:
    """Return the `PAGE` of the module `view` in each folder of the package, sorted by folder name."""
    return [
        importlib.import_module(f"{package.__name__}.{found.name}.view").PAGE
        for found in pkgutil.iter_modules(package.__path__)
        if found.ispkg
    ]
