"""Personal data, forbidden links and template fields that block publication, and texts that are allowed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.appeals.replies.checks.check_text import blocking_hints, check_reply
from services.appeals.replies.checks.hints import Hint, RecentReply, ReplyContext
from services.appeals.replies.checks.links import find_forbidden_links, host_of
from services.appeals.replies.checks.personal_data import phone_numbers
from services.appeals.reply_templates.template_fields import fill_fields, template_errors

OFFICIAL = ReplyContext(phones=frozenset({"3012212121", "9140001122"}), mails=frozenset({"priem@kabansk.example"}))


def codes(text: str, context: ReplyContext = OFFICIAL) -> list[str]:
    return [hint.code for hint in blocking_hints(text, context)]


def blocks(hints: list[Hint]) -> bool:
    return any(hint.severity == "blocking" for hint in hints)


@pytest.mark.parametrize(
    "text",
    [
        "Звоните: 8 (3012) 21-21-21",
        "тел. 21-21-21",
        "+7 3012 21 21 21, доб. 12",
        "8-914-000-11-22 (дежурный)",
        "8 800 555-35-35",
        "Экстренные службы: 112",
        "Обращение № 1024 от 30.11.2026",
        "ИНН организации 0323012345",
        "Сумма 1 250 000 рублей",
        "Пишите на PRIEM@kabansk.example",
        "https://www.gosuslugi.ru/form/?opaId=1234567890123",
    ],
)
def test_official_contacts_and_plain_numbers_are_allowed(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Соседка: 8 914 123-45-67", "personal_phone"),
        ("Соседка: +79141234567.", "personal_phone"),
        ("Ваш телефон 8(914)1234567 записан", "personal_phone"),
        ("Домашний: 8 (3012) 44-55-66", "unknown_phone"),
        ("Паспорт 8110 123456", "personal_document"),
        ("СНИЛС 112-233-445 95", "personal_document"),
        ("Счёт 40817810099910004312", "personal_account"),
        ("карта 4111 1111 1111 1111", "personal_card"),
        ("anna1990@mail.ru", "personal_mail"),
        ("anna@firma.example", "unknown_mail"),
        ("дом 5, квартира 12", "personal_address"),
        ("[id123|Анна], здравствуйте", "person_link"),
    ],
)
def test_personal_data_is_found_with_its_offsets(text: str, code: str) -> None:
    (hint,) = blocking_hints("Здравствуйте! " + text, OFFICIAL)
    assert hint.code == code
    assert hint.start is not None
    assert hint.start >= len("Здравствуйте! ")
    assert hint.severity == ("blocking" if code.startswith("personal") else "warning")


def test_each_of_two_numbers_is_checked_separately() -> None:
    assert codes("Приёмная 8 (3012) 21-21-21, соседка 8 914 123-45-67") == ["personal_phone"]
    assert codes("Соседка 8 914 123-45-67, приёмная 8 (3012) 21-21-21") == ["personal_phone"]


def test_personal_data_in_a_private_conversation_is_a_warning() -> None:
    private = ReplyContext(is_private=True)
    hints = blocking_hints("Ваш номер 8 914 123-45-67 записан", private)
    assert [(hint.code, hint.severity) for hint in hints] == [("personal_phone", "warning")]
    # A link or an unfilled field is not personal data.
    assert blocks(list(blocking_hints("{имя}, смотрите bit.ly/abc", private)))


def test_phone_numbers_are_read_from_a_contact_field() -> None:
    assert phone_numbers("8 (3012) 21-21-21, 21-22-23; +7 914 000 11 22") == {"3012212121", "212223", "9140001122"}
    assert phone_numbers("нет") == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "bit.ly/abc", "https://clck.ru/3abc", "http://www.tinyurl.com/x", "javascript:alert(1)", "ftp://host.ru/a",
        "tg://join?invite=1", "tel:+73012212121", "http://gosuslugi.ru@evil.ru/", "http://10.0.0.1/a",
        "https://xn--80ak6aa92e.com/", "https://gоv.ru/", "data:text/html,1",
    ],
)  # fmt: skip
def test_forbidden_link_is_found(text: str) -> None:
    found = list(find_forbidden_links(f"Смотрите {text} сегодня", None))
    assert found
    assert {hint.severity for hint in found} == {"blocking"}


@pytest.mark.parametrize(
    "text",
    [
        "https://www.gosuslugi.ru/a?b=c", "vk.com/wall-1_2", "Смотри: да", "с 9.00 до 18.00", "т.е. завтра",
        "ул. Ленина, 5", "priem@kabansk.example", "3.5 км.", "кабанск.рф/новости", "habit.lyon.ru",
    ],
)  # fmt: skip
def test_ordinary_link_or_text_is_allowed(text: str) -> None:
    assert list(find_forbidden_links(text, None)) == []


def test_configured_list_of_hosts_forbids_all_other_hosts() -> None:
    hosts = {"kabansk.example"}
    for allowed in (
        "https://kabansk.example/a",
        "https://www.kabansk.example",
        "https://pos.gosuslugi.ru",
        "vk.com",
    ):
        assert list(find_forbidden_links(allowed, hosts)) == []
    for other in ("https://notkabansk.example/", "https://gosuslugi.ru.evil.com/", "novosti.ru"):
        (hint,) = find_forbidden_links(other, hosts)
        assert hint.code == "forbidden_link"


def test_host_is_read_from_a_site_address() -> None:
    assert host_of("https://www.Kabansk.example/о-нас") == "kabansk.example"
    assert host_of("kabansk.example") == "kabansk.example"
    assert host_of("http://[") is None


def test_template_with_an_unknown_field_or_a_single_brace_is_refused() -> None:
    assert template_errors("{Имя}, обращение № { номер }") == []
    (unknown,) = template_errors("Здравствуйте, {фамилия}!")
    assert "{фамилия}" in unknown
    assert template_errors("Срок {срок") != []


def test_template_fields_without_a_value_are_kept_and_reported() -> None:
    filled, missing = fill_fields("{Имя}, № {номер}, {имя}: {срок}", {"номер": "7", "срок": None, "имя": None})
    assert filled == "{Имя}, № 7, {имя}: {срок}"
    assert missing == ("имя", "срок")
    assert codes(filled) == ["unfilled_field"] * 3


def test_near_copy_of_a_recent_reply_gets_a_hint_with_its_number() -> None:
    text = "Здравствуйте! Яму на улице Бабушкина засыплем до 5 декабря, отвечает мастер участка."
    recent = (RecentReply(17, text.replace("Бабушкина", "Бабушкинa")), RecentReply(18, text))
    (hint,) = [
        one for one in check_reply(text, "final", ReplyContext(recent=recent)) if one.code == "same_as_recent"
    ]
    assert "№ 17" in hint.message
    other = ReplyContext(recent=(RecentReply(19, "Здравствуйте! Автобус 28 вышел на линию вчера."),))
    assert "same_as_recent" not in {one.code for one in check_reply(text, "final", other)}


@given(
    st.text(max_size=200) | st.text(alphabet="аеи бвг.,!?\n{}8 914-()@:/[]|«»№ёЁİß\u0301\u200b", max_size=200),
    st.sampled_from(["final", "interim"]),
)
@settings(max_examples=150)
def test_hint_offsets_lie_inside_any_text(text: str, kind: str) -> None:
    for hint in check_reply(text, kind, ReplyContext(question=text)):
        assert (hint.start is None) is (hint.end is None)
        if hint.start is not None and hint.end is not None:
            assert 0 <= hint.start < hint.end <= len(text)


def test_blocking_hints_come_first() -> None:
    hints = check_reply("Меры принимаются. Звоните 8 914 123-45-67", "final", ReplyContext())
    ranks = [("blocking", "warning", "hint").index(hint.severity) for hint in hints]
    assert ranks == sorted(ranks)
    assert hints[0].code == "personal_phone"


@pytest.mark.parametrize(
    ("kind", "outcome", "early"),
    [
        ("interim", None, True),
        ("final", "not_solved", True),
        ("final", "postponed", True),
        ("final", "solved", False),
        ("final", None, False),
    ],
)
def test_request_for_a_rating_before_the_matter_is_solved_gets_a_hint(
    kind: str, outcome: str | None, early: bool
) -> None:
    text = "Здравствуйте! Яму на улице Бабушкина засыпали 2 декабря. Оцените, пожалуйста, наш ответ."
    found = {hint.code for hint in check_reply(text, kind, ReplyContext(outcome=outcome))}
    assert ("rating_asked_early" in found) == early
