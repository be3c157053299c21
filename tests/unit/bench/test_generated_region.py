"""The generated region for benchmarks and tests."""

import pytest

from bench.generated_region.generator import generate
from services.registry.organisations.validation import oktmo_within_municipality
from services.registry.schemas.tax_numbers import inn_error, ogrn_error


def test_region_is_complete_and_deterministic() -> None:
    region = generate(organisations=2_000, pages=3_600)
    assert (len(region.organisations), len(region.pages)) == (2_000, 3_600)
    assert region == generate(organisations=2_000, pages=3_600)
    assert region != generate(organisations=2_000, pages=3_600, seed=2)
    levels: dict[str, int] = {}
    for organisation in region.organisations:
        levels[organisation.code] = levels[organisation.parent] + 1 if organisation.parent else 1
        assert inn_error(organisation.inn) is None
        assert ogrn_error(organisation.ogrn) is None
        assert oktmo_within_municipality(organisation.oktmo, organisation.municipality)
    assert set(levels.values()) == {1, 2, 3}
    assert len({(page.network, page.external_id) for _, page in region.pages}) == 3_600


def test_too_large_region_is_refused() -> None:
    with pytest.raises(ValueError, match="organisations can be generated"):
        generate(organisations=10_000)
    with pytest.raises(ValueError, match="can have at most"):
        generate(organisations=10, pages=21)
