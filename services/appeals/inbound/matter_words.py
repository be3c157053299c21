"""Words that show whether a message continues a matter: cues, and words that describe no matter."""

from collections.abc import Iterable
from itertools import islice, takewhile
from typing import Literal

from services.appeals.classification.text.tokenizer import CleanText, StemIndex, tokenize
from shared.text.normalize import fold_text

Cue = Literal["other_matter", "one_more", "clarifies", "points_at_place", "corrects", "follows_up", "refers_back"]

_CUES = StemIndex(
    {
        # «По другому поводу», «совсем другое».
        "other_matter": (
            "друг вопрос", "другой вопрос", "другому поводу", "другой повод", "не по теме", "другая тема",
            "другую тему", "другое дело", "совсем друг", "отдельн вопрос", "новый вопрос", "другая проблем",
            "друга проблем", "другую проблем", "другая бед", "помимо этого", "кроме этого",
        ),
        # «Ещё один вопрос», «заодно»: often another matter, sometimes more about the same.
        "one_more": (
            "еще вопрос", "еще один", "еще одн", "второй вопрос", "и еще$", "а еще$", "еще хотел", "еще скажите",
            "еще подскажите", "подскажите еще", "скажите еще", "еще почему", "еще как$", "еще когда", "заодно",
            "кстати$", "также хотел", "также прошу", "также скажите",
        ),
        # «Уточняю», «забыла написать».
        "clarifies": (
            "уточн", "дополн", "имею в виду", "имел в виду", "имела в виду", "я про$", "я о$", "я об$", "речь о$",
            "речь об$", "речь про$", "речь идет", "забыл написать", "забыла написать", "забыл указать",
            "забыла указать", "забыл сказать", "забыла сказать", "точнее$", "вернее$", "поправ", "опечат",
            "ошибся", "ошиблась", "в смысле$", "а именно$", "наш это$", "у нас это$", "ну вот$",
        ),
        # «Это на Шумяцкого».
        "points_at_place": (
            "это на$", "это в$", "это во$", "это у$", "это возле", "это около",
        ),
        # «Ошибся, не Ленина, а Гагарина».
        "corrects": ("точнее$", "вернее$", "поправ", "опечат", "ошибся", "ошиблась", "не та$", "не тот$"),
        # «Так когда?», «до сих пор».
        "follows_up": (
            "ответьте", "ответа$", "ответите", "так когда", "ну что$", "когда уже", "до сих пор",
            "опять$", "снова$", "так и$", "по прежнему", "третий раз", "второй раз", "который раз",
            "сколько можно", "сколько еще", "сколько ждать", "жду$", "ждем$", "ау$", "напоминаю", "повторяю",
            "просто скажите", "сегодня$", "вчера$",
        ),
        # «Там», «её», «этот».
        "refers_back": (
            "там$", "туда$", "оттуда$", "ее$", "этот$", "эта$", "этой$",
            "этим$", "этого$", "эту$", "эти$", "этих$", "ней$", "нем$", "ним$", "них$",
        ),
    }
)  # fmt: skip
# «В Сокол тоже приезжайте», «а на Модогоева …»: the same problem in another location.
_ELSEWHERE = StemIndex({"elsewhere": ("тоже$", "также$", "такая же", "такой же", "такое же", "такие же")})
_LEADING = frozenset({"а", "и"})
_PREPOSITIONS = frozenset({"в", "во", "на", "у", "по", "под", "за", "около", "возле"})

# Words that describe no matter: function words, greetings, time, and the parts of an address.
_EMPTY_WORDS = frozenset(
    tokenize(
        fold_text(
            """
            а без бы был была были было быть в вам вас ваш ваша ваши весь вообще вот все всем всех вы где говорят
            говорит да даже день дня дней добрый до доброе его ее если есть еще же за здравствуйте здрасте и из или
            им их к как какая какие какой каком когда кому кто куда ли лишь мне меня может можно можете мой моя мою
            мы на над надо нам нас наш наша нашей нашем наши нашу не него нее нет нету неужели ни никто никого них
            но ну о об обратите они он она опять от очень по под пожалуйста пока помогите после почему при просим
            прошу про пусть раз с сам сами сегодня сейчас скажите подскажите сколько снова со спасибо так там такая
            такое такой такие тебе тем то того тоже только том тот ты у уважаемые уже утро утра утром хватит хочу
            хотел хотела хотим что чтобы чем чего че эта эти это этого этом этой эту этот я внимание вечер вечера
            вечером вчера ночью второй третий первый час часа часов минут неделю недели месяц месяца год года лет
            вторые сутки срочно будет будут быть кстати заодно также вопрос вопросы ответьте ответ уточняю дополню
            дополнение дополняю адрес адресу забыл забыла написать указать точнее вернее именно конкретно просто
            вами самими сама свое свой свою своей который которая которой которые мною нами улан удэ бурятия
            бурятии республики нормально сделать делать
            нужно должны кто-нибудь что-нибудь кого кем всё никак никогда
            ул улица улице улицы улицу дом дома доме дому д кв квартира квартире подъезд подъезде подъезда этаж
            этаже корпус строение стр проспект проспекте пр пер переулок переулке мкр микрорайон микрорайоне
            квартал поселок поселке поселка пос село селе села деревня деревне деревни район районе района
            город городе города г с возле около рядом напротив между сторону
            """
        )
    )
)
_SHORTEST_STEM = 4
# Maximum number of words of a text that are compared: the time of a comparison grows with the square of this
# number.
_MAX_WORDS = 100


def cues_of(text: CleanText) -> frozenset[Cue]:
    """Return the cues in a text."""
    return frozenset(found.label for found in _CUES.find(text.tokens))  # type: ignore[misc]


def tells_of_elsewhere(text: CleanText) -> bool:
    """Return whether the words compare with another location: «тоже», «такая же», «а на …»."""
    words = text.tokens
    leads = len(words) > 2 and words[0] in _LEADING and words[1] in _PREPOSITIONS
    return leads or bool(_ELSEWHERE.find(words))


def content_words(text: CleanText, names: Iterable[str | None]) -> frozenset[str]:
    """Return the first words that may describe the matter: without function words, numbers, and words of these
    names.
    """
    starts = {stem_of(word) for name in names if name for word in tokenize(fold_text(name))}
    telling = (
        word
        for word in text.tokens
        if word not in _EMPTY_WORDS
        and len(word) > 2
        and not word[0].isdigit()
        and not any(are_forms(word, start) for start in starts)
    )
    return frozenset(islice(telling, _MAX_WORDS))


def numbers_of(text: CleanText) -> frozenset[str]:
    """Return the numbers of two to four digits that a text names, without endings: «97й» → 97."""
    found = ("".join(takewhile(str.isdigit, word)) for word in text.tokens if word[0].isdigit())
    return frozenset(number for number in found if 2 <= len(number) <= 4)


def stem_of(word: str) -> str:
    """Return the beginning that the forms of a word usually share."""
    return word[: max(_SHORTEST_STEM, len(word) - 2)]


def are_forms(one: str, other: str) -> bool:
    """Return whether two words are likely forms of one word: equal, or with the same beginning."""
    if one == other:
        return True
    shortest = min(len(one), len(other))
    if shortest < _SHORTEST_STEM:
        return False
    needed = max(_SHORTEST_STEM, max(len(one), len(other)) - 3)
    return one[:needed] == other[:needed]


def shared_words(some: Iterable[str], others: Iterable[str]) -> list[str]:
    """Return the words of `some` that have a form among the other words, in alphabetical order."""
    candidates = list(others)
    return sorted(word for word in some if any(are_forms(word, other) for other in candidates))
