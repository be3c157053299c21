"""Roles of people and API clients."""

from services.console.site.visit import Visit
from services.console.words.labels import LABELS

CENTRE_ROLES = ("moderator", "analyst", "head", "auditor", "operations")


def grantable_roles(visit: Visit) -> list[tuple[str, str]]:
    """Return the roles that the person may give; only people of the centre may give the centre's roles."""
    of_centre = visit.me["organisation"] is None
    return [(key, text) for key, text in LABELS["role"].items() if of_centre or key not in CENTRE_ROLES]
