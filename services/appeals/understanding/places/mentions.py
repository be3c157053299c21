"""Places that a text names, and what each has to do with the trouble: where it is, a home, a trip, a comparison."""

from dataclasses import dataclass, field, replace
from enum import IntEnum

from services.appeals.understanding.places.addresses import (
    Street,
    corner_before,
    house_after,
    marked_street,
    street_here,
)
from services.appeals.understanding.places.gazetteer import Entry, gazetteer
from services.appeals.understanding.places.reading import Text, agrees, begins_with, infinitive
from services.appeals.understanding.places.typos import corrected
from services.appeals.understanding.places.wording import (
    ALONG,
    AT_THE_EDGE,
    COMPARED_BEFORE,
    COMPARED_JUST_BEFORE,
    DISTRICT_BETWEEN,
    DISTRICT_WORDS,
    DOTTED_MARKS,
    ELSEWHERE,
    FILLERS,
    FROM,
    GENITIVE,
    GOING_BURYAT,
    HOME,
    IN,
    INSTITUTION,
    NATIVE,
    NEAR,
    PREPOSITIONS,
    QUARTER,
    RELATIVES,
    ROAD,
    SETTLEMENT_MARKS,
    STREET_MARKS,
    TO,
    TOWARDS_FILLERS,
    TOWN_PART_MARKS,
    TRIP,
)

_POSSESSIVE = ("ова", "ева", "ина", "ову", "еву", "ину", "овым", "евым", "иным")
_GOVERNS = (
    "жител",
    "администрац",
    "сел",
    "школ",
    "больниц",
    "улиц",
    "дорог",
    "центр",
    "глав",
    "населен",
    "клуб",
    "люд",
)
_ORDINAL_ENDS = frozenset(("й", "м", "ый", "ой", "ом", "ий", "ем", "е", "го", "ого"))
_SMALLEST_QUARTER = 18
_ALL_CASES = 6
_DASHES = frozenset(("-", "–", "—", "/", "->"))


class Role(IntEnum):
    """What a place has to do with the trouble; the larger, the more it is the trouble's place."""

    COMPARED = 0
    AWAY = 1
    HOME = 2
    TOWARDS = 3
    AT = 4


@dataclass(frozen=True, slots=True)
class Mention:
    """A place that words `start` to before `end` name. Not `firm`: it counts only beside its own municipality."""

    options: tuple[Entry, ...]
    role: Role
    start: int
    end: int
    house: str | None = None
    firm: bool = True
    part_of_town: bool = False

    @property
    def municipalities(self) -> frozenset[str]:
        return frozenset(entry.municipality for entry in self.options)


@dataclass(slots=True)
class Reading:
    """All that a text names."""

    text: Text
    places: list[Mention] = field(default_factory=list)
    streets: list[Street] = field(default_factory=list)
    regions: list[Mention] = field(default_factory=list)


def read(written: str, *, of_page: bool = False) -> Reading:
    """Find every place in a text. `of_page`: the text is a page's name, where adjectives stand alone."""
    return _Reader(Text(written), of_page=of_page).read()


