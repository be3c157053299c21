"""The made-up region that benchmarks and tests stand on."""

import pytest

from bench.generated_region.generator import generate
from services.registry.organisations.validation import oktmo_within_municipality
from services.registry.schemas.tax_numbers import inn_error, ogrn_error


def test_it_is_whole_and_the_same_every_time() -> None:
    region = generate(organisations=2_000, pages=3_600)
    assert (len(region.organisations), len(region.pages)) == (2_000, 3_600)
    assert region == generate(organisations=2_000, pages=3_600)
    assert region != generate(organisations=2_000, pages=3_600, seed=2)
    above: dict[str, int] = {}
    for body in region.organisations:
        above[body.code] = above[body.parent] + 1 if body.parent else 1
        assert inn_error(body.inn) is None
        assert ogrn_error(body.ogrn) is None
        assert oktmo_within_municipality(body.oktmo, body.municipality)
    assert set(above.values()) == {1, 2, 3}
    assert len({(page.network, page.external_id) for _, page in region.pages}) == 3_600


def test_more_than_can_be_invented_is_refused() -> None:
    with pytest.raises(ValueError, match="organisations can be invented"):
        generate(organisations=10_000)
    with pytest.raises(ValueError, match="keep at most"):
        generate(organisations=10, pages=21)
