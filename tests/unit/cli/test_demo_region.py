"""The region of the demo has the documented size and structure."""

from collections import Counter

from cli.demo.region import load
from cli.demo.seed import ORG_CODE


def test_region_has_the_documented_size_and_kinds() -> None:
    region = load()
    assert len(region) >= 64
    kinds = Counter(one.kind for one in region)
    assert kinds["municipality"] == 23
    assert kinds["regional"] >= 9
    spheres = Counter(one.spheres[0] for one in region if one.kind == "institution")
    for sphere in ("образование", "дошкольное образование", "здравоохранение", "культура"):
        assert spheres[sphere] >= 5, sphere


def test_pages_are_spread_evenly_over_networks() -> None:
    pages = Counter(network for one in load() for network in one.pages)
    assert pages.total() >= 120
    assert 0.8 < pages["vk"] / pages["ok"] < 1.25
    screens = [(network, screen) for one in load() for network, screen in one.pages.items()]
    assert len(set(screens)) == len(screens)


def test_every_parent_comes_before_its_child() -> None:
    seen: set[str] = set()
    for one in load():
        assert one.code not in seen
        assert one.parent is None or one.parent in seen, one.code
        seen.add(one.code)


def test_each_municipality_has_one_administration() -> None:
    codes = [one.municipality for one in load() if one.kind == "municipality"]
    assert len(set(codes)) == 23
    assert all(code is not None and code.startswith("81") and len(code) == 8 for code in codes)


def test_demo_user_org_works_at_a_school_with_pages_in_both_networks() -> None:
    (school,) = [one for one in load() if one.code == ORG_CODE]
    assert school.spheres == ("образование",)
    assert set(school.pages) == {"vk", "ok"}
