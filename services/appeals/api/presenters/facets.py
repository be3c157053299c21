"""Facets of a list as responses show them."""

from services.appeals.lists.facets import Facets
from services.appeals.schemas.lists.facets import AppealFacets


def appeal_facets(found: Facets) -> AppealFacets:
    """Return the facets with the names of organisations, topic groups and municipalities."""

    def plain(name: str) -> list[dict[str, object]]:
        return [{"value": value, "count": count} for value, count in found.values[name]]

    def named(name: str, key: str) -> list[dict[str, object]]:
        return [
            {"value": {key: value, "name": found.names[value]}, "count": count}
            for value, count in found.values[name]
            if value in found.names
        ]

    return AppealFacets.model_validate(
        {
            "counted": found.counted,
            "complete": found.complete,
            "status": plain("status"),
            "urgency": plain("urgency"),
            "network": plain("network"),
            "organisation": named("organisation", "id"),
            "topic_group": named("topic_group", "id"),
            "municipality": named("municipality", "oktmo"),
        }
    )
