"""Screen names resolve to the types that an independent client expects."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract.vk.emulator_page import VkPage
from tests.support.lazy_module import LazyModule

vkbottle = LazyModule("vkbottle")
vkbottle_objects = LazyModule("vkbottle_types.objects")


@pytest.fixture
async def bottle(page: VkPage) -> AsyncIterator[Any]:
    """vkbottle with a service token of the emulator."""
    api = vkbottle.API(page.service)
    api.API_URL = f"{page.emulator.url}/method/"
    yield api
    await api.http_client.close()


@pytest.mark.parametrize("name", ["school1", "SCHOOL1", "club{id}", "public{id}"])
async def test_community_is_found_by_any_of_its_names(name: str, page: VkPage, bottle: Any) -> None:
    found = await bottle.utils.resolve_screen_name(screen_name=name.format(id=page.id))
    assert isinstance(found, vkbottle_objects.UtilsDomainResolved)
    assert (found.type, found.object_id, found.group_id) == ("page", page.id, page.id)


async def test_person_is_found_by_id(bottle: Any) -> None:
    found = await bottle.utils.resolve_screen_name(screen_name="id700000001")
    assert isinstance(found, vkbottle_objects.UtilsDomainResolved)
    assert (found.type, found.object_id, found.group_id) == ("user", 700_000_001, None)


async def test_unknown_name_gives_an_empty_list(bottle: Any) -> None:
    assert await bottle.utils.resolve_screen_name(screen_name="nobody_has_this_name") == []


async def test_all_kinds_of_tokens_are_accepted(page: VkPage) -> None:
    for token in (page.group, page.service, page.user):
        body = await page.api("utils.resolveScreenName", token, screen_name="school1")
        assert body["response"]["object_id"] == page.id


async def test_empty_screen_name_is_refused(bottle: Any) -> None:
    with pytest.raises(vkbottle.VKAPIError[100]):
        await bottle.utils.resolve_screen_name(screen_name="")
