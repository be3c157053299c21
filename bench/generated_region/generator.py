"""Generate a region of any size for benchmarks and tests: organisations on three levels, pages, former names.

`generate(organisations=2000, pages=3600, seed=1)` returns the same region for the same arguments on any machine.
Districts and cities are real; organisations, numbers and addresses in them are invented. Numbers have valid check
digits.
"""

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib.resources import files

from bench.generated_region.name_parts import PREFIXES, SETTLEMENTS
from bench.generated_region.organisations import (
    AlternativeName,
    GeneratedDistrict,
    GeneratedOrganisation,
    GeneratedPage,
    Network,
    administrations,
    district_organisations,
    regional_organisations,
)
from services.registry.schemas.tax_numbers import inn_check_digits, ogrn_check_digit

ADJECTIVES = {"81701000": "Улан-Удэнск", "81720000": "Северобайкальск"}
SETTLEMENTS_PER_DISTRICT = 12
# Districts that became okrugs, and when: organisations named after them were renamed.
RENAMED_DISTRICTS = {"81603000": date(2023, 5, 1), "81624000": date(2024, 1, 1), "81648000": date(2025, 6, 15)}


@dataclass(frozen=True)
class GeneratedRegion:
    """The organisations, parents before children."""

    organisations: tuple[GeneratedOrganisation, ...]

    @property
    def pages(self) -> list[tuple[GeneratedOrganisation, GeneratedPage]]:
        """Return all pages with their organisations."""
        return [(organisation, page) for organisation in self.organisations for page in organisation.pages]


def generate(*, organisations: int = 2_000, pages: int = 3_600, seed: int = 1) -> GeneratedRegion:
    """Return a region with these numbers of organisations and pages (`pages` ≤ about 1.9 × `organisations`).

    Raises `ValueError` for more organisations or pages than can be generated.
    """
    rng = random.Random(seed)
    districts = _districts(rng)
    top = [*regional_organisations(), *administrations(districts)]
    others = [organisation for district in districts for organisation in district_organisations(district, rng)]
    rng.shuffle(others)
    if organisations > len(top) + len(others):
        raise ValueError(f"at most {len(top) + len(others)} organisations can be generated")
    selected = [
        _with_details(organisation, n, rng) for n, organisation in enumerate([*top, *others][:organisations])
    ]
    return GeneratedRegion(tuple(_with_pages(selected, pages, rng)))


def _districts(rng: random.Random) -> list[GeneratedDistrict]:
    with files("migrations.reference").joinpath("municipalities.csv").open(encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    names = [
        (prefix + (name if prefix.endswith("-") or not prefix else name.lower()), prefix, adjective)
        for prefix in PREFIXES
        for name, adjective in SETTLEMENTS
    ]
    rng.shuffle(names)
    found = []
    for row in rows:
        oktmo, name = row["oktmo"], row["name"]
        adjective = ADJECTIVES.get(oktmo) or name.split()[0].removesuffix("ий")
        okrug = f"{adjective}ий муниципальный округ" if oktmo in RENAMED_DISTRICTS else None
        district = GeneratedDistrict(
            oktmo, okrug or name, adjective, oktmo[:5], name if okrug else None, RENAMED_DISTRICTS.get(oktmo)
        )
        if row["kind"] == "district":
            for n in range(SETTLEMENTS_PER_DISTRICT):
                settlement, prefix, stem = names.pop()
                settlement_stem = prefix + (stem if prefix.endswith("-") or not prefix else stem.lower())
                district.settlements.append((settlement, settlement_stem, f"{oktmo[:5]}4{n + 1:02}"))
        found.append(district)
    return found


def _with_details(organisation: GeneratedOrganisation, n: int, rng: random.Random) -> GeneratedOrganisation:
    inn, ogrn = f"03{10_000 + n * 7:07}", f"1020300{n * 13:05}"
    exempt = organisation.kind == "institution" and rng.random() < 0.02
    names = organisation.names
    if " бюджетное" in organisation.name:
        # Before the reform of legal forms, names of institutions did not contain the word «бюджетное».
        names = (
            AlternativeName("former", organisation.name.replace(" бюджетное", ""), None, date(2017, 12, 31)),
            *names,
        )
    return replace(
        organisation,
        inn=inn + inn_check_digits(inn),
        ogrn=ogrn + ogrn_check_digit(ogrn),
        address=f"ул. {rng.choice(('Мира', 'Лесная', 'Школьная', 'Береговая', 'Новая'))}, {rng.randrange(1, 90)}",
        phone=f"8 (000) {n // 10_000:03}-{n // 100 % 100:02}-{n % 100:02}",
        email=f"{organisation.code}@example.org",
        site=f"https://{organisation.code}.example.org/" if rng.random() < 0.7 else None,
        names=names,
        exempt_reason="Решение учредителя: особенности сферы деятельности" if exempt else None,
        exempt_document=f"Распоряжение № {n} от 01.03.2024" if exempt else None,
    )


def _with_pages(
    organisations: list[GeneratedOrganisation], pages: int, rng: random.Random
) -> Iterator[GeneratedOrganisation]:
    networks: tuple[Network, ...] = ("vk", "ok")
    slots = [
        (organisation.code, network)
        for organisation in organisations
        if not organisation.exempt_reason
        for network in networks
    ]
    if pages > len(slots):
        raise ValueError(f"{len(organisations)} organisations can have at most {len(slots)} pages")
    pages_by_code: dict[str, list[GeneratedPage]] = {}
    for n, (code, network) in enumerate(sorted(rng.sample(slots, pages))):
        number = 300_000_000 + n * 37 if network == "vk" else 57_000_000_000_000 + n * 9_973
        short = f"{code.replace('-', '_')}_{network}" if rng.random() < 0.6 else None
        pages_by_code.setdefault(code, []).append(GeneratedPage(network, str(number), short))
    for organisation in organisations:
        yield replace(organisation, pages=tuple(pages_by_code.get(organisation.code, ())))
