"""What the registry already contains: decides the next step of the first run."""

from dataclasses import dataclass
from typing import Any

from services.console.site.visit import Visit, together

PATH = "/first-run"


@dataclass(frozen=True)
class RegistryState:
    """The first organisation and the first page (None if there are none), and the state of that page's
    collection.
    """

    organisation: dict[str, Any] | None
    page: dict[str, Any] | None
    collection: Any = None
    has_several: bool = False

    @property
    def step(self) -> int:
        """Return the number of the next step; 4 if all steps are done."""
        if self.organisation is None:
            return 1
        if self.page is None:
            return 2
        read = self.collection is not None and self.collection["state"] == "healthy"
        return 4 if read else 3


def may_set_up(visit: Visit) -> bool:
    """Return whether the person may do the steps of the first run."""
    return visit.may("registry:write")


async def registry_state(visit: Visit) -> RegistryState:
    """Return the state of the registry, without the page's collection."""
    organisations, pages = await together(
        visit.api.get("/organisations", {"limit": 2}), visit.api.get("/pages", {"limit": 1})
    )
    found = organisations["items"]
    return RegistryState(next(iter(found), None), next(iter(pages["items"]), None), has_several=len(found) > 1)


async def needs_first_run(visit: Visit) -> bool:
    """Return whether the home page redirects to the first run: there is no page yet, and the person may connect
    one.

    A registry with several organisations was set up in another way, and does not need the first run.
    """
    if not may_set_up(visit):
        return False
    state = await registry_state(visit)
    return state.page is None and not state.has_several
