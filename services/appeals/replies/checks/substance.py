"""Checks for the substance of a reply: an action or a date, a contact, a responsible person."""

import re
from collections.abc import Iterator

from services.appeals.replies.checks.hints import Hint
from services.appeals.replies.checks.reply_words import ReplyWords, Word
from shared.masking.person_names import NAME, mask_person_names

_MONTHS = frozenset(
    {
        "январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь", "октябрь", "ноябрь",
        "декабрь",
    }
)  # fmt: skip
_DAYS = frozenset(
    {
        "сегодня", "завтра", "послезавтра", "вчера", "позавчера", "понедельник", "вторник", "среда", "четверг",
        "пятница", "суббота", "воскресенье", "ежедневно", "круглосуточно", "весной", "летом", "осенью", "зимой",
        "будни", "полдень", "ночью", "утром", "вечером",
    }
)  # fmt: skip
_PERIODS = frozenset({"неделя", "месяц", "год", "квартал", "день", "час", "сутки", "минута", "сезон", "декада"})
_BEFORE_PERIOD = frozenset(
    {
        "до", "через", "течение", "этот", "следующий", "текущий", "будущий", "прошлый", "конец", "начало",
        "середина", "каждый", "один", "два", "три", "четыре", "пять", "семь", "десять", "пара", "первый", "второй",
        "третий", "четвертый", "последний", "за", "раз",
    }
)  # fmt: skip
_LOOK_BACK = 4
_CONDITIONS = frozenset({"если", "когда", "пока"})
_CONDITION_BEFORE = 3
_MONTH_NAMES = "января|февраля|марта|апреля|мая|июня|июля|августа|сентября|октября|ноября|декабря"
_DATE = re.compile(
    rf"(?<![\d.,])(?:[0-3]?\d\.(?:0[1-9]|1[0-2])(?:\.(?:20)?\d\d)?(?![\d.])"
    rf"|[0-3]?\d(?:-?(?:го|е|ое))?\s{{1,3}}(?:{_MONTH_NAMES})|[0-2]?\d:[0-5]\d(?!\d)|20\d\d[ \u00a0]?(?:год|г\.))",
    re.IGNORECASE,
)
# Finite verbs that neither promise nor report an action.
_WEAK = frozenset(
    {
        "благодарить", "поблагодарить", "сообщать", "сообщить", "информировать", "проинформировать", "рассмотреть",
        "рассматривать", "рассматриваться", "принять", "принимать", "приниматься", "обращаться", "обратиться",
        "являться", "быть", "мочь", "смочь", "находиться", "уведомлять", "уведомить", "отвечать", "ответить",
        "просить", "приносить", "принести", "извиняться", "надеяться", "понимать", "понять", "знать", "доводить",
        "довести", "стараться", "постараться", "получить", "услышать", "видеть", "ценить", "желать", "пожелать",
        "иметь", "иметься", "существовать", "осуществляться", "осуществлять", "касаться", "зависеть", "относиться",
        "хотеть", "хотеться", "считать", "считаться", "подлежать", "требовать", "требоваться", "напоминать",
        "разделять", "сожалеть", "держать", "обещать", "писать", "написать", "сказать", "говорить", "учитывать",
        "учесть", "поступить", "зарегистрировать", "стать", "становиться", "бывать", "вестись", "проводиться",
        "производиться", "рекомендовать", "советовать", "прорабатываться", "прорабатывать", "входить", "делать",
        "регламентироваться", "предусматриваться", "обусловить", "уточнить", "указать", "помнить", "вернуться",
        "работать", "решаться",
    }
)  # fmt: skip
_POSTS = frozenset(
    {
        "директор", "начальник", "заведующий", "заведующая", "специалист", "инженер", "мастер", "глава",
        "руководитель", "врач", "главврач", "заместитель", "куратор", "диспетчер", "бригадир", "участковый",
        "секретарь", "министр", "председатель", "администратор", "методист", "воспитатель", "учитель", "староста",
    }
)  # fmt: skip
_CONTACT = re.compile(
    r"https?://|www\.|[\w-]@[\w-]|(?<![\w-])(?:[a-z\d-]{2,63}\.){1,4}(?:ru|рф|com|org)(?!\w)"
    r"|\d[\d\-–() ]{4,20}\d|(?<!\d)(?:101|102|103|104|112|115|122)(?!\d)"
    r"|(?:кабинет[а-яё]{0,2}|каб\.|окн[оае]|адрес[а-яё]{0,2})[ \u00a0:—–-]{0,4}(?:№ ?)?[\dА-ЯЁа-яё]",
    re.IGNORECASE,
)
GREETING = re.compile(
    r"здравствуй|добр(?:ый|ое|ой|ого)\s{1,3}(?:день|дня|утр|вечер|времени|суток|ноч)|уважаем|приветству"
    r"|сайн\s{1,3}байна|амар\s{1,3}м[эе]нд|м[эе]ндэ",
    re.IGNORECASE,
)
_ADDRESSED_WITHIN = 120


