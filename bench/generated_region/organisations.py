"""The bodies of a made-up region: what one is, and which of them a district, a city and a settlement have."""

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
class Page:
    """An official page: the network's own id of the community, and its short name if it has one."""

    network: Network
    external_id: str
    screen_name: str | None


@dataclass(frozen=True)
class OtherName:
    """A name that it had (`former`, with its days) or is called by (`alias`, without)."""

    kind: Literal["former", "alias"]
    name: str
    valid_from: date | None = None
    valid_to: date | None = None


@dataclass(frozen=True, kw_only=True)
class Organisation:
    """A body of the region; `parent` is the code of the one it belongs to, which stands before it."""

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
    pages: tuple[Page, ...] = ()
    names: tuple[OtherName, ...] = ()


@dataclass(frozen=True)
class District:
    """A district or city; `former` is its name before `changed_on`; settlements are (name, adjective, oktmo)."""

    oktmo: str
    name: str
    adjective: str
    code: str
    former: str | None = None
    changed_on: date | None = None
    settlements: list[tuple[str, str, str]] = field(default_factory=list)


def regional_bodies() -> Iterator[Organisation]:
    """The government and the ministries beneath it."""
    yield Organisation(
        code="gov", name="Правительство региона", short_name="Правительство", kind="regional", sphere="управление"
    )
    for n, (name, short, sphere) in enumerate(REGIONAL):
        yield Organisation(
            code=f"reg-{n + 1:02}", name=name, short_name=short, kind="regional", sphere=sphere, parent="gov"
        )


def administrations(districts: list[District]) -> Iterator[Organisation]:
    """One administration for each district."""
    for district in districts:
        body = Organisation(
            code=f"adm-{district.code}",
            name="Администрация муниципального образования «{name}»",
            short_name="Администрация, {name}",
            kind="municipality",
            sphere="управление",
            parent="gov",
        )
        yield _of_district(district, body)


def _of_district(
    district: District, body: Organisation, *, was: str = "", since: date = date(2016, 1, 1)
) -> Organisation:
    """A body named after its district: when the district was renamed, so was the body."""
    words = {
        "adj": district.adjective,
        "club": CLUBS[int(district.code) % len(CLUBS)],
        "number": district.code[3:],
    }
    names = []
    if was:
        names.append(OtherName("former", was.format(name=district.former or district.name, **words), None, since))
    if district.former and district.changed_on and "{name}" in body.name:
        begun = since + timedelta(days=1) if was else None
        until = district.changed_on - timedelta(days=1)
        names.append(OtherName("former", body.name.format(name=district.former, **words), begun, until))
    return replace(
        body,
        name=body.name.format(name=district.name, **words),
        short_name=(body.short_name or body.name).format(name=district.name, **words),
        municipality=district.oktmo,
        oktmo=district.oktmo,
        names=tuple(names),
    )


def bodies_of(district: District, rng: random.Random) -> Iterator[Organisation]:
    """All that lies in a district, beneath its administration or a ministry; a court beneath none."""
    owner, since = f"adm-{district.code}", _some_day(rng)
    for place, (ministry, name, short, was) in enumerate(OF_MINISTRIES):
        body = Organisation(
            code=f"min{place}-{district.code}",
            name=name,
            short_name=short,
            kind="institution",
            sphere=REGIONAL[ministry][2],
            parent=f"reg-{ministry + 1:02}",
        )
        yield _of_district(district, body, was=was, since=since)
    for place, (name, short, was, sphere) in enumerate(OF_DISTRICTS):
        body = Organisation(
            code=f"dis{place}-{district.code}",
            name=name,
            short_name=short,
            kind="institution",
            sphere=sphere,
            parent=owner,
        )
        yield _of_district(district, body, was=was, since=since)
    yield Organisation(
        code=f"court-{district.code}",
        name=f"{district.adjective}ий {'районный' if district.settlements else 'городской'} суд",
        kind="court",
        sphere="правосудие",
        municipality=district.oktmo,
        names=(OtherName("alias", f"Суд, {district.name}"),),
    )
    yield from _of_city(district, owner, rng)
    for settlement in district.settlements:
        yield from _of_settlement(district, settlement, owner, rng)


def _some_day(rng: random.Random) -> date:
    return date(2016 + rng.randrange(9), 1 + rng.randrange(12), 1)


def _of_city(district: District, owner: str, rng: random.Random) -> Iterator[Organisation]:
    counts = (CITY_SCHOOLS.get(district.oktmo, 0), CITY_KINDERGARTENS.get(district.oktmo, 0))
    for (code, name, short_name, was, alias), count in zip(OF_CITIES, counts, strict=True):
        for n in range(1, count + 1):
            form, short = rng.choice((("бюджетное", "МБОУ"), ("автономное", "МАОУ")))
            words = {
                "n": str(n),
                "city": district.name.removeprefix("Город "),
                "form": form,
                "short": short,
                "nickname": KINDERGARTENS[n % len(KINDERGARTENS)],
            }
            yield Organisation(
                code=f"{code}-{district.code}-{n:03}",
                name=name.format(**words),
                short_name=short_name.format(**words),
                kind="institution",
                sphere="образование",
                municipality=district.oktmo,
                oktmo=district.oktmo,
                parent=owner,
                names=(
                    OtherName("former", was.format(**words), None, _some_day(rng)),
                    OtherName("alias", alias.format(**words)),
                ),
            )


def _of_settlement(
    district: District, settlement: tuple[str, str, str], owner: str, rng: random.Random
) -> Iterator[Organisation]:
    place, adjective, oktmo = settlement
    words = {
        "place": place,
        "adj": adjective,
        "district": district.name,
        "sign": rng.choice(("сельское поселение", "сельское поселение", "городское поселение")),
        "nickname": rng.choice(KINDERGARTENS),
        "club": rng.choice(CLUBS),
    }
    for code, name, short_name, was, alias, sphere in OF_SETTLEMENTS:
        yield Organisation(
            code=f"{code}-{oktmo}",
            name=name.format(**words),
            short_name=short_name.format(**words),
            kind="municipality" if code == "set" else "institution",
            sphere=sphere,
            municipality=district.oktmo,
            oktmo=oktmo,
            parent="reg-01" if code == "hosp" else owner,
            names=(
                OtherName("former", was.format(**words), None, _some_day(rng)),
                OtherName("alias", alias.format(**words)),
            ),
        )
