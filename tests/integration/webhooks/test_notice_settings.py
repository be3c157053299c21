"""Notice settings: kinds, addresses and their confirmation, unsubscribing, lists."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from cryptography.fernet import Fernet
from pydantic import SecretStr

from services.webhooks.notices import preferences
from services.webhooks.notices.preferences import MAX_CONFIRMATIONS_PER_DAY
from services.webhooks.schemas.notices import AddressState, NoticeKind
from services.webhooks.settings import webhooks_settings
from services.webhooks.worker import ENCRYPTED_COLUMNS
from shared import encryption
from tests.integration.webhooks.notice_office import Office
from tests.support.mail_server import MailServer
from tests.support.service_under_test import insert_organisation

SETTINGS = "/api/v1/me/notice-settings"


class Person:
    """A signed-in person of the office."""

    def __init__(
        self, office: Office, person_id: UUID, role: str = "executor", *, scope: str | None = None
    ) -> None:
        self.id = person_id
        self._client = office.harness.app.client
        organisation_id = None if role in {"operations", "moderator"} else office.organisation_id
        token = office.harness.app.token(role, organisation_id, subject=str(person_id), scope=scope)
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str = SETTINGS, **query: Any) -> Any:
        answer = await self._client.get(path, params=query, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def change(self, version: int | str, path: str = SETTINGS, method: str = "PATCH", **body: Any) -> Any:
        headers = self._headers | {"If-Match": f'"{version}"'}
        return await self._client.request(method, path, json=body, headers=headers)


async def link(mail: MailServer) -> str:
    """Return the address of the link in the last letter."""
    found = re.search(r"https://api\.example\.ru(\S+/confirmation\?token=\S+)", mail.letters[-1].body())
    assert found is not None
    return found[1]


async def test_person_who_chose_nothing_has_the_defaults(office: Office) -> None:
    person = Person(office, await office.person(address=None))
    found = await person.get()
    assert (found["version"], found["address"], found["address_state"]) == (0, None, "none")
    assert set(found["choices"]) == {kind.value for kind in NoticeKind}
    assert found["choices"]["assignment"] == "at_once"
    assert found["choices"]["warning"] == "digest"


async def test_choices_change_one_at_a_time_and_a_stale_version_is_refused(office: Office) -> None:
    person = Person(office, await office.person(address=None))
    first = await person.change(0, choices={"mention": "never"})
    assert (first.status_code, first.headers["ETag"]) == (200, '"1"')
    second = await person.change(1, choices={"assignment": "digest"}, urgent_at_any_hour=True)
    assert second.json()["choices"] | {"mention": "never", "assignment": "digest"} == second.json()["choices"]
    assert second.json()["urgent_at_any_hour"] is True
    lost = await person.change(1, choices={"mention": "at_once"})
    assert (lost.status_code, lost.headers["ETag"]) == (412, '"2"')
    assert (await person.change("x")).status_code == 422


async def test_address_gets_letters_only_after_its_owner_confirmed_it(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person = Person(office, await office.person(address=None))
    answer = await person.change(0, address="Sadik5@Example.RU")
    assert answer.json()["address"] == "Sadik5@example.ru"
    assert answer.json()["address_state"] == "unconfirmed"
    await office.emit("appeal.assigned", await office.appeal())
    assert await office.outcomes() == [("suppressed", "address_unconfirmed")]
    assert await office.send() == 1
    assert [letter.recipient for letter in mail.letters] == ["Sadik5@example.ru"]
    path = await link(mail)
    client = office.harness.app.client
    shown = await client.get(path)  # as mail programs do by themselves
    assert shown.status_code == 200
    assert "Подтвердить" in shown.text
    assert (await person.get())["address_state"] == "unconfirmed"
    assert "подтверждён" in (await client.post(path)).text
    assert (await person.get())["address_state"] == "confirmed"
    assert "больше не действует" in (await client.post(path)).text
    await office.emit("appeal.assigned", await office.appeal())
    now.shift(timedelta(minutes=2))
    assert await office.send() == 1


async def test_link_of_a_former_address_does_not_confirm_the_new_one(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person = Person(office, await office.person(address=None))
    await person.change(0, address="old@example.ru")
    await office.send()
    former = await link(mail)
    await person.change(1, address="new@example.ru")
    assert "больше не действует" in (await office.harness.app.client.post(former)).text
    assert (await person.get())["address_state"] == "unconfirmed"


async def test_confirmation_link_is_sent_only_to_the_last_address(office: Office, mail: MailServer) -> None:
    person = Person(office, await office.person(address=None))
    await person.change(0, address="old@example.ru")
    await person.change(1, address="new@example.ru")
    await office.send()
    assert [letter.recipient for letter in mail.letters] == ["new@example.ru"]


async def test_confirmation_links_per_day_are_limited(office: Office) -> None:
    person = Person(office, await office.person(address=None))
    for number in range(MAX_CONFIRMATIONS_PER_DAY):
        assert (await person.change(number, address=f"a{number}@example.ru")).status_code == 200
    refused = await person.change(MAX_CONFIRMATIONS_PER_DAY, address="victim@example.ru")
    assert refused.status_code == 429
    assert "Retry-After" in refused.headers


async def test_confirmation_links_per_day_to_one_mailbox_are_limited(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.webhooks.notices.preferences.MAX_CONFIRMATIONS_PER_ADDRESS", 2)
    answers = []
    for address in ("Victim@example.ru", "victim@example.ru", "victim@example.ru", "other@example.ru"):
        person = Person(office, await office.person(address=None))
        answers.append((await person.change(0, address=address)).status_code)
    assert answers == [200, 200, 429, 200]


async def test_addresses_are_encrypted_with_a_new_key(office: Office) -> None:
    person_id = await office.person()
    keys = webhooks_settings().encryption_keys
    newest = Fernet.generate_key().decode()
    both = SecretStr(f"{newest},{keys.get_secret_value()}")
    assert await encryption.reencrypt(office.harness.database, both, ENCRYPTED_COLUMNS) == 1
    assert preferences.address_of(await office.settings_of(person_id), SecretStr(newest)) == "sadik5@example.ru"


async def test_address_that_refuses_the_confirmation_link_is_bouncing(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person = Person(office, await office.person(address=None))
    await person.change(0, address="nobody@example.ru")
    mail.rcpt = ["550 5.1.1 no such user"]
    await office.send()
    assert (await person.get())["address_state"] == "bouncing"
    await person.change(2, address="nobody@example.ru")
    assert (await person.get())["address_state"] == "unconfirmed"


async def test_manager_sets_the_address_of_colleagues_only(office: Office) -> None:
    manager = Person(office, await office.person("manager", address=None), "manager")
    colleague = await office.person(address=None)
    stranger = await office.person(
        address=None, organisation_id=(await Office.open(office.harness, 1)).organisation_id
    )
    path = f"/api/v1/people/{colleague}/notice-address"
    answer = await manager.change(0, path, "PUT", address="sadik5@example.ru")
    assert (answer.status_code, answer.json()["address_state"]) == (200, "unconfirmed")
    assert (await manager.get(path))["address"] == "sadik5@example.ru"
    refused = await manager.change(0, f"/api/v1/people/{stranger}/notice-address", "PUT", address="a@example.ru")
    assert refused.status_code == 404
    executor = Person(office, colleague)
    assert (await executor.change(1, path, "PUT", address=None)).status_code == 403
    assert (await executor.change(1, address=None)).json()["address_state"] == "none"


async def test_notices_of_a_head_are_not_redirected_by_a_narrowed_client(office: Office) -> None:
    head = await office.person("head")
    path = f"/api/v1/people/{head}/notice-address"
    narrow = Person(office, await office.person("operations"), "operations", scope="people:manage people:read")
    refused = await narrow.change(1, path, "PUT", address="thief@example.ru")
    assert refused.status_code == 403, refused.text
    assert (await narrow.get(path))["address"] == "sadik5@example.ru"
    operator = Person(office, await office.person("operations"), "operations")
    assert (await operator.change(1, path, "PUT", address="head@example.ru")).status_code == 200


async def test_notices_of_subordinates_are_not_redirected_by_a_manager_without_access(
    office: Office,
) -> None:
    superior = await office.person("manager")
    await office.harness.sql("UPDATE people SET include_subordinates = true WHERE id = $1", superior)
    path = f"/api/v1/people/{superior}/notice-address"
    manager = Person(office, await office.person("manager"), "manager")
    refused = await manager.change(1, path, "PUT", address="thief@example.ru")
    assert refused.status_code == 403, refused.text
    assert (await manager.get(path))["address"] == "sadik5@example.ru"


@pytest.mark.parametrize("replacement", ["thief@example.ru", None])
async def test_address_replaced_by_a_manager_gets_a_letter_about_it(
    office: Office, mail: MailServer, replacement: str | None
) -> None:
    manager = Person(office, await office.person("manager", address=None), "manager")
    colleague = await office.person()
    path = f"/api/v1/people/{colleague}/notice-address"
    assert (await manager.change(1, path, "PUT", address=replacement)).status_code == 200
    await office.send()
    [warning] = [letter for letter in mail.letters if letter.recipient == "sadik5@example.ru"]
    assert warning.message["Subject"] == "Адрес для уведомлений изменён"
    assert (await office.settings_of(colleague)).former_address is None
    assert await office.send() == 0


async def test_address_replaced_by_its_owner_gets_no_letter_about_it(office: Office, mail: MailServer) -> None:
    person = Person(office, await office.person())
    await person.change(1, address="new@example.ru")
    await office.send()
    assert [letter.recipient for letter in mail.letters] == ["new@example.ru"]


async def test_address_is_stored_encrypted(office: Office) -> None:
    person = Person(office, await office.person(address=None))
    await person.change(0, address="sadik5@example.ru")
    [row] = await office.harness.sql("SELECT notice_settings::text AS row FROM notice_settings")
    audit = await office.harness.sql("SELECT before::text || after::text AS row FROM audit")
    assert "sadik5" not in row["row"] + "".join(found["row"] or "" for found in audit)


async def test_one_click_unsubscribes_from_the_kinds_of_the_letter(
    office: Office, mail: MailServer, now: time_machine.Traveller
) -> None:
    person_id = await office.person()
    await office.emit("appeal.assigned", await office.appeal())
    now.shift(timedelta(minutes=2))
    await office.send()
    url = mail.letters[0].message["List-Unsubscribe"].strip().strip("<>")
    path = url.removeprefix("https://api.example.ru")
    client = office.harness.app.client
    shown = await client.get(path)
    assert shown.status_code == 200
    assert "назначения" in shown.text
    assert (await office.settings_of(person_id)).choices == {}
    answer = await client.post(
        path,
        content="List-Unsubscribe=One-Click",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert (await office.settings_of(person_id)).choices == {"assignment": "never"}
    version = (await office.settings_of(person_id)).version
    assert (await client.post(path)).status_code == 200  # a second time
    assert (await office.settings_of(person_id)).version == version
    rows = await office.harness.sql("SELECT actor FROM audit WHERE action = 'end_notices' AND after IS NOT NULL")
    assert [row["actor"] for row in rows] == [f"link:{person_id}"]
    await office.emit("appeal.assigned", await office.appeal())
    assert (await office.outcomes())[-1] == ("suppressed", "unsubscribed")


@pytest.mark.parametrize("path", ["unsubscription", "confirmation"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_damaged_link_gets_404(office: Office, path: str, method: str) -> None:
    answer = await office.harness.app.client.request(method, f"/api/v1/notices/{path}", params={"token": "AAAA"})
    assert answer.status_code == 404


async def test_notices_are_listed_by_person_by_organisation_and_for_the_centre(office: Office) -> None:
    first, second = await office.person(address=None), await office.person(address=None)
    other = await Office.open(office.harness, 1, "Школа")
    await other.person(address=None)
    await office.emit("appeal.assigned", await office.appeal())
    await other.emit("appeal.assigned", await other.appeal())
    own = await Person(office, first).get("/api/v1/me/notices")
    assert [(item["person_id"], item["reason"]) for item in own["items"]] == [(str(first), "no_address")]
    colleagues = await Person(office, first).get("/api/v1/notices", status="suppressed")
    assert {item["person_id"] for item in colleagues["items"]} == {str(first), str(second)}
    everyone = await Person(office, await office.person("operations", address=None), "operations").get(
        "/api/v1/notices", reason="no_address", limit=2
    )
    assert len(everyone["items"]) == 2
    assert "next_cursor" in everyone


async def test_notices_of_a_colleague_show_no_appeal_that_the_reader_may_not_see(office: Office) -> None:
    colleague, reader = await office.person(address=None), await office.person(address=None)
    await office.change("people", colleague, include_subordinates=True)
    subordinate = await insert_organisation(office.harness.test_database, parent=office.organisation_id)
    own, foreign = await office.appeal(), await office.appeal(organisation_id=subordinate)
    for appeal_id in (own, foreign):
        note_id = await office.note(appeal_id)
        await office.emit("appeal.note_added", appeal_id, note_id=str(note_id), mentions=[str(colleague)])
    assert len(await office.notices()) == 2
    shown = await Person(office, reader).get("/api/v1/notices")
    assert [item["appeal_id"] for item in shown["items"]] == [str(own)]
    hidden = await Person(office, reader).get("/api/v1/notices", appeal_id=str(foreign))
    assert hidden["items"] == []
    assert len((await Person(office, colleague).get("/api/v1/me/notices"))["items"]) == 2
    centre = await office.person("operations", address=None)
    everyone = await Person(office, centre, "operations").get("/api/v1/notices")
    assert {item["appeal_id"] for item in everyone["items"]} == {str(own), str(foreign)}


async def test_bouncing_address_is_shown_to_its_owner(office: Office) -> None:
    person = Person(office, await office.person(state=AddressState.BOUNCING))
    found = await person.get()
    assert (found["address"], found["address_state"]) == ("sadik5@example.ru", "bouncing")
