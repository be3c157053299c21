"""Organisations with a role, from the registry: administrations by territory, regional bodies by sphere."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import pytest

from services.appeals.routing.registry_roles import OrganisationEntry, roles_of
from services.appeals.routing.rules import PageOwner, RoutingFacts
from services.appeals.routing.spheres import closest_spheres, sphere_codes, spheres_of_topic

SPACE = UUID(int=1)
DISTRICT, CITY = "81624000", "81701000"
SEATS = {DISTRICT: "Кабанский район", CITY: "город Улан-Удэ"}
ROADS, INSPECTION = UUID(int=10), UUID(int=11)
TOPICS = {ROADS: "roads.06", INSPECTION: "utilities.09"}


def entry(
    name: str,
    *,
    kind: str = "municipality",
    spheres: Sequence[str] = (),
    oktmo: str | None = None,
    above: OrganisationEntry | None = None,
) -> OrganisationEntry:
    found = uuid5(SPACE, name)
    main = spheres[0] if spheres else None
    lineage = [*(above.lineage if above else ()), found]
    return OrganisationEntry(found, name, kind, main, spheres[1:], oktmo, SEATS.get(oktmo or ""), lineage)


KABANSK = entry("Администрация Кабанского района", oktmo=DISTRICT, spheres=["местное самоуправление"])
KAMENSK = entry("Администрация городского поселения «Каменское»", oktmo=DISTRICT, above=KABANSK)
EDUCATION = entry("Комитет по образованию", oktmo=DISTRICT, spheres=["образование"])
ULAN_UDE = entry("Администрация города Улан-Удэ", oktmo=CITY)
OKTYABRSKY = entry("Администрация Октябрьского района г. Улан-Удэ", oktmo=CITY, above=ULAN_UDE)
EVERYONE = [KABANSK, KAMENSK, EDUCATION, ULAN_UDE, OKTYABRSKY]


def administration(municipality: str | None, settlement: str | None = None, **more: Any) -> Sequence[UUID]:
    facts = RoutingFacts(municipality=municipality, settlement=settlement, **more)
    return roles_of(EVERYONE, TOPICS).holders("municipality_administration", facts)


def page_of(owner: OrganisationEntry) -> PageOwner:
    return PageOwner(UUID(int=900), owner.id, owner.name, owner.municipality, active=True)


def test_municipality_is_governed_by_the_uppermost_administration() -> None:
    assert administration(DISTRICT) == [KABANSK.id]
    assert administration(CITY) == [ULAN_UDE.id]
    assert administration(CITY, "Улан-Удэ") == [ULAN_UDE.id]
    assert administration(None) == []
    assert administration("81603000") == []


def test_settlement_is_governed_by_its_own_administration_first() -> None:
    assert administration(DISTRICT, "Каменск") == [KAMENSK.id]
    assert administration(DISTRICT, "КАМЕНСК ") == [KAMENSK.id]
    assert administration(DISTRICT, "Шергино") == [KABANSK.id]


def test_page_owner_that_governs_the_location_is_preferred() -> None:
    assert administration(CITY, page_owner=page_of(OKTYABRSKY)) == [OKTYABRSKY.id]
    # The location of the page names no settlement.
    assert administration(DISTRICT, page_owner=page_of(KAMENSK)) == [KAMENSK.id]
    assert administration(DISTRICT, "Шергино", page_owner=page_of(KAMENSK)) == [KABANSK.id]
    assert administration(CITY, page_owner=page_of(KAMENSK)) == [ULAN_UDE.id]
    assert administration(DISTRICT, page_owner=page_of(EDUCATION)) == [KABANSK.id]


def test_administrations_of_equal_rank_are_all_found() -> None:
    other = entry("Администрация округа", oktmo=DISTRICT)
    found = roles_of([*EVERYONE, other], TOPICS).holders(
        "municipality_administration", RoutingFacts(municipality=DISTRICT)
    )
    assert set(found) == {KABANSK.id, other.id}


MINISTRY = entry("Министерство транспорта", kind="regional", spheres=["экономика", "дороги и транспорт"])
AGENCY = entry("Дорожное агентство", kind="regional", spheres=["Дорожное хозяйство"])
OFFICE = entry("Управление дорог", kind="regional", spheres=["дороги"], above=AGENCY)
SCHOOL = entry("Школа", kind="institution", spheres=["дороги"])


@pytest.mark.parametrize(
    ("bodies", "found"),
    [
        ([SCHOOL], []),
        ([MINISTRY, SCHOOL], [MINISTRY]),
        # The main sphere takes precedence over others, and a body over its subordinates.
        ([MINISTRY, AGENCY, OFFICE], [AGENCY]),
        ([AGENCY, entry("Вторая служба", kind="regional", spheres=["дороги"])], None),
    ],
)
def test_regional_body_of_the_sphere_is_found(
    bodies: list[OrganisationEntry], found: list[OrganisationEntry] | None
) -> None:
    holders = roles_of(bodies, TOPICS).holders("sphere_body", RoutingFacts(ROADS))
    assert list(holders) == [one.id for one in (bodies if found is None else found)]


def test_body_of_the_group_is_not_responsible_for_a_topic_with_its_own_sphere() -> None:
    housing = entry("Министерство ЖКХ", kind="regional", spheres=["ЖКХ"])
    inspection = entry("Жилищная инспекция", kind="regional", spheres=["жилищный надзор"])
    roles = roles_of([housing], TOPICS)
    assert list(roles.holders("sphere_body", RoutingFacts(INSPECTION))) == []
    assert list(roles_of([housing, inspection], TOPICS).holders("sphere_body", RoutingFacts(INSPECTION))) == [
        inspection.id
    ]
    assert list(roles.holders("sphere_body", RoutingFacts())) == []


def test_body_that_owns_the_page_is_chosen_among_several() -> None:
    other = entry("Вторая служба", kind="regional", spheres=["дороги"])
    facts = RoutingFacts(ROADS, page_owner=page_of(other))
    assert list(roles_of([AGENCY, other], TOPICS).holders("sphere_body", facts)) == [other.id]


def test_founder_is_the_organisation_above_the_page_owner() -> None:
    owner = PageOwner(UUID(int=900), SCHOOL.id, SCHOOL.name, None, active=True, founder_id=KABANSK.id)
    roles = roles_of(EVERYONE, TOPICS)
    assert list(roles.holders("page_owner_founder", RoutingFacts(page_owner=owner))) == [KABANSK.id]
    assert list(roles.holders("page_owner_founder", RoutingFacts(page_owner=page_of(SCHOOL)))) == []
    assert list(roles.holders("page_owner_founder", RoutingFacts())) == []


def test_spheres_are_compared_ignoring_case_yo_and_other_names() -> None:
    assert sphere_codes(["Жилищно-коммунальное хозяйство"]) == {"utilities"}
    assert sphere_codes(["дороги и транспорт", None, ""]) == {"roads", "transport"}
    assert sphere_codes(["МОЛОДЕЖНАЯ ПОЛИТИКА"]) == {"youth"}
    assert sphere_codes(["Космос"]) == {"космос"}


def test_topic_has_its_own_spheres_and_those_of_its_group() -> None:
    assert closest_spheres("utilities.09") == ("housing-inspection",)
    assert spheres_of_topic("utilities.09") == {"housing-inspection", "utilities"}
    assert closest_spheres("roads.06") == closest_spheres("roads") == ("roads",)