def find_missing_substance(words: ReplyWords) -> Iterator[Hint]:
    """Yield hints for an action or date, a contact and a responsible person that are missing in a reply."""
    acts = [word for word in words.words if is_action(word)]
    dated = has_date(words)
    if not acts and not dated:
        yield Hint.of(
            "no_action_or_date", "Не сказано, что сделано или будет сделано и когда: назовите дело и дату."
        )
    elif not dated and (planned := _promise(words)) is not None:
        yield Hint.of("no_date", "Не сказано, когда: назовите дату или срок.", (planned.start, planned.end))
    if not has_contact(words):
        yield Hint.of("no_contact", "Нет контакта: дайте телефон, адрес или ссылку, где можно уточнить.")
    if not names_person(words):
        message = "Не сказано, кто отвечает: назовите должность или имя ответственного."
        yield Hint.of("no_responsible_person", message)


def _promise(words: ReplyWords) -> Word | None:
    """Return the first action in the future that is not part of a condition: «если сломается снова»."""
    for at, word in enumerate(words.words):
        before = words.words[max(at - _CONDITION_BEFORE, 0) : at]
        if is_action(word) and word.has("futr") and not any(earlier.folded in _CONDITIONS for earlier in before):
            return word
    return None


def is_action(word: Word) -> bool:
    """Return whether the word says that somebody does, did or will do something: «засыпали», «отремонтирован»."""
    finite = word.has("VERB") and not word.has("impr")
    return (finite or word.has("PRTS")) and word.lemma not in _WEAK


def has_date(words: ReplyWords) -> bool:
    """Return whether the text names a day, a time or a period: «до 5 мая», «в течение двух дней», «завтра»."""
    if _DATE.search(words.text):
        return True
    for at, word in enumerate(words.words):
        if word.folded in _DAYS or word.lemma in _DAYS:
            return True
        before = words.words[max(at - _LOOK_BACK, 0) : at]
        if (
            word.lemma in _MONTHS
            and before
            and before[-1].folded in {"в", "к", "с", "до", "на", "по", "начале", "конце"}
        ):
            return True
        if word.lemma in _PERIODS and any(
            earlier.lemma in _BEFORE_PERIOD or earlier.folded in _BEFORE_PERIOD or earlier.folded.isdecimal()
            for earlier in before
        ):
            return True
    return False


def has_contact(words: ReplyWords) -> bool:
    """Return whether the text has a phone, an address, a link or an office number."""
    return _CONTACT.search(words.text) is not None


def names_person(words: ReplyWords) -> bool:
    """Return whether the text names a person or a job title, besides the citizen whom it addresses."""
    if any(word.lemma in _POSTS for word in words.words):
        return True
    text = words.text
    greeting = GREETING.search(text, 0, _ADDRESSED_WITHIN)
    if greeting is not None:
        ends = [at for mark in ".!?\n" if (at := text.find(mark, greeting.end())) >= 0]
        text = text[min(ends, default=len(text)) :]
    return NAME in mask_person_names(text)
