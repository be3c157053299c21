"""Roles that may be given to people and API clients."""

from services.console.site.labels import LABELS
from services.console.site.visit import Visit

CENTRE_ROLES = ("moderator", "analyst", "head", "auditor", "operations")


def grantable_roles(visit: Visit) -> list[tuple[str, str]]:
    """Return the roles that the person may give: those of the centre are given by the centre."""
    of_centre = visit.me["organisation"] is None
    return [(key, text) for key, text in LABELS["role"].items() if of_centre or key not in CENTRE_ROLES]
