"""Pages of reports: content by role, numbers linked to their rows, downloads and refusals beside the form."""

import html
import re

import pytest

from tests.integration.access.all_services import CallerCase
from tests.integration.access.sample_data import MARKS
from tests.integration.console.console_under_test import ConsoleUnderTest

MODERATOR, EXECUTOR = CallerCase("moderator"), CallerCase("executor")
# The day on which the newest appeal of each sample organisation was opened.
DAYS = "from=2026-03-04&to=2026-03-04"


async def _text(console: ConsoleUnderTest, who: CallerCase, path: str, status: int = 200) -> str:
    response = (await console.send(who, "GET", path)).response
    assert response.status_code == status, response.text[-800:]
    return response.text


def _words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


async def test_report_page_shows_its_sections_and_links_files_and_weeks(console: ConsoleUnderTest) -> None:
    page = await _text(console, MODERATOR, "/reports/2026-W10")
    for title in ("Требует внимания", "Обращения по каналам", "Итоги", "Обещания", "Удалённые вопросы"):
        assert title in page
    for kind in ("pdf", "xlsx", "html", "json"):
        assert re.search(rf'href="/reports/2026-W10/report\.{kind}" hx-boost="false"', page), kind
    assert 'href="/reports/2026-W09" data-key="["' in page
    assert 'href="/reports/2026-W11" data-key="]"' in page


async def test_number_in_a_report_links_to_that_many_rows(console: ConsoleUnderTest) -> None:
    page = await _text(console, MODERATOR, "/reports/2026-W10")
    opened = re.search(r'<a href="(/reports/2026-W10/rows/opened)" aria-label="(\d+), Всего"', page)
    assert opened is not None
    rows = await _text(console, MODERATOR, opened[1])
    assert rows.count("<tr data-row>") == int(opened[2]) > 0
    assert MARKS["own"] in rows


async def test_number_of_pages_by_light_links_to_that_many_pages(console: ConsoleUnderTest) -> None:
    page = await _text(console, MODERATOR, "/reports/2026-W09")
    groups = re.findall(r'<a href="(/reports/2026-W09/rows/pages\?light=\w+[^"]*)" aria-label="(\d+), ', page)
    assert any("peer_group=" in address for address, _ in groups)
    for address, number in groups:
        rows = await _text(console, MODERATOR, html.unescape(address))
        assert rows.count("<tr data-row>") == int(number) > 0, address
        assert '<a href="/page-health/' in rows
        assert "?week=2026-W09" in rows
        for row in re.findall(r"<tr data-row>.*?</tr>", rows, re.DOTALL):
            assert "Организация" in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)[2], row


async def test_peer_group_in_a_report_lists_its_organisations(console: ConsoleUnderTest) -> None:
    page = await _text(console, MODERATOR, "/reports/2026-W10")
    group = re.search(r'href="(/reports/2026-W10/organisations\?group=[^"]+)"', page)
    assert group is not None
    listed = await _text(console, MODERATOR, group[1])
    assert f"Организация {MARKS['own']}" in listed
    assert 'href="/reports/2026-W10/rows/opened?organisation_id=' in listed
    assert (await console.send(MODERATOR, "GET", "/reports/2026-W10/organisations")).response.status_code == 200


async def test_week_parameter_redirects_to_its_report_and_unknown_weeks_are_not_found(
    console: ConsoleUnderTest,
) -> None:
    response = (await console.send(MODERATOR, "GET", "/reports?week=2026-W10")).response
    assert (response.status_code, response.headers["location"]) == (303, "/reports/2026-W10")
    letter = (await console.send(MODERATOR, "GET", "/reports/weekly/2026-W10")).response
    assert (letter.status_code, letter.headers["location"]) == (303, "/reports/2026-W10")
    for wrong in (
        "/reports/weekly/2026-W60",
        "/reports/неделя/rows/opened",
        "/reports/2026-W60/rows/opened.csv",
        "/reports/2026-W60",
        "/reports/2098-W10",
        "/reports/today",
        "/reports/2026-W10/rows/authors",
    ):
        assert "Такой страницы нет" in await _text(console, MODERATOR, wrong, 404)


