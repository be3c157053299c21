"""Open311 GeoReport v2: the rules of the specification, on the appeals that the caller may read."""

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from xml.etree import ElementTree

import httpx
import pytest
from structlog.testing import capture_logs

from services.appeals.api.partners import open311
from services.appeals.api.presenters import open311 as presenter
from services.appeals.lists import appeal_list
from services.appeals.open311 import service_catalogue, service_requests
from shared import clock
from shared.contracts.erasures import ERASED_TEXT
from shared.database.outages import is_outage
from shared.masking import mask as shared_mask
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.people_helpers import Colleague, register
from tests.integration.appeals.reply_helpers import execute
from tests.integration.appeals.test_incident_layout import topics
from tests.support.eventually import HANG_SECONDS

BASE = "/open311/v2"
JSON = "application/json; charset=utf-8"
FIELDS = {
    "service_request_id", "status", "status_notes", "service_name", "service_code", "description",
    "agency_responsible", "service_notice", "requested_datetime", "updated_datetime", "expected_datetime",
    "address", "address_id", "zipcode", "lat", "long", "media_url",
}  # fmt: skip
TEXT = "Когда починят дорогу? Светлана Иванова, +7 914 123-45-67"


async def ask(
    scenario: AppealsScenario, path: str, *, role: str = "moderator", org: UUID | None = None, **query: Any
) -> httpx.Response:
    headers = scenario.appeals.headers(role, org)
    return await scenario.appeals.client.get(f"{BASE}{path}", headers=headers, params=query or None)


async def send(
    scenario: AppealsScenario, form: dict[str, Any], path: str = "/requests.json", **headers: str
) -> httpx.Response:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return await scenario.appeals.client.post(
        f"{BASE}{path}", data=form, headers=scenario.appeals.headers("moderator", **more)
    )


