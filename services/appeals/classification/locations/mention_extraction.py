"""Extraction of the locations, streets and other regions that a text names."""

from dataclasses import dataclass, field, replace

from services.appeals.classification.locations.gazetteer import GazetteerEntry, gazetteer
from services.appeals.classification.locations.location_lexicon import (
    BURYAT_LETTERS,
    DISTRICT_BETWEEN,
    DISTRICT_WORDS,
    GARDEN_MARKS,
    INSTITUTION,
    MARKS_WITH_PUNCTUATION,
    QUARTER,
    ROAD,
    SETTLEMENT_MARKS,
    STREET_MARKS,
    TOWN_PART_MARKS,
    TRAVEL_WORDS,
    WITH_INSTRUMENTAL,
)
from services.appeals.classification.locations.location_roles import (
    LocationRole,
    location_role,
    preposition_before,
)
from services.appeals.classification.locations.spelling_correction import correct_spelling, strip_buryat_ending
from services.appeals.classification.locations.street_addresses import (
    StreetMention,
    continues_street,
    parse_bare_street,
    parse_house,
    parse_marked_street,
)
from services.appeals.classification.locations.tokenized_text import TokenizedText, agrees_with_case, matches_stem
from services.appeals.classification.text.tokenizer import CleanText
from shared.text.normalize import fold_case

_POSSESSIVE = ("ова", "ева", "ина", "ову", "еву", "ину", "овым", "евым", "иным")
_GOVERNS = (
    *(
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
    ),
)
_ORDINAL_ENDS = frozenset(("й", "м", "ый", "ой", "ом", "ий", "ем", "е", "го", "ого"))
_SMALLEST_QUARTER = 18
_LONGEST = 9
_INSTRUMENTAL = ("ском", "цком")
_DASHES = frozenset(("-", "–", "—", "/", "->"))


@dataclass(frozen=True, slots=True)
class LocationMention:
    """A location named by the words from `start` up to, not including, `end`.

    A mention that is not `is_certain` counts only if the text also names its municipality.
    """

    options: tuple[GazetteerEntry, ...]
    role: LocationRole
    start: int
    end: int
    house: str | None = None
    is_certain: bool = True

    @property
    def municipalities(self) -> frozenset[str]:
        return frozenset(entry.municipality for entry in self.options)


@dataclass(slots=True)
class LocationMentions:
    """The locations, streets and other regions that a text names."""

    text: TokenizedText
    places: list[LocationMention] = field(default_factory=list)
    streets: list[StreetMention] = field(default_factory=list)
    regions: list[LocationMention] = field(default_factory=list)


def extract_mentions(written: str | CleanText, *, of_page: bool = False) -> LocationMentions:
    """Return every location in a text. `of_page`: the text is the name of a page's owner, in which
    adjectives occur without a noun.
    """
    return _Reader(TokenizedText(written), of_page=of_page).read()