async def test_downloaded_report_is_named_after_its_week(console: ConsoleUnderTest) -> None:
    visited = await console.send(MODERATOR, "GET", "/reports/2026-W10/report.json")
    assert visited.response.headers["content-disposition"] == 'attachment; filename="weekly-report-2026-W10.json"'
    assert visited.response.json()["report"]["week"] == "2026-W10"
    refused = await console.send(EXECUTOR, "GET", "/reports/2026-W10/report.json")
    assert refused.response.status_code == 403
    assert "<h1>" in refused.response.text


async def test_organisation_is_not_offered_the_report_of_the_region(console: ConsoleUnderTest) -> None:
    page = await _text(console, EXECUTOR, "/pulse")
    assert 'href="/analytics"' in page
    assert 'href="/reports"' not in page


async def test_day_that_has_not_ended_has_no_pulse(console: ConsoleUnderTest) -> None:
    assert "он ещё не закончился" in await _text(console, MODERATOR, "/pulse?day=2099-01-01", 422)
    assert "Сводка за" in await _text(console, MODERATOR, "/pulse?day=nonsense")


async def test_pulse_of_a_day_links_its_appeals(console: ConsoleUnderTest) -> None:
    page = await _text(console, MODERATOR, "/pulse?day=2026-03-04")
    opened = re.search(r'href="(/analytics/appeals[^"]*figure=opened)" aria-label="(\d+), поступившие', page)
    assert opened is not None
    listed = await _text(console, MODERATOR, html.unescape(opened[1]))
    assert listed.count("<tr data-row>") == int(opened[2]) > 0


async def test_number_in_a_table_links_to_that_many_appeals(console: ConsoleUnderTest) -> None:
    page = await _text(console, MODERATOR, f"/analytics?rows=organisation&{DAYS}")
    table = page[page.index('<table class="analytics-table">') :]
    links = re.findall(r'<a href="(/analytics/appeals\?[^"]+)" aria-label="(\d+), ', table)
    assert links
    for address, number in links[:4]:
        listed = _words(await _text(console, MODERATOR, html.unescape(address)))
        assert re.search(rf": {number} обращени", listed), (address, number)


async def test_organisation_sees_its_own_figures(console: ConsoleUnderTest) -> None:
    page = await _text(console, EXECUTOR, f"/analytics?rows=organisation&{DAYS}")
    assert MARKS["own"] in page
    assert MARKS["foreign"] not in page


async def test_table_is_sorted_by_parameters_of_its_address(console: ConsoleUnderTest) -> None:
    page = await _text(console, MODERATOR, f"/analytics?rows=organisation&sort=name&order=desc&{DAYS}")
    names = re.findall(r'<tr data-row><th scope="row"><a [^>]+>([^<]+)</a>', page)
    assert len(names) >= 3
    in_order = re.findall(
        r'<tr data-row><th scope="row"><a [^>]+>([^<]+)</a>',
        await _text(console, MODERATOR, f"/analytics?rows=organisation&sort=name&order=asc&{DAYS}"),
    )
    assert names == in_order[::-1]
    assert 'aria-sort="descending"' in page


async def test_cross_table_has_a_column_for_each_network(console: ConsoleUnderTest) -> None:
    page = await _text(console, MODERATOR, f"/analytics?rows=organisation&columns=network&figure=overdue&{DAYS}")
    assert "ВКонтакте" in page
    assert "<caption>Просрочено</caption>" in page


async def test_period_that_ends_before_it_starts_is_refused_beside_the_form(console: ConsoleUnderTest) -> None:
    for path in ("/analytics", "/analytics/rankings", "/analytics/map", "/analytics/appeals"):
        page = await _text(console, MODERATOR, f"{path}?from=2026-03-09&to=2026-03-02", 422)
        assert "начало не может быть позже конца" in page
        assert path == "/analytics/appeals" or 'value="2026-03-09"' in page


async def test_analytics_filter_is_shown_and_can_be_removed(console: ConsoleUnderTest) -> None:
    organisation = console.services.samples["own"]["organisation_id"]
    page = await _text(console, MODERATOR, f"/analytics?organisation={organisation}&{DAYS}")
    removal = re.search(r'<a class="badge" href="([^"]+)" aria-label="Убрать отбор: ([^"]+)"', page)
    assert removal is not None
    assert MARKS["own"] in removal[2]
    assert "organisation=" not in removal[1]


