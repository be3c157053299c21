"""A made-up region of any size for benchmarks and tests: three levels of bodies, their pages, ten years of names.

`generate(organisations=2000, pages=3600, seed=1)` gives the same region for the same arguments, on any machine.
Districts and cities are the real ones; bodies, numbers and addresses in them are invented. Numbers have right
check digits.
"""

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files

from bench.generated_region.name_parts import PREFIXES, SETTLEMENTS
from bench.generated_region.organisations import (
    District,
    Network,
    Organisation,
    OtherName,
    Page,
    administrations,
    bodies_of,
    regional_bodies,
)
from services.registry.schemas.tax_numbers import inn_check_digits, ogrn_check_digit

ADJECTIVES = {"81701000": "Улан-Удэнск", "81720000": "Северобайкальск"}
SETTLEMENTS_A_DISTRICT = 12
# Districts that became okrugs, and when: whatever was named after them has had another name.
OKRUGS = {"81603000": date(2023, 5, 1), "81624000": date(2024, 1, 1), "81648000": date(2025, 6, 15)}


@dataclass(frozen=True)
class Region:
    """Organisations, parents before children."""

    organisations: tuple[Organisation, ...]

    @property
    def pages(self) -> list[tuple[Organisation, Page]]:
        """All pages with their owners."""
        return [(body, page) for body in self.organisations for page in body.pages]


def generate(*, organisations: int = 2_000, pages: int = 3_600, seed: int = 1) -> Region:
    """A region of so many bodies and pages (`pages` ≤ about 1.9 × `organisations`).

    Raises `ValueError` for more of either than can be invented.
    """
    rng = random.Random(seed)
    districts = _districts(rng)
    top = [*regional_bodies(), *administrations(districts)]
    beneath = [body for district in districts for body in bodies_of(district, rng)]
    rng.shuffle(beneath)
    if organisations > len(top) + len(beneath):
        raise ValueError(f"at most {len(top) + len(beneath)} organisations can be invented")
    bodies = [_numbered(body, n, rng) for n, body in enumerate([*top, *beneath][:organisations])]
    return Region(tuple(_with_pages(bodies, pages, rng)))


def _districts(rng: random.Random) -> list[District]:
    with files("migrations.reference").joinpath("municipalities.csv").open(encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    places = [
        (prefix + (name if prefix.endswith("-") or not prefix else name.lower()), prefix, adjective)
        for prefix in PREFIXES
        for name, adjective in SETTLEMENTS
    ]
    rng.shuffle(places)
    found = []
    for row in rows:
        oktmo, name = row["oktmo"], row["name"]
        adjective = ADJECTIVES.get(oktmo) or name.split()[0].removesuffix("ий")
        okrug = f"{adjective}ий муниципальный округ" if oktmo in OKRUGS else None
        district = District(oktmo, okrug or name, adjective, oktmo[:5], name if okrug else None, OKRUGS.get(oktmo))
        if row["kind"] == "district":
            for n in range(SETTLEMENTS_A_DISTRICT):
                place, prefix, stem = places.pop()
                joined = prefix + (stem if prefix.endswith("-") or not prefix else stem.lower())
                district.settlements.append((place, joined, f"{oktmo[:5]}4{n + 1:02}"))
        found.append(district)
    return found


def _numbered(body: Organisation, n: int, rng: random.Random) -> Organisation:
    inn, ogrn = f"03{10_000 + n * 7:07}", f"1020300{n * 13:05}"
    exempt = body.kind == "institution" and rng.random() < 0.02
    names = body.names
    if " бюджетное" in body.name:
        # Before the reform of their legal form they were plain institutions.
        names = (OtherName("former", body.name.replace(" бюджетное", ""), None, date(2017, 12, 31)), *names)
    return replace(
        body,
        inn=inn + inn_check_digits(inn),
        ogrn=ogrn + ogrn_check_digit(ogrn),
        address=f"ул. {rng.choice(('Мира', 'Лесная', 'Школьная', 'Береговая', 'Новая'))}, {rng.randrange(1, 90)}",
        phone=f"8 (000) {n // 10_000:03}-{n // 100 % 100:02}-{n % 100:02}",
        email=f"{body.code}@example.org",
        site=f"https://{body.code}.example.org/" if rng.random() < 0.7 else None,
        names=names,
        exempt_reason="Решение учредителя: особенности сферы деятельности" if exempt else None,
        exempt_document=f"Распоряжение № {n} от 01.03.2024" if exempt else None,
    )


def _with_pages(bodies: list[Organisation], pages: int, rng: random.Random) -> Iterator[Organisation]:
    networks: tuple[Network, ...] = ("vk", "ok")
    places = [(body.code, network) for body in bodies if not body.exempt_reason for network in networks]
    if pages > len(places):
        raise ValueError(f"{len(bodies)} organisations keep at most {len(places)} pages")
    kept: dict[str, list[Page]] = {}
    for n, (code, network) in enumerate(sorted(rng.sample(places, pages))):
        number = 300_000_000 + n * 37 if network == "vk" else 57_000_000_000_000 + n * 9_973
        short = f"{code.replace('-', '_')}_{network}" if rng.random() < 0.6 else None
        kept.setdefault(code, []).append(Page(network, str(number), short))
    for body in bodies:
        yield replace(body, pages=tuple(kept.get(body.code, ())))
