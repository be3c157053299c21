"""Write a generated region as a CSV file that the registry can import, with Russian headings.

python -m bench.generated_region.csv_file region.csv --organisations 2000 --pages 3600
"""

import argparse
import csv
import io
from collections.abc import Iterator
from pathlib import Path

from bench.generated_region.generator import generate
from bench.generated_region.organisations import AlternativeName, GeneratedOrganisation
from services.registry.import_export.columns import COLUMN_BY_FIELD

_PLAIN_FIELDS = (
    *("code", "name", "short_name", "kind", "sphere", "municipality", "oktmo", "inn", "ogrn"),
    *("address", "phone", "email", "site", "exempt_reason", "exempt_document"),
)
FIELDS = (*_PLAIN_FIELDS, "parent", "aliases", "former_names", "vk_id", "vk_url", "ok_id", "ok_url")
_PAGE_URLS = {
    "vk": ("https://vk.com/club{}", "https://vk.com/{}"),
    "ok": ("https://ok.ru/group/{}", "https://ok.ru/{}"),
}


def region_csv(*, organisations: int = 2_000, pages: int = 3_600, seed: int = 1) -> str:
    """Return a region of `bench.generated_region.generator` as CSV, one row per organisation."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMN_BY_FIELD[field].title for field in FIELDS)
    for organisation in generate(organisations=organisations, pages=pages, seed=seed).organisations:
        values = dict(_values(organisation))
        writer.writerow(values.get(field) or "" for field in FIELDS)
    return text.getvalue()


def _values(organisation: GeneratedOrganisation) -> Iterator[tuple[str, str | None]]:
    for field in _PLAIN_FIELDS:
        yield field, getattr(organisation, field)
    yield "parent", organisation.parent
    yield "aliases", "\n".join(name.name for name in organisation.names if name.kind == "alias")
    yield "former_names", "\n".join(_name_with_dates(name) for name in organisation.names if name.kind == "former")
    for page in organisation.pages:
        by_id, by_name = _PAGE_URLS[page.network]
        yield f"{page.network}_id", page.external_id
        yield (
            f"{page.network}_url",
            by_name.format(page.screen_name) if page.screen_name else by_id.format(page.external_id),
        )


def _name_with_dates(name: AlternativeName) -> str:
    return f"{name.name} [{name.valid_from or ''}/{name.valid_to or ''}]"


def main() -> None:
    """Write the CSV file given by the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--organisations", type=int, default=2_000)
    parser.add_argument("--pages", type=int, default=3_600)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    text = region_csv(organisations=args.organisations, pages=args.pages, seed=args.seed)
    args.file.write_text(text, encoding="utf-8-sig", newline="")


if __name__ == "__main__":
    main()
