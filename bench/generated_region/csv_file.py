"""A made-up region as a file that the registry imports, headed as the registries of regions are.

python -m bench.generated_region.csv_file region.csv --organisations 2000 --pages 3600
"""

import argparse
import csv
import io
from collections.abc import Iterator
from pathlib import Path

from bench.generated_region.generator import generate
from bench.generated_region.organisations import Organisation, OtherName
from services.registry.import_export.columns import COLUMN_BY_FIELD

_AS_THEY_ARE = (
    *("code", "name", "short_name", "kind", "sphere", "municipality", "oktmo", "inn", "ogrn"),
    *("address", "phone", "email", "site", "exempt_reason", "exempt_document"),
)
FIELDS = (*_AS_THEY_ARE, "owner", "aliases", "former_names", "vk_id", "vk_url", "ok_id", "ok_url")
_ADDRESSES = {
    "vk": ("https://vk.com/club{}", "https://vk.com/{}"),
    "ok": ("https://ok.ru/group/{}", "https://ok.ru/{}"),
}


def region_csv(*, organisations: int = 2_000, pages: int = 3_600, seed: int = 1) -> str:
    """The region of `bench.generated_region.generator` as CSV, one row for an organisation."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMN_BY_FIELD[field].title for field in FIELDS)
    for body in generate(organisations=organisations, pages=pages, seed=seed).organisations:
        values = dict(_values(body))
        writer.writerow(values.get(field) or "" for field in FIELDS)
    return text.getvalue()


def _values(body: Organisation) -> Iterator[tuple[str, str | None]]:
    for field in _AS_THEY_ARE:
        yield field, getattr(body, field)
    yield "owner", body.parent
    yield "aliases", "\n".join(name.name for name in body.names if name.kind == "alias")
    yield "former_names", "\n".join(_dated(name) for name in body.names if name.kind == "former")
    for page in body.pages:
        by_id, by_name = _ADDRESSES[page.network]
        yield f"{page.network}_id", page.external_id
        yield (
            f"{page.network}_url",
            by_name.format(page.screen_name) if page.screen_name else by_id.format(page.external_id),
        )


def _dated(name: OtherName) -> str:
    return f"{name.name} [{name.valid_from or ''}/{name.valid_to or ''}]"


def main() -> None:
    """Write the file that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--organisations", type=int, default=2_000)
    parser.add_argument("--pages", type=int, default=3_600)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    text = region_csv(organisations=given.organisations, pages=given.pages, seed=given.seed)
    given.file.write_text(text, encoding="utf-8-sig", newline="")


if __name__ == "__main__":
    main()