class _Reader:
    def __init__(self, text: TokenizedText, *, of_page: bool) -> None:
        self.text = text
        self.words = text.words
        buryat = any(letter in word for word in text.words for letter in BURYAT_LETTERS)
        self.meant = [strip_buryat_ending(word) if buryat else correct_spelling(word) for word in text.words]
        self.of_page = of_page
        self.reading = LocationMentions(text)

    def read(self) -> LocationMentions:
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
                end = self._named(at, shortest=2)
            if (
                not end
                and word in names.adjective_starts
                and not (word.endswith(_INSTRUMENTAL) and self._instrumental(at))
            ):
                end = self._adjective(at) or (at + 1 if word.endswith(_INSTRUMENTAL) else 0)
            if not end and word in names.starts:
                end = self._named(at, longest=1)
            at = end or at + 1
        self._routes()
        return self.reading

    def _instrumental(self, at: int) -> bool:
        """Return whether «кабанском» is the town («под Кабанском») and not the district («в Кабанском»)."""
        preposition_at = preposition_before(self.text, at)
        return preposition_at >= 0 and self.words[preposition_at] in WITH_INSTRUMENTAL

    def _marked_street(self, at: int) -> int:
        street = parse_marked_street(self.text, at)
        if street is None:
            return 0
        self.reading.streets.append(street)
        return street.end

    def _numbered(self, at: int) -> int:
        """Read a numbered quarter («112 микрорайон», «мкр 112, дом 5»); return the index after it, or 0."""
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
        house = parse_house(self.text, end)
        # A small number alone is ambiguous: many towns have a first and a second quarter.
        firm = int(digits) >= _SMALLEST_QUARTER
        self._place(options, at, end, "nl", house=house[0] if house else None, firm=firm)
        return house[1] if house else end

    def _named(self, at: int, *, shortest: int = 1, longest: int = _LONGEST) -> int:
        names, text = gazetteer(), self.text
        for length in names.starts[self.meant[at]]:
            end = at + length
            if not shortest <= length <= longest:
                continue
            if end > len(self.words) or text.sentences[at] != text.sentences[end - 1]:
                continue
            options = names.names.get(tuple(self.meant[at:end]))
            if options is None or (
                length > 1 and len(self.words[at]) == 1 and text.gaps[at + 1].strip() not in (".", "-", ".-")
            ):
                continue
            if (
                self.words[end - 1].endswith(_INSTRUMENTAL)
                and tuple(self.meant[at:end]) in names.adjectives
                and not self._instrumental(at)
            ):
                continue
            found = self._street_or_place(at, length, options)
            if found:
                return found
        return 0

    def _street_or_place(self, at: int, length: int, options: tuple[tuple[GazetteerEntry, str], ...]) -> int:
        streets = tuple(entry for entry, _ in options if entry.kind == "street")
        places = tuple(option for option in options if option[0].kind not in ("street", "region"))
        regions = tuple(option for option in options if option[0].kind == "region")
        end = at + length
        marked = at > 0 and self._mark_before(at) is not None
        if streets and not marked and not self.of_page:
            follows = bool(self.reading.streets) and continues_street(self.text, at, self.reading.streets[-1].end)
            street = parse_bare_street(self.text, at, length, streets, follows=follows)
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
        """Return the index of the type word before the name: «село», «п.», «мкр»."""
        before = at - 1
        if before < 0 or self.text.sentences[before] != self.text.sentences[at]:
            return None
        word, gap = self.words[before], self.text.gaps[at]
        if word in TOWN_PART_MARKS or word in SETTLEMENT_MARKS:
            return before if gap.strip() in ("", ".", '"', "«", "-") else None
        if word in MARKS_WITH_PUNCTUATION and gap.strip() in (".", ". «", "/"):
            return before
        return None

    def _place_here(self, at: int, end: int, options: tuple[tuple[GazetteerEntry, str], ...]) -> int:
        mark = self._mark_before(at)
        first = at if mark is None else mark
        preposition_at = preposition_before(self.text, first)
        preposition = self.words[preposition_at] if preposition_at >= 0 else ""
        marked_after = (
            mark is None
            and end < len(self.words)
            and self.text.gaps[end] == " "
            and self.words[end] in TOWN_PART_MARKS
            and any(entry.kind == "locality" for entry, _ in options)
        )
        if end < len(self.words) and self.words[end] in TOWN_PART_MARKS and mark is None:
            in_town = tuple(option for option in options if option[0].kind == "locality")
            options = in_town or options
        accepted: list[GazetteerEntry] = []
        cases: set[str] = set()
        adjective = self.words[end - 1].endswith(("ий", "ый", "ой", "ая", "ое", "ом", "ого", "ую", "ых", "их"))
        for entry, its_cases in options:
            typed = marked_after or (mark is not None and _fits(self.words[mark], entry))
            spoken = _governs(preposition, its_cases, entry) and not (
                adjective and end < len(self.words) and self.text.gaps[end] == " " and self._agrees(end, its_cases)
            )
            if entry.excluding_stems and self.text.sentence_has(at, entry.excluding_stems):
                continue
            if mark is not None and not typed and (entry.required_evidence or self.words[mark] in GARDEN_MARKS):
                continue
            if (
                typed
                or (entry.required_evidence == "" and self._stands_alone(at, end, entry, preposition))
                or (entry.required_evidence == "preposition" and (spoken or (self.of_page and mark is not None)))
            ):
                accepted.append(entry)
                cases.update(its_cases)
        part = mark is not None and self.words[mark] in TOWN_PART_MARKS
        if accepted:
            after = end + 1 if marked_after else end
            house = parse_house(self.text, after) if part or marked_after else None
            self._place(tuple(accepted), first, after, "".join(cases), house=house[0] if house else None)
            return house[1] if house else after
        waiting = tuple(entry for entry, _ in options if entry.required_evidence == "preposition")
        if waiting:
            self._place(waiting, first, end, "n", firm=False)
        return 0

    def _agrees(self, at: int, cases: str) -> bool:
        return any(
            agrees_with_case(self.words[at], case, feminine=gender)
            for case in set(cases)
            for gender in (True, False)
        )

    def _stands_alone(self, at: int, end: int, entry: GazetteerEntry, preposition: str) -> bool:
        """Return whether the form is unlikely to be a surname; «Романова», a form of «Романово», may be one."""
        word = self.words[end - 1]
        if entry.kind != "settlement" or not word.endswith(_POSSESSIVE) or end - at > 1:
            return True
        if fold_case(entry.name) == word:
            return True
        before = self.words[at - 1] if at else ""
        return preposition in ("из", "до", "под", "около", "возле") or before.startswith(_GOVERNS)

    def _region_here(self, at: int, end: int, options: tuple[tuple[GazetteerEntry, str], ...]) -> None:
        preposition_at = preposition_before(self.text, at if self._mark_before(at) is None else at - 1)
        preposition = self.words[preposition_at] if preposition_at >= 0 else ""
        fitting = tuple(entry for entry, cases in options if _governs(preposition, cases, entry))
        if fitting:
            cases = "".join(cases for _, cases in options)
            role = location_role(self.text, preposition_at, at, end, cases)
            self.reading.regions.append(LocationMention(fitting, role, preposition_at, end))

    def _adjective(self, at: int) -> int:
        names = gazetteer()
        for length in names.adjective_starts[self.meant[at]]:
            options = names.adjectives.get(tuple(self.meant[at : at + length]))
            if options and at + length <= len(self.words):
                return self._adjective_here(at, at + length, options)
        return 0

    def _adjective_here(self, at: int, end: int, options: tuple[GazetteerEntry, ...]) -> int:
        """Read an adjective of a location: «кабанский район», «в кабанской црб», «по тункинскому», «МО
        Онохойское».
        """
        words, sentences = self.words, self.text.sentences
        after = end
        while after < len(words) and words[after].startswith(DISTRICT_BETWEEN) and after < end + 2:
            after += 1
        following = words[after] if after < len(words) and sentences[after] == sentences[at] else ""
        districts = tuple(entry for entry in options if entry.kind == "municipality")
        if following.startswith(DISTRICT_WORDS) and not following.startswith("районн"):
            found = districts or tuple(
                GazetteerEntry("municipality", entry.municipality, entry.municipality, "") for entry in options
            )
            self._place(found, at, after + 1, _adjective_cases(words[end - 1]))
            return after + 1
        if self.text.gaps[end : end + 1] == [", "]:
            following = ""
        options = tuple(entry for entry in options if entry.required_evidence != "type")
        if not options:
            return 0
        next_but_one = words[after + 1] if following and after + 1 < len(words) else ""
        if (
            matches_stem(following, INSTITUTION)
            or (
                following.endswith(("ая", "ой", "ый", "ий", "ую", "ом"))
                and matches_stem(next_but_one, INSTITUTION)
            )
            or self.of_page
            or (at and words[at - 1] in ("мо", "сп", "гп"))
        ):
            self._place(options, at, end, _adjective_cases(words[end - 1]))
            return end
        return self._bare_adjective(at, end, districts, following) if districts else 0

    def _bare_adjective(self, at: int, end: int, districts: tuple[GazetteerEntry, ...], following: str) -> int:
        """Read a district's adjective without its noun («по тункинскому», «в еравнинском»), unless another noun
        follows.
        """
        words = self.words
        preposition_at = preposition_before(self.text, at)
        if preposition_at < 0 and words[end - 1].endswith("ого") and not following:
            # «Лесозаводской, Заиграевского»: the district of a village, added to distinguish villages of the same
            # name.
            self._place(districts, at, end, "g")
            return end
        if preposition_at < 0 or words[end - 1][-2:] not in ("ом", "му", "го"):
            return 0
        case = {"в": "l", "по": "d", "из": "g", "до": "g"}.get(words[preposition_at])
        if case is None or (following and self._agrees(end, case)):
            return 0
        self._place(districts, at, end, case)
        return end

    def _place(
        self,
        options: tuple[GazetteerEntry, ...],
        first: int,
        end: int,
        cases: str,
        *,
        house: str | None = None,
        firm: bool = True,
    ) -> None:
        preposition_at = preposition_before(self.text, first)
        role = location_role(self.text, preposition_at, first, end, cases)
        start = preposition_at if preposition_at >= 0 else first
        self.reading.places.append(LocationMention(options, role, start, end, house, firm))

    def _routes(self) -> None:
        """Give the ends of routes («Улан-Удэ – Кяхта», «из Улан-Удэ в Кабанск») the role `AWAY` at most: they are
        not the location of the problem.
        """
        places = self.reading.places
        for at in range(len(places) - 1):
            left, right = places[at], places[at + 1]
            if left.municipalities == right.municipalities and left.role != LocationRole.AWAY:
                continue
            gap = self.text.gaps[right.start].strip()
            joined = right.start == left.end and gap in _DASHES
            side_by_side = (
                right.start == left.end
                and gap == ""
                and any(
                    matches_stem(word, TRAVEL_WORDS + ROAD)
                    for word in self.words[max(0, left.start - 3) : left.start]
                )
            )
            from_to = (
                left.role == LocationRole.AWAY
                and right.role == LocationRole.TOWARDS
                and right.start - left.end <= 1
            )
            if joined or side_by_side or from_to:
                places[at] = replace(left, role=min(left.role, LocationRole.AWAY))
                places[at + 1] = replace(right, role=min(right.role, LocationRole.AWAY))