class _Reader:
    def __init__(self, text: Text, *, of_page: bool) -> None:
        self.text = text
        self.words = text.words
        self.meant = [corrected(word) for word in text.words]
        self.of_page = of_page
        self.reading = Reading(text)

    def read(self) -> Reading:
        names = gazetteer()
        at, count = 0, len(self.words)
        while at < count:
            word = self.meant[at]
            end = 0
            if word in STREET_MARKS:
                end = self._marked_street(at)
            elif word[0].isdigit() or word in TOWN_PART_MARKS:
                end = self._numbered(at)
            if not end and word in names.starts:
                end = self._named(at)
            if not end and word in names.adjective_starts:
                end = self._adjective(at)
            at = end or at + 1
        self._routes()
        return self.reading

    def _marked_street(self, at: int) -> int:
        street = marked_street(self.text, at)
        if street is None:
            return 0
        self.reading.streets.append(street)
        return street.end

    def _numbered(self, at: int) -> int:
        """«112 микрорайон», «в 47-м квартале», «мкр 112, дом 5»."""
        words, end = self.words, at + 1
        if words[at] in TOWN_PART_MARKS:
            mark, number_at = at, at + 1
            if number_at >= len(words) or self.text.gaps[number_at] not in (" ", "", ". ", ".", "-", " № "):
                return 0
            end = number_at + 1
        else:
            number_at, mark = at, at + 1
            if mark < len(words) and words[mark] in _ORDINAL_ENDS and self.text.gaps[mark] in ("-", ""):
                mark += 1
            if mark >= len(words) or words[mark] not in TOWN_PART_MARKS or "," in self.text.gaps[mark]:
                return 0
            end = mark + 1
        number = words[number_at]
        if number[-1] in "йме" and number[:-1].isdigit():
            number = number[:-1]
        options = gazetteer().numbered.get(number)
        digits = number.rstrip("абвгд")
        if not options or (words[mark].startswith(QUARTER) and int(digits) < _SMALLEST_QUARTER):
            return 0
        house = house_after(self.text, end)
        self._place(options, at, end, "nl", house=house[0] if house else None, part=True)
        return house[1] if house else end

    def _named(self, at: int) -> int:
        names, text = gazetteer(), self.text
        for length in names.starts[self.meant[at]]:
            end = at + length
            if end > len(self.words) or text.sentences[at] != text.sentences[end - 1]:
                continue
            options = names.names.get(tuple(self.meant[at:end]))
            if options is None or (
                length > 1 and len(self.words[at]) == 1 and text.gaps[at + 1].strip() not in (".", "-")
            ):
                continue
            found = self._street_or_place(at, length, options)
            if found:
                return found
        return 0

    def _street_or_place(self, at: int, length: int, options: tuple[tuple[Entry, str], ...]) -> int:
        streets = tuple(option for option in options if option[0].kind == "street")
        places = tuple(option for option in options if option[0].kind not in ("street", "region"))
        regions = tuple(option for option in options if option[0].kind == "region")
        end = at + length
        marked = at > 0 and self._mark_before(at) is not None
        if streets and not marked and not self.of_page:
            follows = bool(self.reading.streets) and corner_before(self.text, at, self.reading.streets[-1].end)
            street = street_here(self.text, at, length, streets, follows=follows)
            if street:
                self.reading.streets.append(street)
                return street.end
        if places:
            found = self._place_here(at, end, places)
            if found:
                return found
        if regions:
            self._region_here(at, end, regions)
        return 0

    def _mark_before(self, at: int) -> int | None:
        """Where the type before the name stands: «село», «п.», «мкр»."""
        before = at - 1
        if before < 0 or self.text.sentences[before] != self.text.sentences[at]:
            return None
        word, gap = self.words[before], self.text.gaps[at]
        if word in TOWN_PART_MARKS or word in SETTLEMENT_MARKS:
            return before if gap.strip() in ("", ".", '"', "«", "-") else None
        if word in DOTTED_MARKS and gap.strip() in (".", ". «", "/"):
            return before
        return None

    def _preposition(self, first: int) -> int:
        """Where the preposition of a phrase stands that begins at word `first`; -1 without one."""
        at, begin = first - 1, self.text.begins(first)
        for _ in range(3):
            if at < begin or "," in self.text.gaps[at + 1]:
                return -1
            if self.words[at] in PREPOSITIONS:
                return at
            if self.words[at] not in FILLERS and self.words[at] not in SETTLEMENT_MARKS:
                return -1
            at -= 1
        return -1

    def _place_here(self, at: int, end: int, options: tuple[tuple[Entry, str], ...]) -> int:
        mark = self._mark_before(at)
        first = at if mark is None else mark
        preposition_at = self._preposition(first)
        preposition = self.words[preposition_at] if preposition_at >= 0 else ""
        marked_after = (
            end < len(self.words)
            and self.text.gaps[end] == " "
            and (self.words[end] in TOWN_PART_MARKS or self.words[end] in ("поселок", "село", "улус"))
        )
        if end < len(self.words) and self.words[end] in TOWN_PART_MARKS and mark is None:
            in_town = tuple(option for option in options if option[0].kind == "locality")
            options = in_town or options
        accepted: list[Entry] = []
        cases: set[str] = set()
        adjective = self.words[end - 1].endswith(("ий", "ый", "ой", "ая", "ое", "ом", "ого", "ую", "ых", "их"))
        for entry, its_cases in options:
            typed = marked_after or (mark is not None and _fits(self.words[mark], entry))
            spoken = _governs(preposition, its_cases, entry) and not (
                adjective and end < len(self.words) and self.text.gaps[end] == " " and self._agrees(end, its_cases)
            )
            if mark is not None and not typed and entry.needs:
                continue
            if typed or (entry.needs == "" and self._stands_alone(at, end, entry, preposition)) or (entry.needs == "preposition" and (spoken or (self.of_page and mark is not None))):
                accepted.append(entry)
                cases.update(its_cases)
        part = mark is not None and self.words[mark] in TOWN_PART_MARKS
        if accepted:
            after = end + 1 if marked_after else end
            house = house_after(self.text, after) if part or marked_after else None
            self._place(
                tuple(accepted), first, after, "".join(cases), house=house[0] if house else None, part=part
            )
            return house[1] if house else after
        waiting = tuple(entry for entry, _ in options if entry.needs == "preposition")
        if waiting:
            self._place(waiting, first, end, "n", firm=False)
        return 0

    def _agrees(self, at: int, cases: str) -> bool:
        return any(
            agrees(self.words[at], case, feminine=gender) for case in set(cases) for gender in (True, False)
        )

    def _stands_alone(self, at: int, end: int, entry: Entry, preposition: str) -> bool:
        """Whether the form is no one's surname: «Романова» beside «село Романово»."""
        word = self.words[end - 1]
        if entry.kind != "settlement" or not word.endswith(_POSSESSIVE) or end - at > 1:
            return True
        if entry.name.lower().replace("ё", "е") == word:
            return True
        before = self.words[at - 1] if at else ""
        return preposition in ("из", "до", "под", "около", "возле") or before.startswith(_GOVERNS)

    def _region_here(self, at: int, end: int, options: tuple[tuple[Entry, str], ...]) -> None:
        preposition_at = self._preposition(at if self._mark_before(at) is None else at - 1)
        preposition = self.words[preposition_at] if preposition_at >= 0 else ""
        fitting = tuple(entry for entry, cases in options if _governs(preposition, cases, entry))
        if fitting:
            cases = "".join(cases for _, cases in options)
            role = self._role(preposition_at, at, end, cases)
            self.reading.regions.append(Mention(fitting, role, preposition_at, end))

    def _adjective(self, at: int) -> int:
        names = gazetteer()
        for length in names.adjective_starts[self.meant[at]]:
            options = names.adjectives.get(tuple(self.meant[at : at + length]))
            if options and at + length <= len(self.words):
                return self._adjective_here(at, at + length, options)
        return 0

    def _adjective_here(self, at: int, end: int, options: tuple[Entry, ...]) -> int:
        """«кабанский район», «в кабанской црб», «по тункинскому», «МО Онохойское»."""
        words, sentences = self.words, self.text.sentences
        after = end
        while after < len(words) and words[after].startswith(DISTRICT_BETWEEN) and after < end + 2:
            after += 1
        following = words[after] if after < len(words) and sentences[after] == sentences[at] else ""
        districts = tuple(entry for entry in options if entry.kind == "municipality")
        if following.startswith(DISTRICT_WORDS) and not following.startswith("районн"):
            found = districts or tuple(
                Entry("municipality", entry.municipality, entry.municipality, "") for entry in options
            )
            self._place(found, at, after + 1, _adjective_cases(words[end - 1]))
            return after + 1
        if self.text.gaps[end : end + 1] == [", "]:
            following = ""
        options = tuple(entry for entry in options if entry.needs != "type")
        if not options:
            return 0
        next_but_one = words[after + 1] if following and after + 1 < len(words) else ""
        if (
            begins_with(following, INSTITUTION)
            or (
                following.endswith(("ая", "ой", "ый", "ий", "ую", "ом")) and begins_with(next_but_one, INSTITUTION)
            )
            or self.of_page
            or (at and words[at - 1] in ("мо", "сп", "гп"))
        ):
            self._place(options, at, end, _adjective_cases(words[end - 1]))
            return end
        preposition_at = self._preposition(at)
        if preposition_at < 0 or not districts or words[end - 1][-2:] not in ("ом", "му", "го"):
            return 0
        case = {"в": "l", "по": "d", "из": "g", "до": "g"}.get(words[preposition_at])
        if case is None or (following and self._agrees(end, case)):
            return 0
        self._place(districts, at, end, case)
        return end

    def _place(
        self,
        options: tuple[Entry, ...],
        first: int,
        end: int,
        cases: str,
        *,
        house: str | None = None,
        firm: bool = True,
        part: bool = False,
    ) -> None:
        preposition_at = self._preposition(first)
        role = self._role(preposition_at, first, end, cases)
        start = preposition_at if preposition_at >= 0 else first
        self.reading.places.append(Mention(options, role, start, end, house, firm, part))

    def _role(self, preposition_at: int, first: int, end: int, cases: str) -> Role:
        words, begin = self.words, self.text.begins(first)
        anchor = preposition_at if preposition_at >= 0 else first
        preposition = words[preposition_at] if preposition_at >= 0 else ""
        before = words[max(begin, anchor - 5) : anchor]
        if self._compared(anchor, begin, end):
            return Role.COMPARED
        if any(word.startswith(AT_THE_EDGE) for word in before[-2:]):
            return Role.AT
        near = bool(before) and before[-1] in ("рядом", "недалеко", "вблизи", "неподалеку")
        if preposition in FROM and not near:
            return Role.HOME if _home(before) else Role.AWAY
        if preposition in TO:
            return Role.AWAY
        if preposition in IN:
            if any(begins_with(word, HOME) for word in before[-3:]):
                return Role.AT if "там" in words[end : end + 8] else Role.HOME
            if before and begins_with(before[-1], RELATIVES) and "там" not in words[end : end + 8]:
                return Role.AWAY
            towards = ("a" in cases and "l" not in cases) or not TOWARDS_FILLERS.isdisjoint(words[anchor:first])
            after = words[end : end + 3]
            if towards or len(set(cases)) == _ALL_CASES:
                if any(begins_with(word, TRIP) for word in before) or (
                    towards and any(begins_with(word, TRIP) for word in after)
                ):
                    return Role.AWAY
                if towards and any(begins_with(word, ROAD) for word in before[-2:]):
                    return Role.AWAY
            return Role.TOWARDS if towards else Role.AT
        if not preposition and (
            set(cases) == {"a"} or any(begins_with(word, GOING_BURYAT) for word in words[end : end + 2])
        ):
            return Role.AWAY
        return Role.AT

    def _compared(self, anchor: int, begin: int, end: int) -> bool:
        words = self.words
        before = words[max(begin, anchor - 4) : anchor]
        after = words[end] if end < len(words) else ""
        if before and before[-1] in COMPARED_JUST_BEFORE:
            return True
        if (
            after == "вон"
            or before[-3:] == ["не", "то", "что"]
            or any(word.startswith(COMPARED_BEFORE) for word in before[-2:])
        ):
            return True
        if (
            before
            and before[-1] == "как"
            and anchor - 1 > begin
            and not (after and infinitive(after))
            and (
                before[-2:-1]
                and before[-2] in ("не", "так", "такой", "такая", "такие", "же", "лучше", "хуже", "было")
            )
        ):
            return True
        if before[-2:] == ["у", "нас"]:
            return False
        return any(
            (words[at] == "а"
            and words[at + 1 : at + 2] == ["у"]
            and words[at + 2 : at + 3] == ["нас"])
            or (
                words[at] == "а"
                and at + 1 < len(words)
                and words[at + 1] in ("здесь", "тут", *ELSEWHERE - {"мы", "нам", "нас"})
            )
            for at in range(end, len(words) - 1)
        )

    def _routes(self) -> None:
        """«Улан-Удэ – Кяхта», «из Улан-Удэ в Кабанск»: ends of a way, not where the trouble is."""
        places = self.reading.places
        for at in range(len(places) - 1):
            left, right = places[at], places[at + 1]
            if left.municipalities == right.municipalities and left.role != Role.AWAY:
                continue
            gap = self.text.gaps[right.start].strip()
            joined = right.start == left.end and gap in _DASHES
            side_by_side = (
                right.start == left.end
                and gap == ""
                and any(begins_with(word, TRIP + ROAD) for word in self.words[max(0, left.start - 3) : left.start])
            )
            from_to = left.role == Role.AWAY and right.role == Role.TOWARDS and right.start - left.end <= 1
            if joined or side_by_side or from_to:
                places[at] = replace(left, role=min(left.role, Role.AWAY))
                places[at + 1] = replace(right, role=min(right.role, Role.AWAY))


