"""Names of people in Russian words, Buryat ones too: found by grammar and neighbours.

What a word may be (first name, patronymic, surname) comes from the dictionary of pymorphy3 and the lists beside
this file; it is worked out once per word. Whether it is a person here is told by its neighbours: a patronymic,
initials, a first name beside a surname, a greeting, an office. Streets, institutions and settlements that are
named after people stay. A text without such words costs one look-up per word.
"""

import re
from dataclasses import dataclass, replace

from shared.masking.name_lexicon import (
    ALONE,
    ANY_FIRST,
    ANY_SURNAME,
    COMMON,
    FIRST,
    GENITIVE,
    GREETING,
    GUESS,
    HOUSE,
    LETTERS,
    LIKELY,
    OFFICE,
    ORDINARY,
    PATRONYMIC,
    PLACE,
    PUBLIC,
    SAID_OF_PLACES,
    STREET,
    SURNAME,
    THING,
    UNKNOWN,
    kind_of,
    lists,
)

NAME = "[имя]"

_WORD = re.compile(rf"[{LETTERS}]+(?:-[{LETTERS}]+)*")
_ABBREVIATION = 4
_BEGINS = ANY_FIRST | PATRONYMIC | ANY_SURNAME
_TELLING = ANY_FIRST | PATRONYMIC | SURNAME

# Letters that stand for a word of an address: never initials, and what follows is a place.
_SHORT_PLACE = re.compile(r"(?:^|[\s,(;«\"])(?:г|с|п|д|р|ст|у|м|о|оз|пос|св|им|ул|пл|пер|наб|пр|ост)\.\s{0,2}$")
_HOUSE_NUMBER = re.compile(
    r"(?:[ ,]{1,3}|, ?)(?:д(?:ом)?[ .]{0,2})?(?:№ ?)?\d{1,3} ?(?:[а-яА-Я](?![а-яА-Я])|[/-]\d{1,3})?(?![\d]|[.:]\d"
    r"|\s{0,2}(?:лет|год|г\b|мин|час|руб|р\.|числ|раз|мес|дн|января|февраля|марта|апреля|мая|июн|июл|август|сентябр"
    r"|октябр|ноябр|декабр|класс|кабинет|%|человек|дет))"
)
_INITIALS_AFTER = re.compile(rf",?[ \u00a0]{{0,2}}([А-ЯЁ])\.(?:[ \u00a0]{{0,2}}([А-ЯЁ])(?:\.|(?![{LETTERS}])))?")
_TWO_BARE_AFTER = re.compile(
    rf" (?!ИП|НЕ|УК|РФ|РБ|ГО|МО|СО|НА|ЗА|ПО|ДО|ИЗ|ОТ|ДК|ТЦ|ЖК)([А-ЯЁ]) ?([А-ЯЁ])(?![{LETTERS}.])"
)
_LOWER_AFTER = re.compile(r" (?!т\.|г\.|д\.|и\.о|н\.э|р\.п|с\.г)[а-яё]\. ?[а-яё]\.")
_INITIALS_BEFORE = re.compile(rf"(?<![{LETTERS}])([А-ЯЁ])\.[ \u00a0]{{0,2}}(?:([А-ЯЁ])\.[ \u00a0]{{0,2}})?$")
_INITIALS = re.compile(r"[А-ЯЁ]\.[ \u00a0]{0,2}[А-ЯЁ]")
_BETWEEN = re.compile(r"[ \u00a0]{1,3}|[ \u00a0]{0,2}\n[ \u00a0]{0,2}")
_SENTENCE_END = frozenset(".!?…\n:;—–•*)")
_LOWER_LETTER = re.compile(r"[а-яё]")


@dataclass(slots=True)
class _Token:
    start: int
    end: int
    word: str
    kind: int
    capital: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """A stretch of the text and the word after it: a person, or something named after one."""

    start: int
    end: int
    after: int
    person: bool


def _written_as_name(word: str) -> bool:
    """«ФОКа» and «ПАЗик» are no names, however alike."""
    return word.islower() or word.isupper() or word.istitle() or "-" in word


def _first_beside(token: _Token) -> bool:
    """Whether a word beside a patronymic is its first name."""
    return bool(token.kind & ANY_FIRST) or (token.capital and token.kind & (UNKNOWN | PLACE) == UNKNOWN)


def _surname_beside(token: _Token) -> bool:
    """Whether a word beside a first name with patronymic is the surname."""
    if token.kind & SURNAME or token.kind & (GUESS | UNKNOWN) == GUESS | UNKNOWN:
        return True
    return token.capital and (bool(token.kind & (GUESS | ORDINARY)) or token.kind & (UNKNOWN | PLACE) == UNKNOWN)


def mask_people(text: str) -> str:
    """The text with names of people replaced by `[имя]`."""
    matches = list(_WORD.finditer(text))
    kinds = [kind_of(match[0].lower()) for match in matches]
    if not any(kind & _TELLING for kind in kinds) and not _INITIALS.search(text):
        # A word that only looks like a surname is one beside an office, or at the end of a letter.
        told = False
        for kind in kinds:
            if kind & GUESS and told:
                break
            told = bool(kind & OFFICE)
        else:
            return text
    return _Reader(text, matches, kinds).masked()