async def test_rankings_explain_a_missing_rank(console: ConsoleUnderTest) -> None:
    page = _words(await _text(console, MODERATOR, f"/analytics/rankings?{DAYS}"))
    assert "мало данных" in page


async def test_tables_are_downloaded_as_csv(console: ConsoleUnderTest) -> None:
    for path, heading in {
        f"/analytics/table.csv?rows=organisation&{DAYS}": "organisation,",
        f"/analytics/rankings.csv?{DAYS}": "group,group_title,",
        f"/analytics/appeals.csv?figure=overdue&{DAYS}": "id,",
        "/coverage/coverage.csv?network=vk&group_by=kind": "Ключ,",
        "/coverage/missing.csv?network=vk": "Код,",
        "/reports/2026-W10/rows/opened.csv": "row_id,",
    }.items():
        response = (await console.send(MODERATOR, "GET", path)).response
        assert response.status_code == 200, path
        assert response.headers["content-type"].startswith("text/csv")
        assert response.headers["content-disposition"].startswith("attachment; ")
        assert response.text.lstrip("\ufeff").startswith(heading), (path, response.text[:80])


async def test_page_health_shows_points_with_their_evidence(console: ConsoleUnderTest) -> None:
    page_id = console.services.samples["own"]["page_id"]
    page = _words(await _text(console, MODERATOR, f"/page-health/{page_id}?week=2026-W08"))
    assert "красный 0,0" in page
    assert "балл = 100 × 0 ÷ 10" in page
    assert "ежедневная проверка" in page
    foreign = console.services.samples["foreign"]["page_id"]
    assert "<h1>" in await _text(console, EXECUTOR, f"/page-health/{foreign}", 404)


async def test_page_health_shows_engagement_and_reach_or_that_they_are_unknown(
    console: ConsoleUnderTest,
) -> None:
    page_id = console.services.samples["own"]["page_id"]
    known = _words(await _text(console, MODERATOR, f"/page-health/{page_id}?week=2026-W09"))
    assert "Вовлечённость 4,00 % от просмотров" in known
    assert "Реакции 80 лайков 60, комментариев 15, репостов 5" in known
    assert "Охват, человек 664 66,4 % подписчиков" in known
    assert "Средний охват записи 310" in known
    assert "Вовлечённость по неделям, %" in known
    unknown = _words(await _text(console, MODERATOR, f"/page-health/{page_id}?week=2026-W08"))
    assert "Вовлечённость нет данных Охват, человек нет данных" in unknown
    listed = _words(await _text(console, MODERATOR, "/page-health?week=2026-W09"))
    assert "4,00 % от просмотров" in listed
    assert "664 66,4 % подписчиков" in listed
    report = _words(await _text(console, MODERATOR, "/reports/2026-W09"))
    assert "4,00 % от просмотров" in report
    assert "66,4 %" in report


async def test_pages_are_shown_among_their_peers(console: ConsoleUnderTest) -> None:
    groups = _words(await _text(console, MODERATOR, "/page-health-peers?week=2026-W09"))
    assert "Сопоставимые страницы" in groups
    assert "мало данных" in groups
    page_id = console.services.samples["own"]["page_id"]
    page = _words(await _text(console, MODERATOR, f"/page-health/{page_id}?week=2026-W09"))
    assert "Среди сопоставимых страниц" in page
    assert "места нет: мало данных: 3 страницы с баллом, а для сравнения нужно не меньше 5" in page
    assert 'role="alert"' in await _text(console, MODERATOR, "/page-health-peers?week=2026-W77", 422)


async def test_list_of_page_health_is_filtered_by_week_and_light(console: ConsoleUnderTest) -> None:
    red = await _text(console, MODERATOR, "/page-health?week=2026-W09&light=red")
    assert f"Страница {MARKS['own']} 1" in red
    assert "Таких страниц нет" in await _text(console, MODERATOR, "/page-health?week=2026-W09&light=green")
    assert 'role="alert"' in await _text(console, MODERATOR, "/page-health?week=2026-W77", 422)