def _home(before: list[str]) -> bool:
    return bool(before) and (
        before[-1] in NATIVE
        or before[-1].startswith(("пиш", "обраща", "жител", "люди", "звон", "семь"))
        or any(begins_with(word, HOME) for word in before[-3:])
    )


def _adjective_cases(word: str) -> str:
    return "na" if word.endswith(("ий", "ая", "ое", "ие", "ую")) else "gdil"


def _fits(mark: str, entry: Entry) -> bool:
    if mark in TOWN_PART_MARKS:
        return entry.kind in ("locality", "landmark")
    if mark in ("г", "гор", "город", "городе", "города", "городу"):
        return entry.kind == "settlement"
    if entry.kind == "locality":
        return mark.startswith(("п", "ст", "мест", "городк", "городок"))
    return True


def _governs(preposition: str, cases: str, entry: Entry) -> bool:
    """Whether the preposition asks for the case the name stands in."""
    if preposition in ("в", "во"):
        return "l" in cases or "a" in cases
    if preposition == "на":
        return ("l" in cases or "a" in cases) and entry.kind != "region"
    if preposition in ("под", "за", "между"):
        return "i" in cases or "a" in cases
    if preposition in ALONG or preposition in ("к", "ко"):
        return "d" in cases and entry.kind != "region"
    if preposition in ("с", "со"):
        return "g" in cases and entry.kind == "locality"
    if preposition == "у":
        return "g" in cases and entry.kind in ("locality", "landmark")
    if preposition in GENITIVE:
        return "g" in cases
    return preposition in NEAR and "a" in cases