class _Words:
    """The words of a text as tokens, made when they are asked for: most never are."""

    def __init__(self, text: str, matches: list[re.Match[str]], kinds: list[int]) -> None:
        self._matches = matches
        self._kinds = kinds
        self._made: dict[int, _Token] = {}
        # Where all is in capitals, or nothing, a capital letter tells nothing.
        self._shouting = _LOWER_LETTER.search(text) is None

    def __len__(self) -> int:
        return len(self._matches)

    def __getitem__(self, at: int) -> _Token:
        made = self._made.get(at)
        if made is None:
            match = self._matches[at]
            word = match[0]
            capital = word.istitle() or (word[0].isupper() and len(word) > _ABBREVIATION)
            kind = self._kinds[at] if _written_as_name(word) else THING
            made = _Token(match.start(), match.end(), word.lower(), kind, capital and not self._shouting)
            self._made[at] = made
        return made

    def between(self, start: int, end: int) -> list[_Token]:
        """The words from one place up to another."""
        return [self[at] for at in range(max(start, 0), min(end, len(self)))]

    def begins(self, at: int) -> bool:
        """Whether a person may begin with this word."""
        kind = self._kinds[at]
        return bool(kind & _BEGINS) or (kind & UNKNOWN != 0 and self._matches[at][0][0].isupper())


