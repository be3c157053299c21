"""A region in memory: the demo's organisations and the owners of the labelled messages' pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from bench import labelled_messages
from cli.demo import region
from services.appeals.classification.locations.page_locations import page_location
from services.appeals.routing.engine import Router
from services.appeals.routing.registry_roles import OrganisationEntry, roles_of
from services.appeals.routing.rules import NamedOrganisation, PageOwner, RuleIndex
from services.appeals.routing.spheres import sphere_codes, spheres_of_topic
from services.appeals.routing.starter_rules import DEFAULT_TO, starter_rules
from services.appeals.routing.wording import TaxonomyNames
from shared.tabular.reader import package_rows
from shared.topic_taxonomy import entries

DATA = Path(__file__).parent / "data" / "owners"


def topic_id(code: str) -> UUID:
    """Return a stable id for the code of a topic or group."""
    return uuid5(NAMESPACE_URL, f"gospablik:topic:{code}")


@cache
def municipality_names() -> Mapping[str, str]:
    """Return the names of municipalities by OKTMO code."""
    return {row["oktmo"]: row["name"] for row in package_rows("migrations.reference", "municipalities.csv")}


@dataclass(frozen=True)
class OwnerRegion:
    """Organisations by the name of their page and by their id."""

    pages: Mapping[str, OrganisationEntry]
    organisations: Mapping[UUID, OrganisationEntry]

    def page_owner(self, page: str) -> PageOwner:
        """Return the owner of a page in the form that routing uses."""
        owner = self.pages[page]
        codes = {name: oktmo for oktmo, name in municipality_names().items()}
        founder_id = owner.lineage[-2] if len(owner.lineage) > 1 else None
        return PageOwner(
            page_id=uuid5(NAMESPACE_URL, page),
            organisation_id=owner.id,
            organisation=owner.name,
            municipality=codes.get(page_location(owner.name, owner.seat).municipality or ""),
            active=True,
            kind=owner.kind,
            spheres=sphere_codes([owner.sphere, *owner.other_spheres]),
            founder_id=founder_id,
            founder=NamedOrganisation(self.organisations[founder_id].name, active=True) if founder_id else None,
        )


def _entry(
    name: str, kind: str, spheres: list[str], municipality: str | None, parent: OrganisationEntry | None
) -> OrganisationEntry:
    organisation_id = uuid5(NAMESPACE_URL, name)
    return OrganisationEntry(
        organisation_id, name, kind, spheres[0], spheres[1:], municipality,
        municipality_names().get(municipality or ""), [*(parent.lineage if parent else ()), organisation_id],
    )  # fmt: skip


@cache
def load_region() -> OwnerRegion:
    """Return the organisations of the demo and of `data/owners/organisations.csv`."""
    by_code: dict[str, OrganisationEntry] = {}
    for one in region.load():
        parent = by_code[one.parent] if one.parent else None
        by_code[one.code] = _entry(one.name, one.kind, list(one.spheres), one.municipality, parent)
    pages = {}
    for row in labelled_messages.read(DATA / "organisations.csv"):
        if row["region_code"]:
            pages[row["name"]] = by_code[row["region_code"]]
            continue
        name, spheres = row["registered_name"] or row["name"], row["spheres"].split(";")
        parent = by_code.get(row["parent"])
        pages[row["name"]] = _entry(name, row["kind"], spheres, row["municipality"] or None, parent)
    everything = [*by_code.values(), *pages.values()]
    return OwnerRegion(pages, {one.id: one for one in everything})


def starter_router(owners: OwnerRegion) -> Router:
    """Return a router for the starter rules over these organisations."""
    topics = {topic_id(one.code): one for one in entries()}
    index = RuleIndex(
        starter_rules({one.code: found for found, one in topics.items()}),
        groups={found: topic_id(one.group or one.code) for found, one in topics.items()},
        default_to=DEFAULT_TO,
        topic_spheres={found: spheres_of_topic(one.code) for found, one in topics.items()},
    )
    return Router(
        index,
        {one.id: NamedOrganisation(one.name, active=True) for one in owners.organisations.values()},
        TaxonomyNames({found: one.name for found, one in topics.items()}, municipality_names()),
        roles_of(list(owners.organisations.values()), {found: one.code for found, one in topics.items()}),
    )
