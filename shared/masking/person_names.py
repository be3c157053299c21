"""Mask names of people in Russian texts, including Buryat names, found by grammar and context.

What a word can be (first name, patronymic, surname) comes from the dictionary of pymorphy3 and the lists in
`data/`, cached per word. Its neighbours decide whether it is a person: a patronymic, initials, a first name next
to a surname, a greeting, a job title. Streets, institutions and settlements named after people are not masked. A
text without such words costs one lookup per word.
"""

import re
from dataclasses import dataclass, replace

from shared.masking.name_lexicon import (
    ALSO_ORDINARY_WORD,
    ANY_FIRST_NAME,
    ANY_SURNAME,
    BEFORE_INSTITUTION,
    BEFORE_LOCATION,
    BEFORE_STREET,
    COMMON_FIRST_NAME,
    FIRST_NAME,
    GENITIVE,
    GREETING,
    HISTORICAL,
    JOB_TITLE,
    LETTERS,
    LIKELY_FIRST_NAME,
    LOCATION,
    NOT_A_NAME,
    PATRONYMIC,
    SURNAME,
    SURNAME_LIKE,
    SURNAME_ONLY_FORM,
    UNKNOWN,
    lists,
    word_flags,
)

NAME = "[имя]"

_WORD = re.compile(rf"[{LETTERS}]+(?:-[{LETTERS}]+)*")
_ABBREVIATION = 4
_BEGINS = ANY_FIRST_NAME | PATRONYMIC | ANY_SURNAME
_NAME_FLAGS = ANY_FIRST_NAME | PATRONYMIC | SURNAME

# Abbreviations in addresses: they are never initials, and a location follows.
_LOCATION_ABBREVIATION = re.compile(
    r"(?:^|[\s,(;«\"])(?:г|с|п|д|р|ст|у|м|о|оз|пос|св|им|ул|пл|пер|наб|пр|ост)\.\s{0,2}$"
)
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
class _NameSpan:
    """A span with the name of a person, or of something named after one; `after` is the index of the next word."""

    start: int
    end: int
    after: int
    person: bool


def _is_name_case(word: str) -> bool:
    """Return whether a word can be a name by the case of its letters, unlike «ФОКа» and «ПАЗик»."""
    return word.islower() or word.isupper() or word.istitle() or "-" in word


def _is_first_name_of_patronymic(token: _Token) -> bool:
    """Return whether a word next to a patronymic is the first name."""
    return bool(token.kind & ANY_FIRST_NAME) or (token.capital and token.kind & (UNKNOWN | LOCATION) == UNKNOWN)


def _is_surname_of_full_name(token: _Token) -> bool:
    """Return whether a word next to a first name with patronymic is the surname."""
    if token.kind & SURNAME or token.kind & (SURNAME_LIKE | UNKNOWN) == SURNAME_LIKE | UNKNOWN:
        return True
    return token.capital and (
        bool(token.kind & (SURNAME_LIKE | ALSO_ORDINARY_WORD)) or token.kind & (UNKNOWN | LOCATION) == UNKNOWN
    )


def mask_person_names(text: str) -> str:
    """Return the text with names of people replaced by `[имя]`."""
    matches = list(_WORD.finditer(text))
    kinds = [word_flags(match[0].lower()) for match in matches]
    if not any(kind & _NAME_FLAGS for kind in kinds) and not _INITIALS.search(text):
        # After a job title, a word that only looks like a surname counts as one.
        after_job_title = False
        for kind in kinds:
            if kind & SURNAME_LIKE and after_job_title:
                break
            after_job_title = bool(kind & JOB_TITLE)
        else:
            return text
    return _NameFinder(text, matches, kinds).mask()


class _Words:
    """The words of a text as tokens, created lazily, since most are never used."""

    def __init__(self, text: str, matches: list[re.Match[str]], kinds: list[int]) -> None:
        self._matches = matches
        self._kinds = kinds
        self._made: dict[int, _Token] = {}
        # In a text without lower case letters, capital letters have no meaning.
        self._without_lower_case = _LOWER_LETTER.search(text) is None

    def __len__(self) -> int:
        return len(self._matches)

    def __getitem__(self, at: int) -> _Token:
        made = self._made.get(at)
        if made is None:
            match = self._matches[at]
            word = match[0]
            capital = word.istitle() or (word[0].isupper() and len(word) > _ABBREVIATION)
            kind = self._kinds[at] if _is_name_case(word) else NOT_A_NAME
            made = _Token(match.start(), match.end(), word.lower(), kind, capital and not self._without_lower_case)
            self._made[at] = made
        return made

    def between(self, start: int, end: int) -> list[_Token]:
        """Return the words from one index up to another."""
        return [self[at] for at in range(max(start, 0), min(end, len(self)))]

    def begins(self, at: int) -> bool:
        """Return whether the name of a person can begin with this word."""
        kind = self._kinds[at]
        return bool(kind & _BEGINS) or (kind & UNKNOWN != 0 and self._matches[at][0][0].isupper())