class _Reader:
    """Goes through a text's words once, from left to right."""

    def __init__(self, text: str, matches: list[re.Match[str]], kinds: list[int]) -> None:
        self._text = text
        self._tokens = _Words(text, matches, kinds)

    def masked(self) -> str:
        parts: list[str] = []
        kept = at = 0
        while at < len(self._tokens):
            found = self._person_at(at) if self._tokens.begins(at) else None
            if found is None:
                at += 1
                continue
            if found.person:
                parts += (self._text[kept : found.start], NAME)
                kept = found.end
            at = found.after
        return "".join((*parts, self._text[kept:]))

    def _person_at(self, at: int) -> _Found | None:
        """The person that begins at a word, or whom something is named after; none for any other word."""
        first = self._tokens[at]
        run = self._run(at)
        if length := self._full_name(run):
            return self._found(at, at + length, person=not self._named_after(at))
        if initials := self._with_initials(at, run):
            return replace(initials, person=not self._is_named(at, initials))
        if length := self._pair(run):
            found = self._found(at, at + length, person=True)
            return replace(found, person=not self._is_named(at, found))
        return self._found(at, at + 1, person=True) if self._alone(at, first) else None

    def _found(self, at: int, after: int, *, person: bool) -> _Found:
        return _Found(self._tokens[at].start, self._tokens[after - 1].end, after, person)

    def _run(self, at: int) -> list[_Token]:
        """Up to three words that stand side by side."""
        run = [self._tokens[at]]
        for token in self._tokens.between(at + 1, at + 3):
            if not _BETWEEN.fullmatch(self._text, run[-1].end, token.start) or token.kind & THING:
                break
            run.append(token)
        return run

    @staticmethod
    def _full_name(run: list[_Token]) -> int:
        """How many words of the run are a name with its patronymic, in any order."""
        kinds = [token.kind for token in run]
        if kinds[0] & PATRONYMIC:
            # «Петровна», «Ивановна Мария» does not occur; a surname may follow.
            return 2 if len(run) > 1 and _surname_beside(run[1]) else 1
        if len(run) > 1 and kinds[1] & PATRONYMIC and _first_beside(run[0]):
            return 3 if len(run) > 2 and _surname_beside(run[2]) else 2
        if len(run) > 2 and kinds[2] & PATRONYMIC and _surname_beside(run[0]) and _first_beside(run[1]):
            return 3
        return 0

    def _with_initials(self, at: int, run: list[_Token]) -> _Found | None:
        first = run[0]
        letters = _INITIALS_BEFORE.search(self._text, max(first.start - 9, 0), first.start)
        if letters and self._is_bearer(first, both=bool(letters[2])):
            street = _SHORT_PLACE.search(self._text, max(letters.start() - 8, 0), letters.start())
            begins = letters.start()
            if street is None or letters[2]:
                return _Found(begins, first.end, at + 1, person=True)
        if not self._is_bearer(first, both=True):
            return None
        letters = _INITIALS_AFTER.match(self._text, first.end)
        if letters and not (letters[2] or self._is_bearer(first, both=False)):
            letters = None
        if letters is None and first.kind & SURNAME:
            letters = _LOWER_AFTER.match(self._text, first.end)
            if letters is None and self._text[first.start : first.end].istitle():
                letters = _TWO_BARE_AFTER.match(self._text, first.end)
        if letters is None:
            return None
        return _Found(first.start, letters.end(), self._after(at, letters.end()), person=True)

    def _after(self, at: int, end: int) -> int:
        at += 1
        while at < len(self._tokens) and self._tokens[at].start < end:
            at += 1
        return at

    @staticmethod
    def _is_bearer(token: _Token, *, both: bool) -> bool:
        """Whether a word can be the surname that initials stand by."""
        if token.kind & PUBLIC or len(token.word) < 3 or not token.capital:
            return bool(token.kind & SURNAME and not token.kind & PUBLIC and both)
        if both:
            return bool(token.kind & (ANY_SURNAME | UNKNOWN | ORDINARY)) and not token.kind & (STREET | HOUSE)
        return bool(token.kind & SURNAME) or token.kind & (UNKNOWN | GUESS) == UNKNOWN | GUESS

    @staticmethod
    def _pair(run: list[_Token]) -> int:
        """Two when the run begins with a first name beside a surname, in either order."""
        if len(run) < 2:
            return 0
        for name, surname in ((run[0], run[1]), (run[1], run[0])):
            if not name.kind & ANY_FIRST or surname.kind & PUBLIC:
                continue
            both = name.capital and surname.capital
            if name.kind & (FIRST | LIKELY) and surname.kind & SURNAME:
                return 2 if both or (name.kind & FIRST) else 0
            if both and surname.kind & ANY_SURNAME:
                return 2
            if (
                name.kind & FIRST
                and surname.kind & GUESS
                and surname.kind & UNKNOWN
                and surname.capital == name.capital
            ):
                return 2
            if both and name.kind & FIRST and surname.kind & UNKNOWN and not surname.kind & PLACE:
                return 2
        return 0

    def _alone(self, at: int, token: _Token) -> bool:
        """Whether a lone word is a person: greeted, addressed, of an office, or nothing else at all."""
        if token.kind & PUBLIC or not token.kind & (ANY_FIRST | ANY_SURNAME):
            return False
        if self._is_protected(at) or self._quoted(token) or self._names_a_thing(at):
            return False
        before = self._tokens[at - 1] if at and self._near(self._tokens[at - 1], token) else None
        told = before.kind if before else 0
        return self._first_name_alone(token, told) or self._surname_alone(token, told)

    def _first_name_alone(self, token: _Token, told: int) -> bool:
        kind = token.kind
        if told & GREETING and kind & ANY_FIRST and (token.capital or kind & COMMON):
            return True
        if kind & FIRST and not (kind & PLACE and told & SAID_OF_PLACES):
            return token.capital or bool(kind & COMMON)
        if not (kind & LIKELY and token.capital):
            return False
        if self._begins(token):
            return self._text[token.end : token.end + 1] in {",", "!"}
        return not kind & PLACE

    def _surname_alone(self, token: _Token, told: int) -> bool:
        kind = token.kind
        if _HOUSE_NUMBER.match(self._text, token.end):
            return False
        if told & OFFICE and (kind & SURNAME or (kind & GUESS and token.capital)):
            return True
        return bool(kind & ALONE and token.capital) and not (kind & ORDINARY and not kind & SURNAME)

    def _names_a_thing(self, at: int) -> bool:
        """«Карла Маркса», «ЛизаАлерт»: a first name that goes on as something known."""
        if at + 1 == len(self._tokens):
            return False
        token, after = self._tokens[at], self._tokens[at + 1]
        if not self._near(token, after):
            return False
        return bool(after.kind & PUBLIC) or (token.word, after.word) in lists().named

    def _near(self, left: _Token, right: _Token) -> bool:
        gap = self._text[left.end : right.start]
        return len(gap) <= 3 and gap.strip(' \u00a0.,!:«"') == ""

    def _begins(self, token: _Token) -> bool:
        before = self._text[max(token.start - 4, 0) : token.start].rstrip(' \u00a0"«(')
        return not before or before[-1] in _SENTENCE_END or not (before[-1].isalnum() or before[-1] in ",]")

    def _quoted(self, token: _Token) -> bool:
        return self._text[token.start - 1 : token.start] in {"«", '"', "“", "„"} and self._text[
            token.end : token.end + 1
        ] in {"»", '"', "”", "“"}

    def _is_protected(self, at: int) -> bool:
        """Whether words before tell that a place is named here."""
        token = self._tokens[at]
        if _SHORT_PLACE.search(self._text, max(token.start - 8, 0), token.start):
            return True
        if not at:
            return False
        before = self._tokens[at - 1]
        if not self._near(before, token):
            return False
        if before.kind & STREET:
            return True
        return bool(before.kind & HOUSE) and not any(one.kind & OFFICE for one in self._tokens.between(at - 4, at))

    def _named_after(self, at: int) -> bool:
        """Whether a full name is that of a street or an institution."""
        if not at:
            return False
        before = self._tokens[at - 1]
        return bool(before.kind & STREET) and self._near(before, self._tokens[at])

    def _is_named(self, at: int, found: _Found) -> bool:
        """Whether a first name or initials beside a surname are a street's or an institution's name."""
        tokens = self._tokens.between(at, found.after)
        first = at
        while first and self._tokens[first].start > found.start:
            first -= 1  # initials are words too
        if tuple(token.word for token in tokens) in lists().named or self._is_protected(first):
            return True
        genitive = all(token.kind & GENITIVE for token in tokens)
        return genitive and _HOUSE_NUMBER.match(self._text, found.end) is not None