async def test_coverage_lists_organisations_without_a_live_page(console: ConsoleUnderTest) -> None:
    shown = await _text(console, MODERATOR, f"/coverage?network=vk&q={MARKS['own']}")
    assert 'href="/page-health/' in shown
    page = _words(shown)
    assert f"Организация {MARKS['own']} страница не подтверждена" in page


@pytest.mark.parametrize("who", [MODERATOR, EXECUTOR], ids=str)
async def test_coverage_links_only_pages_that_open(console: ConsoleUnderTest, who: CallerCase) -> None:
    """Organisations see the coverage of all organisations but only the health of their own pages."""
    page = await _text(console, who, "/coverage?network=vk")
    links = set(re.findall(r'href="(/page-health/[^"]+)"', page))
    assert links
    assert "Организация " + MARKS["foreign"] in page
    for link in links:
        assert (await console.send(who, "GET", link)).response.status_code == 200


@pytest.mark.parametrize("who", [MODERATOR, EXECUTOR], ids=str)
async def test_number_of_promises_links_to_that_many_promises(console: ConsoleUnderTest, who: CallerCase) -> None:
    page = await _text(console, who, "/promises?from=2026-01-01&to=2026-12-31")
    links = re.findall(r'<a href="(/promises\?[^"#]+organisation_id=[^"#]+)#listed" aria-label="(\d+), дано', page)
    for address, number in links:
        listed = await _text(console, who, html.unescape(address))
        assert listed.partition('id="listed"')[2].count("<tr data-row>") == int(number)
    assert links
    assert (MARKS["foreign"] in page) == (who == MODERATOR)


async def test_analytics_filter_with_an_invalid_id_is_ignored(console: ConsoleUnderTest) -> None:
    for path in ("/analytics?organisation=../people", "/analytics?topic=..%2Fpeople"):
        visited = await console.send(MODERATOR, "GET", path)
        assert visited.response.status_code == 200
        assert not [call.path for call in visited.calls if "people" in call.path]


async def test_hostile_texts_in_an_address_are_shown_as_text(console: ConsoleUnderTest) -> None:
    hostile = "%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE"
    for path in (
        f"/coverage?q={hostile}",
        f"/coverage?sphere={hostile}",
        f"/analytics?organisation={hostile}",
        f"/analytics/map?topic={hostile}",
        f"/analytics?week={hostile}&day={hostile}&network={hostile}",
        f"/analytics/appeals?from={hostile}T00:00:00%2B08:00",
        f"/page-health?week={hostile}",
        f"/promises?from={hostile}&to={hostile}",
        f"/pulse?day={hostile}",
    ):
        response = (await console.send(MODERATOR, "GET", path)).response
        assert response.status_code in {200, 422}, path
        assert "<script>alert" not in response.text, path
        assert "\u202e" not in response.text, path


async def test_page_that_was_never_scored_opens_without_charts(console: ConsoleUnderTest) -> None:
    page_id = console.services.samples["own"]["other_page_id"]
    page = await _text(console, MODERATOR, f"/page-health/{page_id}")
    assert f"Страница {MARKS['own']} 2" in page
    assert "Вовлечённость по неделям" not in page
    assert "Охват по неделям" not in page


async def test_appeals_without_a_location_have_their_own_row_below_the_map(console: ConsoleUnderTest) -> None:
    page = _words(await _text(console, MODERATOR, f"/analytics/map?{DAYS}"))
    assert "место не указано" in page


async def test_measure_of_the_rankings_is_chosen_in_the_address(console: ConsoleUnderTest) -> None:
    page = await _text(console, MODERATOR, f"/analytics/rankings?measure=answered&{DAYS}")
    assert '<option value="answered" selected>' in page


async def test_period_of_promises_that_ends_before_it_starts_is_refused(console: ConsoleUnderTest) -> None:
    page = await _text(console, MODERATOR, "/promises?from=2026-03-08&to=2026-03-01", 422)
    assert "Начало периода позже его конца." in page


async def test_file_of_unknown_rows_is_not_found(console: ConsoleUnderTest) -> None:
    assert "Такой страницы нет" in await _text(console, MODERATOR, "/reports/2026-W10/rows/authors.csv", 404)