class _NameFinder:
    """Finds names in one pass over the words of a text."""

    def __init__(self, text: str, matches: list[re.Match[str]], kinds: list[int]) -> None:
        self._text = text
        self._tokens = _Words(text, matches, kinds)

    def mask(self) -> str:
        parts: list[str] = []
        kept = at = 0
        while at < len(self._tokens):
            found = self._name_at(at) if self._tokens.begins(at) else None
            if found is None:
                at += 1
                continue
            if found.person:
                parts += (self._text[kept : found.start], NAME)
                kept = found.end
            at = found.after
        return "".join((*parts, self._text[kept:]))

    def _name_at(self, at: int) -> _NameSpan | None:
        """Return the name of a person, or of something named after one, that begins at a word, or None."""
        first = self._tokens[at]
        run = self._run(at)
        if length := self._full_name(run):
            return self._found(at, at + length, person=not self._is_street_name(at))
        if initials := self._with_initials(at, run):
            return replace(initials, person=not self._is_location_name(at, initials))
        if length := self._pair(run):
            found = self._found(at, at + length, person=True)
            return replace(found, person=not self._is_location_name(at, found))
        return self._found(at, at + 1, person=True) if self._is_single_name(at, first) else None

    def _found(self, at: int, after: int, *, person: bool) -> _NameSpan:
        return _NameSpan(self._tokens[at].start, self._tokens[after - 1].end, after, person)

    def _run(self, at: int) -> list[_Token]:
        """Return up to three adjacent words."""
        run = [self._tokens[at]]
        for token in self._tokens.between(at + 1, at + 3):
            if not _BETWEEN.fullmatch(self._text, run[-1].end, token.start) or token.kind & NOT_A_NAME:
                break
            run.append(token)
        return run

    @staticmethod
    def _full_name(run: list[_Token]) -> int:
        """Return how many words of the run are a name with patronymic, in any order."""
        kinds = [token.kind for token in run]
        if kinds[0] & PATRONYMIC:
            # A patronymic alone, perhaps followed by the surname; a first name does not follow.
            return 2 if len(run) > 1 and _is_surname_of_full_name(run[1]) else 1
        if len(run) > 1 and kinds[1] & PATRONYMIC and _is_first_name_of_patronymic(run[0]):
            return 3 if len(run) > 2 and _is_surname_of_full_name(run[2]) else 2
        if (
            len(run) > 2
            and kinds[2] & PATRONYMIC
            and _is_surname_of_full_name(run[0])
            and _is_first_name_of_patronymic(run[1])
        ):
            return 3
        return 0

    def _with_initials(self, at: int, run: list[_Token]) -> _NameSpan | None:
        first = run[0]
        letters = _INITIALS_BEFORE.search(self._text, max(first.start - 9, 0), first.start)
        if letters and self._is_surname_of_initials(first, both=bool(letters[2])):
            street = _LOCATION_ABBREVIATION.search(self._text, max(letters.start() - 8, 0), letters.start())
            begins = letters.start()
            if street is None or letters[2]:
                return _NameSpan(begins, first.end, at + 1, person=True)
        if not self._is_surname_of_initials(first, both=True):
            return None
        letters = _INITIALS_AFTER.match(self._text, first.end)
        if letters and not (letters[2] or self._is_surname_of_initials(first, both=False)):
            letters = None
        if letters is None and first.kind & SURNAME:
            letters = _LOWER_AFTER.match(self._text, first.end)
            if letters is None and self._text[first.start : first.end].istitle():
                letters = _TWO_BARE_AFTER.match(self._text, first.end)
        if letters is None:
            return None
        return _NameSpan(first.start, letters.end(), self._after(at, letters.end()), person=True)

    def _after(self, at: int, end: int) -> int:
        at += 1
        while at < len(self._tokens) and self._tokens[at].start < end:
            at += 1
        return at

    @staticmethod
    def _is_surname_of_initials(token: _Token, *, both: bool) -> bool:
        """Return whether a word can be the surname next to initials."""
        if token.kind & HISTORICAL or len(token.word) < 3 or not token.capital:
            return bool(token.kind & SURNAME and not token.kind & HISTORICAL and both)
        if both:
            return bool(token.kind & (ANY_SURNAME | UNKNOWN | ALSO_ORDINARY_WORD)) and not token.kind & (
                BEFORE_STREET | BEFORE_INSTITUTION
            )
        return bool(token.kind & SURNAME) or token.kind & (UNKNOWN | SURNAME_LIKE) == UNKNOWN | SURNAME_LIKE

    @staticmethod
    def _pair(run: list[_Token]) -> int:
        """Return 2 if the run begins with a first name and a surname in either order, else 0."""
        if len(run) < 2:
            return 0
        for name, surname in ((run[0], run[1]), (run[1], run[0])):
            if not name.kind & ANY_FIRST_NAME or surname.kind & HISTORICAL:
                continue
            both = name.capital and surname.capital
            if name.kind & (FIRST_NAME | LIKELY_FIRST_NAME) and surname.kind & SURNAME:
                return 2 if both or (name.kind & FIRST_NAME) else 0
            if both and surname.kind & ANY_SURNAME:
                return 2
            if (
                name.kind & FIRST_NAME
                and surname.kind & SURNAME_LIKE
                and surname.kind & UNKNOWN
                and surname.capital == name.capital
            ):
                return 2
            if both and name.kind & FIRST_NAME and surname.kind & UNKNOWN and not surname.kind & LOCATION:
                return 2
        return 0

    def _is_single_name(self, at: int, token: _Token) -> bool:
        """Return whether a single word is a person: greeted, addressed, with a job title, or unambiguous."""
        if token.kind & HISTORICAL or not token.kind & (ANY_FIRST_NAME | ANY_SURNAME):
            return False
        if self._is_protected(at) or self._quoted(token) or self._begins_known_name(at):
            return False
        before = self._tokens[at - 1] if at and self._near(self._tokens[at - 1], token) else None
        hints = before.kind if before else 0
        return self._first_name_alone(token, hints) or self._surname_alone(token, hints)

    def _first_name_alone(self, token: _Token, hints: int) -> bool:
        kind = token.kind
        if hints & GREETING and kind & ANY_FIRST_NAME and (token.capital or kind & COMMON_FIRST_NAME):
            return True
        if kind & FIRST_NAME and not (kind & LOCATION and hints & BEFORE_LOCATION):
            return token.capital or bool(kind & COMMON_FIRST_NAME)
        if not (kind & LIKELY_FIRST_NAME and token.capital):
            return False
        if self._begins(token):
            return self._text[token.end : token.end + 1] in {",", "!"}
        return not kind & LOCATION

    def _surname_alone(self, token: _Token, hints: int) -> bool:
        kind = token.kind
        if _HOUSE_NUMBER.match(self._text, token.end):
            return False
        if hints & JOB_TITLE and (kind & SURNAME or (kind & SURNAME_LIKE and token.capital)):
            return True
        return bool(kind & SURNAME_ONLY_FORM and token.capital) and not (
            kind & ALSO_ORDINARY_WORD and not kind & SURNAME
        )

    def _begins_known_name(self, at: int) -> bool:
        """Return whether a name after which streets and other things are named begins here: «Карла Маркса»."""
        if at + 1 == len(self._tokens):
            return False
        token, after = self._tokens[at], self._tokens[at + 1]
        if not self._near(token, after):
            return False
        return bool(after.kind & HISTORICAL) or (token.word, after.word) in lists().named

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
        """Return whether the preceding words show that this is the name of a location."""
        token = self._tokens[at]
        if _LOCATION_ABBREVIATION.search(self._text, max(token.start - 8, 0), token.start):
            return True
        if not at:
            return False
        before = self._tokens[at - 1]
        if not self._near(before, token):
            return False
        if before.kind & BEFORE_STREET:
            return True
        return bool(before.kind & BEFORE_INSTITUTION) and not any(
            one.kind & JOB_TITLE for one in self._tokens.between(at - 4, at)
        )

    def _is_street_name(self, at: int) -> bool:
        """Return whether a full name is the name of a street or an institution."""
        if not at:
            return False
        before = self._tokens[at - 1]
        return bool(before.kind & BEFORE_STREET) and self._near(before, self._tokens[at])

    def _is_location_name(self, at: int, found: _NameSpan) -> bool:
        """Return whether a first name or initials with a surname are the name of a street or an institution."""
        tokens = self._tokens.between(at, found.after)
        first = at
        while first and self._tokens[first].start > found.start:
            first -= 1  # initials count as words
        if tuple(token.word for token in tokens) in lists().named or self._is_protected(first):
            return True
        genitive = all(token.kind & GENITIVE for token in tokens)
        return genitive and _HOUSE_NUMBER.match(self._text, found.end) is not None
