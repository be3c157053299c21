"""The page of overdue appeals: numbers by organisation and municipality, linked to their lists."""

import re

from tests.integration.access.all_services import CallerCase
from tests.integration.console.console_under_test import ConsoleUnderTest
from tests.integration.console.page_reading import HOSTILE, assert_escaped, heading_of, links_of, query_of, text_of

MODERATOR, HEAD, EXECUTOR = CallerCase("moderator"), CallerCase("head"), CallerCase("executor")
CITY = "81701000"


async def test_overdue_numbers_equal_the_length_of_their_lists(console: ConsoleUnderTest) -> None:
    page = (await console.send(HEAD, "GET", "/overdue")).response
    numbers = re.findall(r'<a href="([^"]*organisation_id=[^"]*)"[^>]*>.*?<td class="number">(\d+)<', page.text)
    assert numbers
    assert numbers == sorted(numbers, key=lambda one: -int(one[1]))
    for address, number in numbers:
        listed = (await console.send(HEAD, "GET", address.replace("&amp;", "&"))).response
        assert listed.text.count('class="row inbox-row') == int(number)


async def test_municipality_is_chosen_by_a_part_of_its_name(console: ConsoleUnderTest) -> None:
    chosen = (await console.send(MODERATOR, "GET", "/overdue?district=улан-уд")).response
    assert (chosen.status_code, query_of(chosen)) == (303, {"municipality": [CITY]})
    page = (await console.send(MODERATOR, "GET", chosen.headers["location"])).response
    assert heading_of(page) == "Просрочки: город Улан-Удэ"
    assert links_of(page)["Все муниципалитеты"] == "/overdue"


async def test_several_matching_municipalities_are_offered_to_choose_from(console: ConsoleUnderTest) -> None:
    several = (await console.send(MODERATOR, "GET", "/overdue?district=район")).response
    assert several.status_code == 422
    assert "выберите нужный" in several.text
    assert re.findall(r"<a [^>]* autofocus>([^<]*)<|<input [^>]* autofocus", several.text) == [
        "Баргузинский район"
    ]
    assert links_of(several)["Баргузинский район"] == "/overdue?municipality=81603000"


async def test_unknown_municipality_is_reported_beside_the_field(console: ConsoleUnderTest) -> None:
    response = (await console.send(MODERATOR, "GET", "/overdue", params={"district": HOSTILE})).response
    assert response.status_code == 422
    assert "Такого муниципалитета нет" in text_of(response)
    assert_escaped(response)


async def test_list_of_overdue_appeals_links_to_the_overdue_page(console: ConsoleUnderTest) -> None:
    listed = (await console.send(MODERATOR, "GET", f"/inbox?overdue=true&municipality={CITY}&sort=due")).response
    assert links_of(listed)["По организациям"] == f"/overdue?municipality={CITY}"
    others = (await console.send(EXECUTOR, "GET", "/inbox?sort=due")).response
    assert "По организациям" not in links_of(others)