def _adjective_cases(word: str) -> str:
    return "na" if word.endswith(("ий", "ая", "ое", "ие", "ую")) else "gdil"


def _fits(mark: str, entry: GazetteerEntry) -> bool:
    if mark in GARDEN_MARKS or entry.required_evidence == "garden":
        return mark in GARDEN_MARKS and entry.required_evidence == "garden"
    if mark in TOWN_PART_MARKS:
        return entry.kind in ("locality", "landmark")
    if mark in ("г", "гор", "город", "городе", "города", "городу"):
        return entry.kind == "settlement"
    if entry.kind == "locality":
        return mark.startswith(("п", "ст", "мест", "городк", "городок"))
    return True


def _governs(preposition: str, cases: str, entry: GazetteerEntry) -> bool:
    """Return whether the preposition governs one of the cases that the name may have."""
    asked, kinds = _ASKED.get(preposition, ("", ()))
    return any(case in cases for case in asked) and (not kinds or entry.kind in kinds)


_HERE_ONLY = ("municipality", "settlement", "locality", "landmark")
# The cases that a preposition governs, and the kinds of names that it may precede; () means all kinds.
_ASKED: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("в", "во"), ("la", ())),
    "на": ("la", _HERE_ONLY),
    **dict.fromkeys(("под", "за", "между"), ("ia", ())),
    **dict.fromkeys(("по", "к", "ко"), ("d", _HERE_ONLY)),
    **dict.fromkeys(("с", "со"), ("g", ("locality",))),
    "у": ("g", ("locality", "landmark")),
    **dict.fromkeys(("из", "ис", "от", "до", "около", "возле", "близ", "вблизи", "напротив", "мимо"), ("g", ())),
    "через": ("a", ()),
}