def refused(answer: httpx.Response, status: int, part: str = "") -> None:
    """Check that a response is an error in the format of the specification whose description contains `part`."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == JSON
    errors = answer.json()
    assert errors, "an error response has at least one error"
    assert all(error.keys() == {"code", "description"} and error["code"] == status for error in errors), errors
    assert any(part in error["description"] for error in errors), errors


async def insert(scenario: AppealsScenario, text: str = TEXT, **columns: Any) -> str:
    """Insert an appeal with these columns as the service would; return its id."""
    now = clock.now()
    values = {
        "id": uuid4(), "version": 1, "status": "assigned", "urgency": "normal", "transfers": 0, "returns": 0,
        "organisation_id": scenario.organisation, "text": text, "written_at": now, "opened_at": now,
        "route": '{"reason": "", "confidence": 1.0}', "created_at": now, "updated_at": now,
    } | columns  # fmt: skip
    names = ", ".join(values)
    marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    await execute(scenario, f"INSERT INTO appeals ({names}) VALUES ({marks})", *values.values())
    return str(values["id"])


async def listed(scenario: AppealsScenario, **query: Any) -> list[str]:
    answer = await ask(scenario, "/requests.json", **query)
    assert answer.status_code == 200, answer.text
    return [found["service_request_id"] for found in answer.json()]


async def test_discovery_names_endpoint_and_formats_without_a_key(scenario: AppealsScenario) -> None:
    answer = await scenario.appeals.client.get(f"{BASE}/discovery.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    found = answer.json()
    assert found.keys() == {"changeset", "contact", "key_service", "endpoints"}
    (endpoint,) = found["endpoints"]
    assert endpoint == {
        "specification": "http://wiki.open311.org/GeoReport_v2",
        "url": "http://127.0.0.1:8080/open311/v2",
        "changeset": found["changeset"],
        "type": "test",
        "formats": ["application/json", "text/xml"],
    }


async def test_services_are_the_topics_with_their_groups(scenario: AppealsScenario) -> None:
    answer = await ask(scenario, "/services.json", role="executor", org=scenario.organisation)
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON), answer.text
    services = answer.json()
    active = await scenario.ingest.fetchval("SELECT count(*) FROM topics WHERE active AND group_id IS NOT NULL")
    assert len(services) == active > 200
    names = {"service_code", "service_name", "description", "metadata", "type", "keywords", "group"}
    assert all(service.keys() == names for service in services)
    assert {(service["metadata"], service["type"]) for service in services} == {(False, "realtime")}
    topic, *_ = await topics(scenario)
    group = await scenario.ingest.fetchval("SELECT name FROM topics WHERE id = $1", topic["group_id"])
    (service,) = [one for one in services if one["service_code"] == str(topic["id"])]
    assert (service["service_name"], service["group"]) == (topic["name"], group)


async def test_definition_of_a_service_has_no_attributes(scenario: AppealsScenario) -> None:
    topic, *_ = await topics(scenario)
    answer = await ask(scenario, f"/services/{topic['id']}.json")
    assert answer.json() == {"service_code": str(topic["id"]), "attributes": []}
    for code in (uuid4(), "001"):
        refused(await ask(scenario, f"/services/{code}.json"), 404, "service_code")
    await execute(scenario, "UPDATE topics SET active = false WHERE id = $1", topic["id"])
    refused(await ask(scenario, f"/services/{topic['id']}.json"), 404, "no longer offered")


async def test_request_has_all_fields_of_the_specification(scenario: AppealsScenario) -> None:
    topic, *_ = await topics(scenario)
    opened = datetime(2026, 3, 4, 2, 0, 0, 999, tzinfo=UTC)
    found = await insert(
        scenario,
        topic_id=topic["id"],
        opened_at=opened,
        updated_at=opened + timedelta(days=2),
        closed_at=opened + timedelta(days=1),
        resolution_due_at=opened + timedelta(days=7),
        status="closed",
        outcome="explained",
        settlement="Кабанск",
        street="улица Бабушкина",
        house="20",
        url="https://vk.com/wall-1_2",
        network="vk",
    )
    answer = await ask(scenario, f"/requests/{found}.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, JSON), answer.text
    (request,) = answer.json()
    assert request.keys() == FIELDS
    assert request == {
        "service_request_id": found,
        "status": "closed",
        "status_notes": "закрыто: разъяснено",
        "service_name": topic["name"],
        "service_code": str(topic["id"]),
        "description": "Когда починят дорогу? [имя], [телефон]",
        "agency_responsible": "Школа № 1",
        "service_notice": None,
        "requested_datetime": "2026-03-04T02:00:00Z",
        # A closed request shows when it was closed.
        "updated_datetime": "2026-03-05T02:00:00Z",
        "expected_datetime": "2026-03-11T02:00:00Z",
        "address": "улица Бабушкина, 20, Кабанск",
        "address_id": None,
        "zipcode": None,
        "lat": None,
        "long": None,
        "media_url": None,
    }
    for unknown in (uuid4(), "638344"):
        refused(await ask(scenario, f"/requests/{unknown}.json"), 404, "service_request_id")


async def test_description_is_masked_as_in_the_list_and_limited(scenario: AppealsScenario) -> None:
    await insert(scenario)
    (in_list,) = await scenario.all()
    (request,) = (await ask(scenario, "/requests.json")).json()
    assert request["description"] == in_list["text"]
    assert "914" not in request["description"]
    await execute(scenario, "UPDATE appeals SET text = $1", "б" * 5_000)
    (request,) = (await ask(scenario, "/requests.json")).json()
    assert len(request["description"]) == 4_000
    await execute(scenario, "UPDATE appeals SET text = '', erased_at = now()")
    (request,) = (await ask(scenario, "/requests.json")).json()
    assert request["description"] == ERASED_TEXT


def test_only_the_beginning_of_a_long_text_is_masked_and_a_cut_number_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    masked: list[int] = []

    def mask(text: str) -> str:
        masked.append(len(text))
        return shared_mask(text)

    monkeypatch.setattr(presenter, "mask", mask)
    number = "+7 914 123-45-67"
    # The description, or the part of the text that is masked, ends within the number; masking shortens links.
    links = "https://vk.com/id1234567890?w=wall-1234567890_1234567890 " * 20
    for start in ("б " * 1_995, links + "б " * ((4_000 - len(links)) // 2)):
        for length in range(0, 400, 5):
            text = f"{start}{'б' * length} {number} {'б ' * 1_000}"
            shown = presenter._description(text)
            assert len(shown) <= 4_000
            assert not any(part in shown for part in ("914", "+7")), length
    assert max(masked) < 4_500


async def test_third_concurrent_list_of_a_caller_is_refused_and_others_are_served(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await insert(scenario)
    staff: dict[str, Any] = {"role": "executor", "org": scenario.organisation}
    begun, released = threading.Semaphore(0), threading.Event()
    shown = presenter.requests_out

    def wait(*given: Any) -> Any:
        begun.release()
        assert released.wait(HANG_SECONDS)
        return shown(*given)

    monkeypatch.setattr(presenter, "requests_out", wait)
    pool = scenario.appeals.service.database.engine.pool
    async with asyncio.timeout(HANG_SECONDS):
        two = [asyncio.create_task(ask(scenario, "/requests.json")) for _ in range(2)]
        for _ in two:
            await asyncio.to_thread(begun.acquire)
        answer = await ask(scenario, "/requests.json")
        refused(answer, 429, "Too many lists of service requests are being prepared")
        assert answer.headers["retry-after"] == "5"
        answer = await ask(scenario, "/requests.xml")
        assert (answer.status_code, ElementTree.fromstring(answer.content).tag) == (429, "errors")
        other = asyncio.create_task(ask(scenario, "/requests.json", **staff))
        while not open311.REQUEST_QUEUE.waiting and not other.done():
            await asyncio.sleep(0.01)
        # The other caller waits without a database connection.
        assert (other.done(), pool.checkedout()) == (False, 0)  # type: ignore[attr-defined]
        released.set()
        answers = await asyncio.gather(*two, other)
    assert [one.status_code for one in answers] == [200, 200, 200]
    assert answers[-1].json()[0]["service_request_id"] == found


async def test_client_sees_only_what_it_may_read(scenario: AppealsScenario) -> None:
    own = await insert(scenario)
    other = await insert(scenario, organisation_id=scenario.other_organisation)
    assert set(await listed(scenario)) == {own, other}
    staff: dict[str, Any] = {"role": "executor", "org": scenario.organisation}
    assert await listed(scenario, **staff) == [own]
    assert await listed(scenario, **staff, service_request_id=f"{own},{other}") == [own]
    assert (await ask(scenario, f"/requests/{own}.json", **staff)).status_code == 200
    refused(await ask(scenario, f"/requests/{other}.json", **staff), 404)


async def test_default_period_is_the_last_90_days_newest_first(scenario: AppealsScenario) -> None:
    now = clock.now()
    old = await insert(scenario, opened_at=now - timedelta(days=91))
    first = await insert(scenario, opened_at=now - timedelta(days=89))
    last = await insert(scenario, opened_at=now - timedelta(minutes=1))
    assert await listed(scenario) == [last, first]
    # Empty parameters are ignored.
    assert await listed(scenario, start_date="", end_date="", status="", service_code="") == [last, first]
    # With only one date, the period is the 90 days after or before it.
    begin = (now - timedelta(days=100)).isoformat()
    assert await listed(scenario, start_date=begin) == [first, old]
    assert await listed(scenario, end_date=(now - timedelta(days=88)).isoformat()) == [first, old]
    assert await listed(scenario, start_date=begin, end_date=(now - timedelta(days=90)).isoformat()) == [old]
    # Ids override all other parameters, including the dates.
    assert await listed(scenario, service_request_id=f"{old},{last}", start_date="x", status="x") == [last, old]
    assert await listed(scenario, service_request_id=f"{old},{old}") == [old]


async def test_period_begins_with_start_date_and_ends_before_end_date(scenario: AppealsScenario) -> None:
    moment = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
    found = await insert(scenario, opened_at=moment)
    day = timedelta(days=1)
    assert await listed(scenario, start_date="2026-03-04T02:00:00Z") == [found]
    assert await listed(scenario, start_date=(moment - day).isoformat(), end_date="2026-03-04T02:00:00Z") == []
    # The UTC offset is applied, even if the client does not escape its plus sign.
    assert await listed(scenario, start_date="2026-03-04T10:00:00+08:00") == [found]
    answer = await scenario.appeals.client.get(
        f"{BASE}/requests.json?start_date=2026-03-04T10:00:01+08:00", headers=scenario.appeals.headers("moderator")
    )
    assert (answer.status_code, answer.json()) == (200, [])
    # 90 days are allowed.
    assert await listed(scenario, start_date=moment.isoformat(), end_date=(moment + 90 * day).isoformat()) == [
        found
    ]
    # An end date at the beginning of the accepted range.
    assert await listed(scenario, end_date="2000-01-02T00:00:00Z") == []


async def test_response_has_at_most_1000_requests(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service_requests.MAX_REQUESTS == 1_000
    now = clock.now()
    ids = [await insert(scenario, f"Обращение {age}", opened_at=now - timedelta(minutes=age)) for age in range(4)]
    monkeypatch.setattr(service_requests, "MAX_REQUESTS", 3)
    assert await listed(scenario) == ids[:3]
    # The rest is found with an earlier end date.
    end = (now - timedelta(minutes=2, seconds=30)).isoformat()
    assert await listed(scenario, end_date=end) == ids[3:]
    refused(await ask(scenario, "/requests.json", service_request_id=",".join(ids)), 400, "service_request_id")


STATUSES = {
    "triage": "open",
    "assigned": "open",
    "in_progress": "open",
    "interim": "open",
    "reopened": "open",
    "answered": "closed",
    "closed": "closed",
    "not_required": "closed",
    "merged": "closed",
}


async def test_status_is_open_until_the_final_answer(scenario: AppealsScenario) -> None:
    ids = {await insert(scenario, status=status): shown for status, shown in STATUSES.items()}
    for shown in ("open", "closed"):
        requests = (await ask(scenario, "/requests.json", status=shown)).json()
        assert {one["service_request_id"] for one in requests} == {one for one in ids if ids[one] == shown}
        assert {one["status"] for one in requests} == {shown}
    for both in ("open,closed", "closed, open", ["open", "closed"]):
        assert set(await listed(scenario, status=both)) == ids.keys()


async def test_list_is_filtered_by_several_services_and_by_a_group(scenario: AppealsScenario) -> None:
    now = clock.now()
    one, two, three = await topics(scenario)
    ids = [
        await insert(scenario, topic_id=topic["id"], opened_at=now - timedelta(minutes=age))
        for age, topic in enumerate((one, two, three))
    ]
    assert await listed(scenario, service_code=str(one["id"])) == ids[:1]
    assert await listed(scenario, service_code=f"{one['id']},{three['id']}") == [ids[0], ids[2]]
    assert await listed(scenario, service_code=[str(two["id"]), str(three["id"])]) == ids[1:]
    assert await listed(scenario, service_code=str(one["group_id"])) == ids[:2]
    assert await listed(scenario, service_code=str(uuid4())) == []


INVALID_PARAMETERS: list[tuple[dict[str, Any], str]] = [
    ({"start_date": "2026-11-27"}, "start_date: Give date, time and offset"),
    ({"end_date": "2026-11-27T00:00:00"}, "end_date: Give date, time and offset"),
    ({"start_date": "2026-13-27T00:00:00Z"}, "start_date: "),
    ({"start_date": "1826-11-27T00:00:00Z"}, "start_date: The time must be from 2000-01-01"),
    ({"start_date": "2026-11-02T00:00:00Z", "end_date": "2026-11-01T00:00:00Z"}, "end_date: The end is before"),
    ({"start_date": "2026-01-01T00:00:00Z", "end_date": "2026-04-01T00:00:01Z"}, "end_date: The period"),
    ({"status": "new"}, "status: «new» is not a status"),
    ({"service_code": "001"}, "service_code: A value is not an id"),
    ({"service_code": ",".join([str(uuid4())] * 101)}, "service_code: At most 100"),
    ({"service_request_id": "638344"}, "service_request_id: A value is not an id"),
    ({"statuss": "open"}, "statuss: No such parameter"),
    ({"start_date": ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"]}, "start_date: This parameter takes one"),
    ({"api_key": "secret"}, "api_key: Addresses are written to logs"),
]


async def test_invalid_parameter_is_a_400_that_names_it(scenario: AppealsScenario) -> None:
    for query, part in INVALID_PARAMETERS:
        refused(await ask(scenario, "/requests.json", **query), 400, part)


async def test_jurisdiction_is_accepted_and_ignored(scenario: AppealsScenario) -> None:
    found = await insert(scenario)
    assert await listed(scenario, jurisdiction_id="example.ru") == [found]
    for path in ("/services.json", f"/requests/{found}.json"):
        assert (await ask(scenario, path, jurisdiction_id="example.ru")).status_code == 200


async def client_of(scenario: AppealsScenario) -> tuple[Colleague, str]:
    """Register a member of staff; return them and their token."""
    person = await register(scenario, "Борис")
    token = scenario.appeals.token("executor", scenario.organisation, subject=person.ref)
    return person, token


async def test_key_is_accepted_in_headers_and_in_the_form_only(scenario: AppealsScenario) -> None:
    topic, *_ = await topics(scenario)
    person, token = await client_of(scenario)
    client = scenario.appeals.client
    form = {"service_code": str(topic["id"]), "address_id": "545483"}
    for headers in ({"Authorization": f"Bearer {token}"}, {"X-Api-Key": token}):
        answer = await client.get(f"{BASE}/services.json", headers=headers)
        assert answer.status_code == 200, answer.text
    with capture_logs() as lines:
        made = await client.post(f"{BASE}/requests.json", data={**form, "api_key": token})
        assert made.status_code == 201, made.text
        # A key in the address is refused, even with a valid token in a header.
        given = {"api_key": token}
        answer = await client.get(f"{BASE}/requests.json", params=given)
        refused(answer, 400, "api_key")
        answer = await client.post(f"{BASE}/requests.json", params=given, data=form, headers={"X-Api-Key": token})
        refused(answer, 400, "api_key")
    assert token not in str(lines)
    actor = await scenario.ingest.fetchval("SELECT actor FROM timeline WHERE kind = 'opened'")
    assert actor == person.ref


@pytest.mark.parametrize("key", [None, "xyz"])
async def test_missing_or_invalid_key_is_a_403(scenario: AppealsScenario, key: str | None) -> None:
    client, headers = scenario.appeals.client, {"X-Api-Key": key} if key else {}
    for path in ("/services.json", f"/services/{uuid4()}.json", "/requests.json", f"/requests/{uuid4()}.json"):
        refused(await client.get(f"{BASE}{path}", headers=headers), 403)
    form = {"service_code": "001"} | ({"api_key": key} if key else {})
    answer = await client.post(f"{BASE}/requests.json", data=form)
    refused(answer, 403)
    assert "www-authenticate" not in answer.headers


async def test_oversized_form_is_refused_before_its_sender_is_known(scenario: AppealsScenario) -> None:
    topic, *_ = await topics(scenario)
    _, token = await client_of(scenario)
    client = scenario.appeals.client
    form = {"service_code": str(topic["id"]), "address_id": "1", "api_key": token}
    # The key of a form with too many fields is not read.
    many = form | {f"attribute[{number}]": "x" for number in range(198)}
    refused(await client.post(f"{BASE}/requests.json", data=many), 403)
    for path in ("/requests.json", "/requests.xml"):
        large = await client.post(f"{BASE}{path}", data=form | {"description": "x" * open311.MAX_FORM_BODY})
        assert large.status_code == 413, large.text
    # The longest description, in Cyrillic, and a long address fit.
    longest = form | {"description": "б" * 4_000, "address_string": "б" * 1_000}
    made = await client.post(f"{BASE}/requests.json", data=longest)
    assert made.status_code == 201, made.text


async def test_forms_to_other_paths_are_not_read(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(*_given: Any, **_named: Any) -> Any:
        raise AssertionError("the form is read")

    monkeypatch.setattr(open311, "parse_qsl", parse)
    answer = await scenario.appeals.client.post(f"{BASE}/tokens.json", data={"api_key": "x"})
    refused(answer, 404)


async def test_caller_without_the_right_gets_a_403(scenario: AppealsScenario) -> None:
    topic, *_ = await topics(scenario)
    answer = await scenario.appeals.client.post(
        f"{BASE}/requests.json",
        data={"service_code": str(topic["id"]), "address_id": "1"},
        headers=scenario.appeals.headers("head"),
    )
    refused(answer, 403, "appeals:open")


async def test_created_request_is_an_appeal_with_its_location_and_encrypted_contact(
    scenario: AppealsScenario,
) -> None:
    topic, *_ = await topics(scenario)
    form = {
        "jurisdiction_id": "example.ru",
        "service_code": str(topic["id"]),
        "lat": "51.8335",
        "long": "107.5841",
        "address_string": "улица Бабушкина, 20, Улан-Удэ",
        "address_id": "545483",
        "email": "irina@example.org",
        "device_id": "tt222111",
        "account_id": "account-7719",
        "first_name": "Ирина",
        "last_name": "Бадмаева",
        "phone": "+7 900 123-45-67",
        "description": "Яма на дороге\nглубокая",
        "media_url": "https://example.org/a.jpg",
        "attribute[SIZE]": "большая",
        "attribute[DAYS][]": ["1", "2"],
    }
    with capture_logs() as lines:
        answer = await send(scenario, form, Idempotency_Key="k")
    assert (answer.status_code, answer.headers["content-type"]) == (201, JSON), answer.text
    (receipt,) = answer.json()
    appeal = await scenario.appeal(receipt["service_request_id"])
    assert receipt == {
        "service_request_id": appeal["id"],
        "service_notice": f"Обращение зарегистрировано под № {appeal['number']}",
        "account_id": "account-7719",
    }
    assert (appeal["source"], appeal["topic"]["id"]) == ("open311", str(topic["id"]))
    assert appeal["text"] == (
        "Яма на дороге\nглубокая\nАдрес: улица Бабушкина, 20, Улан-Удэ\nКоординаты: 51.8335, 107.5841"
    )
    submission = appeal["submission"]
    assert submission["contact"] == {
        "name": "Бадмаева Ирина", "phone": "+7 900 123-45-67", "email": "irina@example.org", "address": None,
    }  # fmt: skip
    assert submission["metadata"] == {
        "lat": 51.8335,
        "long": 107.5841,
        "address_string": "улица Бабушкина, 20, Улан-Удэ",
        "address_id": "545483",
        "attribute[SIZE]": "большая",
        "attribute[DAYS]": "1, 2",
    }
    (request,) = (await ask(scenario, f"/requests/{appeal['id']}.json")).json()
    shown = ("status", "service_name", "lat", "long", "address_id", "media_url")
    assert [request[name] for name in shown] == [
        "open", topic["name"], 51.8335, 107.5841, "545483", "https://example.org/a.jpg",
    ]  # fmt: skip
    assert "Бабушкина" in request["address"]
    assert "Бадмаева" not in json.dumps(request, ensure_ascii=False)
    # The contact and the ids of the device and the account are stored nowhere in clear text.
    connection = await scenario.database.connect()
    for table in ("appeals", "appeal_submissions", "appeals_idempotency", "events", "audit", "timeline"):
        rows = await connection.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table} t")
        stored = " ".join(row["row"] for row in rows)
        secrets = ("900 123", "Бадмаева", "irina@", "tt222111", "account-7719")
        assert not any(secret in stored for secret in secrets), table
    await connection.close()
    assert "900 123" not in str(lines)


async def test_request_without_description_is_named_after_its_service(scenario: AppealsScenario) -> None:
    topic, *_ = await topics(scenario)
    answer = await send(
        scenario, {"service_code": str(topic["id"]), "address_string": "Речная, 1", "description": " "}
    )
    assert answer.status_code == 201, answer.text
    (request,) = (await ask(scenario, f"/requests/{answer.json()[0]['service_request_id']}.json")).json()
    assert request["description"].startswith(f"{topic['name']}\nАдрес: ")


async def test_repeated_request_creates_one_appeal(scenario: AppealsScenario) -> None:
    topic, *_ = await topics(scenario)
    form = {"service_code": str(topic["id"]), "address_id": "1", "description": "Яма"}
    # A repeated external id is the same request; other content with it is refused.
    first = await send(scenario, {**form, "external_id": "A-1"})
    again = await send(scenario, {**form, "external_id": "A-1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    refused(await send(scenario, {**form, "external_id": "A-1", "address_id": "2"}), 400, "external_id")
    # A repeated Idempotency-Key is the same request too.
    one = await send(scenario, form, Idempotency_Key="k")
    repeated = await send(scenario, form, Idempotency_Key="k")
    assert (one.status_code, repeated.status_code) == (201, 201)
    assert one.json() == repeated.json() != first.json()
    assert repeated.headers["idempotent-replay"] == "true"
    refused(await send(scenario, {**form, "address_id": "2"}, Idempotency_Key="k"), 400, "Idempotency-Key")
    # The same text within ten minutes without either is refused; the error names the first request.
    text = {**form, "description": "Другая яма"}
    made = (await send(scenario, text)).json()[0]["service_request_id"]
    refused(await send(scenario, text), 400, made)
    assert await scenario.ingest.fetchval("SELECT count(*) FROM appeals") == 3


async def test_equal_external_ids_of_two_clients_of_the_centre_do_not_collide(
    scenario: AppealsScenario,
) -> None:
    topic, *_ = await topics(scenario)
    client, common = scenario.appeals.client, {"service_code": str(topic["id"]), "external_id": "1" * 200}
    made = []
    for name, text in (("Борис", "Яма"), ("Анна", "Лужа")):
        person = await register(scenario, name, "moderator")
        token = scenario.appeals.token("moderator", subject=person.ref)
        form = common | {"address_id": "1", "description": text}
        headers = {"X-Api-Key": token}
        answer = await client.post(f"{BASE}/requests.json", data=form, headers=headers)
        assert answer.status_code == 201, answer.text
        again = await client.post(f"{BASE}/requests.json", data=form, headers=headers)
        assert (again.status_code, again.json()) == (200, answer.json())
        (receipt,) = answer.json()
        made.append(receipt["service_request_id"])
        found = await person.get(f"/appeals?source=open311&external_id={person.ref}:{'1' * 200}")
        assert [one["id"] for one in found.json()["items"]] == made[-1:]
    assert len(set(made)) == 2


async def test_repetition_while_the_first_request_runs_is_a_503(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, *_ = await topics(scenario)
    form = {"service_code": str(topic["id"]), "address_id": "1"}
    begun, released = asyncio.Event(), asyncio.Event()
    get_service = service_catalogue.get_service

    async def wait(*given: Any) -> Any:
        begun.set()
        await released.wait()
        return await get_service(*given)

    monkeypatch.setattr(service_catalogue, "get_service", wait)
    async with asyncio.timeout(HANG_SECONDS):
        first = asyncio.create_task(send(scenario, form, Idempotency_Key="k"))
        await begun.wait()
        answer = await send(scenario, form, Idempotency_Key="k")
        released.set()
        made = await first
    refused(answer, 503, "in progress")
    assert answer.headers["retry-after"] == "1"
    again = await send(scenario, form, Idempotency_Key="k")
    assert (made.status_code, again.status_code, again.json()) == (201, 201, made.json())


INVALID_FORMS: list[tuple[dict[str, Any], int, str]] = [
    ({"service_code": None}, 400, "service_code: Field required"),
    ({"service_code": ""}, 400, "service_code: Field required"),
    ({"service_code": "001"}, 404, "service_code: "),
    ({"service_code": str(uuid4())}, 404, "service_code: there is no such service"),
    ({"address_id": None}, 400, "Give the location"),
    ({"lat": "51.8"}, 400, "Give both `lat` and `long`"),
    ({"lat": "91", "long": "107"}, 400, "lat: "),
    ({"lat": "nan", "long": "107"}, 400, "lat: "),
    ({"lat": "x", "long": "107"}, 400, "lat: "),
    ({"description": "б" * 4_001}, 400, "description: "),
    ({"description": "\x00"}, 400, "description: "),
    ({"media_url": "javascript:alert(1)"}, 400, "media_url: "),
    ({"phone": "1" * 301}, 400, "phone: "),
    ({"descripton": "Яма"}, 400, "descripton: "),
    ({"attribute": "x"}, 400, "attribute: "),
    ({f"attribute[{number}]": "x" for number in range(41)}, 400, "attribute: "),
    ({"description": ["Яма", "Ямы"]}, 400, "description: The field is given twice"),
]


async def test_invalid_form_creates_nothing_and_names_the_field(scenario: AppealsScenario) -> None:
    topic, *_ = await topics(scenario)
    for change, status, part in INVALID_FORMS:
        form = {"service_code": str(topic["id"]), "address_id": "545483"} | change
        given = {name: value for name, value in form.items() if value is not None}
        refused(await send(scenario, given), status, part)
    assert await scenario.ingest.fetchval("SELECT count(*) FROM appeals") == 0


async def test_body_that_is_not_a_form_in_utf8_is_refused(scenario: AppealsScenario) -> None:
    headers = scenario.appeals.headers("moderator")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for kind, content in (
        ({"Content-Type": "application/json"}, b"{}"),
        ({}, b"service_code=1"),
        (form, b"service_code=\xff"),
        (form, b"service_code=%FF"),
        (form, b"&".join(b"a%d=1" % number for number in range(201))),
    ):
        answer = await scenario.appeals.client.post(
            f"{BASE}/requests.json", content=content, headers=headers | kind
        )
        refused(answer, 400)


async def test_xml_has_the_elements_of_the_specification(scenario: AppealsScenario) -> None:
    topic, *_ = await topics(scenario)
    found = await insert(scenario, "Яма <b>&\x0b", topic_id=topic["id"])

    async def document(path: str, **query: Any) -> tuple[int, ElementTree.Element]:
        answer = await ask(scenario, path, **query)
        assert answer.headers["content-type"] == "text/xml; charset=utf-8"
        assert answer.content.startswith(b"<?xml version='1.0' encoding='utf-8'?>")
        return answer.status_code, ElementTree.fromstring(answer.content)

    status, discovery = await document("/discovery.xml")
    assert (status, discovery.tag) == (200, "discovery")
    formats = [one.text for one in discovery.findall("endpoints/endpoint/formats/format")]
    assert formats == ["application/json", "text/xml"]
    _, services = await document("/services.xml")
    assert services.tag == "services"
    assert {service.tag for service in services} == {"service"}
    assert {service.findtext("metadata") for service in services} == {"false"}
    _, definition = await document(f"/services/{topic['id']}.xml")
    assert (definition.tag, [part.tag for part in definition]) == (
        "service_definition", ["service_code", "attributes"],
    )  # fmt: skip
    for path in ("/requests.xml", f"/requests/{found}.xml"):
        _, requests = await document(path)
        (request,) = requests
        assert (requests.tag, request.tag) == ("service_requests", "request")
        assert {part.tag for part in request} == FIELDS
        assert request.findtext("description") == "Яма <b>& "
        assert request.findtext("zipcode") == ""
    status, errors = await document("/requests.xml", status="new")
    assert (status, errors.tag, [error.tag for error in errors]) == (400, "errors", ["error"])
    assert errors.findtext("error/code") == "400"
    made = await send(scenario, {"service_code": str(topic["id"]), "address_id": "1"}, "/requests.xml")
    assert made.status_code == 201, made.text
    receipt = ElementTree.fromstring(made.content).find("request")
    assert receipt is not None
    assert [part.tag for part in receipt] == ["service_request_id", "service_notice", "account_id"]


async def test_other_paths_and_formats_are_a_404(scenario: AppealsScenario) -> None:
    for path in ("/tokens/12345.json", "/services.yaml", "/services", "/requests/.json", "/"):
        refused(await ask(scenario, path), 404, "There is no such resource")
    answer = await ask(scenario, "/tokens/12345.xml")
    assert (answer.status_code, ElementTree.fromstring(answer.content).tag) == (404, "errors")


async def test_outage_is_a_503_in_the_format_of_open311(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = ConnectionRefusedError("no database")
    assert is_outage(error)

    async def fail(*_args: Any) -> None:
        raise error

    monkeypatch.setattr(appeal_list, "find_ids", fail)
    answer = await ask(scenario, "/requests.json")
    refused(answer, 503)
    assert answer.headers["retry-after"] == "5"
