"""The organisations of a generated region, of its districts, cities and settlements."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Literal

from bench.generated_region.name_parts import (
    CLUBS,
    KINDERGARTENS,
    OF_CITIES,
    OF_DISTRICTS,
    OF_MINISTRIES,
    OF_SETTLEMENTS,
    REGIONAL,
)

CITY_SCHOOLS = {"81701000": 75, "81720000": 12}
CITY_KINDERGARTENS = {"81701000": 110, "81720000": 14}

Network = Literal["vk", "ok"]
Kind = Literal["regional", "municipality", "institution", "court", "other"]


@dataclass(frozen=True)
class GeneratedPage:
    """An official page: its id in the network, and its screen name or None."""

    network: Network
    external_id: str
    screen_name: str | None


@dataclass(frozen=True)
class AlternativeName:
    """A former name (`former`, with its dates) or another name in use (`alias`, without dates)."""

    kind: Literal["former", "alias"]
    name: str
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True, kw_only=True)
class GeneratedOrganisation:
    """An organisation of the region; `parent` is the code of its parent, which comes before it."""

    code: str
    name: str
    short_name: str | None = None
    kind: Kind
    sphere: str | None = None
    municipality: str | None = None
    oktmo: str | None = None
    inn: str = ""
    ogrn: str = ""
    address: str | None = None
    phone: str | None = None
    email: str | None = None
    site: str | None = None
    exempt_reason: str | None = None
    exempt_document: str | None = None
    parent: str | None = None
    pages: tuple[GeneratedPage, ...] = ()
    names: tuple[AlternativeName, ...] = ()


@dataclass(frozen=True)
class GeneratedDistrict:
    """A district or city; `former` is its name before `changed_on`; settlements are (name, adjective, oktmo)."""

    oktmo: str
    name: str
    adjective: str
    code: str
    former: str | None = None
    changed_on: date | None = None
    settlements: list[tuple[str, str, str]] = field(default_factory=list)


def regional_organisations() -> Iterator[GeneratedOrganisation]:
    """Yield the government and its ministries."""
    yield GeneratedOrganisation(
        code="gov", name="Правительство региона", short_name="Правительство", kind="regional", sphere="управление"
    )
    for n, (name, short, sphere) in enumerate(REGIONAL):
        yield GeneratedOrganisation(
            code=f"reg-{n + 1:02}", name=name, short_name=short, kind="regional", sphere=sphere, parent="gov"
        )


def administrations(districts: list[GeneratedDistrict]) -> Iterator[GeneratedOrganisation]:
    """Yield one administration for each district."""
    for district in districts:
        organisation = GeneratedOrganisation(
            code=f"adm-{district.code}",
            name="Администрация муниципального образования «{name}»",
            short_name="Администрация, {name}",
            kind="municipality",
            sphere="управление",
            parent="gov",
        )
        yield _named_after_district(district, organisation)


def _named_after_district(
    district: GeneratedDistrict,
    organisation: GeneratedOrganisation,
    *,
    former_name: str = "",
    since: date = date(2016, 1, 1),
) -> GeneratedOrganisation:
    """Return an organisation named after its district, with a former name if the district was renamed."""
    placeholders = {
        "adj": district.adjective,
        "club": CLUBS[int(district.code) % len(CLUBS)],
        "number": district.code[3:],
    }
    names = []
    if former_name:
        names.append(
            AlternativeName(
                "former", former_name.format(name=district.former or district.name, **placeholders), None, since
            )
        )
    if district.former and district.changed_on and "{name}" in organisation.name:
        valid_from = since + timedelta(days=1) if former_name else None
        until = district.changed_on - timedelta(days=1)
        names.append(
            AlternativeName(
                "former", organisation.name.format(name=district.former, **placeholders), valid_from, until
            )
        )
    return replace(
        organisation,
        name=organisation.name.format(name=district.name, **placeholders),
        short_name=(organisation.short_name or organisation.name).format(name=district.name, **placeholders),
        municipality=district.oktmo,
        oktmo=district.oktmo,
        names=tuple(names),
    )


def district_organisations(district: GeneratedDistrict, rng: random.Random) -> Iterator[GeneratedOrganisation]:
    """Yield the organisations of a district, below its administration or a ministry; courts have no parent."""
    administration, since = f"adm-{district.code}", _random_date(rng)
    for index, (ministry, name, short, former_name) in enumerate(OF_MINISTRIES):
        organisation = GeneratedOrganisation(
            code=f"min{index}-{district.code}",
            name=name,
            short_name=short,
            kind="institution",
            sphere=REGIONAL[ministry][2],
            parent=f"reg-{ministry + 1:02}",
        )
        yield _named_after_district(district, organisation, former_name=former_name, since=since)
    for index, (name, short, former_name, sphere) in enumerate(OF_DISTRICTS):
        organisation = GeneratedOrganisation(
            code=f"dis{index}-{district.code}",
            name=name,
            short_name=short,
            kind="institution",
            sphere=sphere,
            parent=administration,
        )
        yield _named_after_district(district, organisation, former_name=former_name, since=since)
    yield GeneratedOrganisation(
        code=f"court-{district.code}",
        name=f"{district.adjective}ий {'районный' if district.settlements else 'городской'} суд",
        kind="court",
        sphere="правосудие",
        municipality=district.oktmo,
        names=(AlternativeName("alias", f"Суд, {district.name}"),),
    )
    yield from _city_organisations(district, administration, rng)
    for settlement in district.settlements:
        yield from _settlement_organisations(district, settlement, administration, rng)


def _random_date(rng: random.Random) -> date:
    return date(2016 + rng.randrange(9), 1 + rng.randrange(12), 1)


def _city_organisations(
    district: GeneratedDistrict, administration: str, rng: random.Random
) -> Iterator[GeneratedOrganisation]:
    counts = (CITY_SCHOOLS.get(district.oktmo, 0), CITY_KINDERGARTENS.get(district.oktmo, 0))
    for (code, name, short_name, former_name, alias), count in zip(OF_CITIES, counts, strict=True):
        for n in range(1, count + 1):
            form, short = rng.choice((("бюджетное", "МБОУ"), ("автономное", "МАОУ")))
            placeholders = {
                "n": str(n),
                "city": district.name.removeprefix("Город "),
                "form": form,
                "short": short,
                "nickname": KINDERGARTENS[n % len(KINDERGARTENS)],
            }
            yield GeneratedOrganisation(
                code=f"{code}-{district.code}-{n:03}",
                name=name.format(**placeholders),
                short_name=short_name.format(**placeholders),
                kind="institution",
                sphere="образование",
                municipality=district.oktmo,
                oktmo=district.oktmo,
                parent=administration,
                names=(
                    AlternativeName("former", former_name.format(**placeholders), None, _random_date(rng)),
                    AlternativeName("alias", alias.format(**placeholders)),
                ),
            )


def _settlement_organisations(
    district: GeneratedDistrict, settlement: tuple[str, str, str], administration: str, rng: random.Random
) -> Iterator[GeneratedOrganisation]:
    settlement_name, adjective, oktmo = settlement
    placeholders = {
        "place": settlement_name,
        "adj": adjective,
        "district": district.name,
        "sign": rng.choice(("сельское поселение", "сельское поселение", "городское поселение")),
        "nickname": rng.choice(KINDERGARTENS),
        "club": rng.choice(CLUBS),
    }
    for code, name, short_name, former_name, alias, sphere in OF_SETTLEMENTS:
        yield GeneratedOrganisation(
            code=f"{code}-{oktmo}",
            name=name.format(**placeholders),
            short_name=short_name.format(**placeholders),
            kind="municipality" if code == "set" else "institution",
            sphere=sphere,
            municipality=district.oktmo,
            oktmo=oktmo,
            parent="reg-01" if code == "hosp" else administration,
            names=(
                AlternativeName("former", former_name.format(**placeholders), None, _random_date(rng)),
                AlternativeName("alias", alias.format(**placeholders)),
            ),
        )
