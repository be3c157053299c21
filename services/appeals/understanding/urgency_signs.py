"""Signs of urgency in a text: what endangers, what is out and for how many, whether now or long since.

The words are data (`data/danger.csv`, `data/faults.csv`); here is how they are put together. A sign names the words
that made it, so that a person can check.
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import resources

from services.appeals.understanding.stems import Hit, StemIndex, plain, words_of


def _stems(written: str) -> list[str]:
    return [stem.strip() for stem in written.replace("\n", " ").split(",") if stem.strip()]


_ABSENT = _stems(
    """
    нет$, нету$, отсутств, отключ, отруб, выруб, пропал, исчез, без$, ноль$, встал, встала$, остановил, сломал,
    сгорел, сгорела$, авари, порыв, прорыв, прорвал, не$ работает, не$ греет, не$ греют, не$ топят, не$ дают, не$
    подают, не$ горит, не$ ловит, не$ грузит, не$ идет, не$ течет, не$ включ, не$ запуст, легла, легло, лежит$,
    выключ, вышибл, выбило, потух, погас, темно$, темнот, потемк, в темноте, ледян, мерзн, замерз, леденеем, перекрыл,
    обесточ, сидим, сижу$, остыл, упало, обрыв, үгы$, угы$, размороз, перемерз
    """
)
_WIDE = _stems(
    """
    весь поселок, всем поселк, всего поселк, по поселку, поселок без, поселок сид, весь посел, все село, всем сел,
    всего села, село без, село сид, вся деревн, всей деревн, деревня без, деревня сид, полдеревн, полсела, полпосел,
    пол села, пол деревни, пол поселка, вся улица, всей улиц, всю улиц, улица без, по улице, на улице, целая улица,
    обе стороны, по четной, по нечетн, четная сторон, все дома, всех дом, во всех дом, несколько дом, три дома, четыре
    дома, пять домов, десять домов, домов$, дома по$, соседние дома, соседних домах, квартал без, весь квартал, весь
    микрорайон, микрорайон без, вся станц, весь город, город без, полгорода, район без, весь район, у всех, все
    сидят, люди сидят, жители, у нас в селе, у нас в деревне, у нас в поселке, в нашем селе, в нашей деревне, в селе,
    в поселке, в деревне, в улусе, все абонент, никто не может дозвон, ни у кого, массов, везде, повсюду, тосхон, тоже$
    нет, тоже$ без, тоже$ холодно, у нас тоже$, и у нас$, и на$, дополню
    """
)
_SINGLE = _stems(
    """
    у меня в квартире, в моей квартире, в квартире, квартира, кв$, квартиру, у нас в квартире, в одной комнат, в
    комнате, в подъезде, подъезд, у нас одних, только у нас, только у меня, у меня одной, у меня дома, стояк, в ванной,
    на кухне, сосед сверху, соседи сверху, соседа сверху, мой дом, у соседей есть, в соседнем доме ест, в соседних ест,
    в нашем доме, в доме, в нашей пятиэтаж, в общежит, розетк, автомат$, роутер
    """
)
_CHRONIC = _stems(
    """
    каждый вечер, каждый день, каждую ночь, каждое утро, каждую зиму, каждый год, постоянно, регулярно, всегда,
    вечно, опять и опять, лет$, годами, года$, год$, годы, давно, с осени, с весны, с лета, с зимы, с прошлого, месяц$,
    месяца$, месяцев, полгода, с января, с февраля, с марта, с апреля, с мая, с июня, с июля, с августа, с сентября, с
    октября, с ноября, с декабря, с нового года, периодически, иногда, бывает, по вечерам, по ночам, который год, еще
    прошл, до сих пор
    """
)
_OVER = _stems(
    """
    в прошлом году, прошлой зимой, прошлую зиму, прошлым летом, на прошлой неделе, в прошлый раз, позавчера, месяц назад,
    неделю назад, года назад, лет назад, год назад, уже дали, дали свет, дали воду, включили, уже включ, починили,
    потушили, устранили, восстановили, был пожар, была авария, когда то, в детстве, в 19, в 200, вчера было, уже все
    нормально, хорошо что, слава богу, планов, будет отключ, будут отключ, по графику, завтра отключ
    """
)
_NOW = _stems(
    """
    сейчас, щас$, прямо, только что, сию минут, сегодня, седня, сегодняшн, с утра, с ночи, с обеда, с вечера, со
    вчера, ночью, второй час, третий час, вторые сутки, третьи сутки, сутки, второй день, третий день, с шести, с пяти,
    с семи, час$, часов, вот вот, на глазах, срочно, скорее, быстрее, немедленно, спасайте, помогите, спасите, караул,
    уже, дахяад, үчөөдэр, мунөө, мүнөө
    """
)
_FRAIL = _stems(
    """
    дети$, детей$, детям, детьми, ребен, малыш, младен, грудн, новорожд, школьник, первоклаш, дочк, дочер, сын$, сына$,
    сыну$, внук, внуч, пацан, ребятиш, бабушк, дедушк, пожил, стари, инвалид, беременн, лежач, больн, мама$, маме$, отцу$,
    люди$, людей$, людям, прохож, пешеход, пассажир, үхибүүд, хубуу, хүбүү
    """
)
_PLACES = _stems(
    "школ, детсад, детск$ сад, садик, ясли, интернат, лицей, гимнази, больниц, роддом, һургуули, сургуули"
)
_REMEMBERED = 4_000
_FROST = re.compile(
    r"(?:минус|мороз\w*|-|−|–)\s?(?:1[5-9]|[2-5]\d)\b|\bморозы?\b|(?:\+|плюс)\s?(?:\d|1[0-4])\b|"
    r"\b(?:\d|1[0-4])\s?(?:градус|°|тепла)"
)
_SHOUT = re.compile(r"!!+|!{2,}")


@dataclass(frozen=True)
class Signs:
    """What was found: kinds of danger with their words, what is out, and how far and how long it reaches."""

    dangers: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    absent: bool = False
    wide: bool = False
    single: bool = False
    chronic: bool = False
    over: bool = False
    now: bool = False
    frail: bool = False
    places: bool = False
    frost: bool = False
    shout: bool = False

    @property
    def fault(self) -> str | None:
        """What is out, if something is: the first named."""
        return next(iter(self.faults), None) if self.absent else None

    def features(self) -> list[float]:
        """Signs alone and together, as numbers; the order is fixed."""
        danger, fault = bool(self.dangers), bool(self.faults) and self.absent
        alone = [
            danger, fault, self.absent, self.wide, self.single, self.chronic, self.over, self.now, self.frail,
            self.places, self.frost, self.shout, len(self.dangers) > 1,
        ]  # fmt: skip
        together = [
            *(danger and flag for flag in (self.now, self.frail, self.chronic, self.over, self.wide, self.shout)),
            *(fault and flag for flag in (self.wide, self.single, self.chronic, self.over, self.now, self.frost)),
            self.places and self.frost,
            self.places and fault,
            danger and self.frail and self.now,
            fault and self.wide and not self.single and not self.chronic,
            fault and self.single and not self.wide,
        ]
        kinds = [kind in self.dangers for kind in dangers()[1]]
        out = [fault and kind in self.faults for kind in faults()[1]]
        return [float(flag) for flag in (*alone, *together, *kinds, *out)]


@cache
def dangers() -> tuple[StemIndex, tuple[str, ...]]:
    """Stems of dangers, and their kinds in order."""
    rows = _rows("danger.csv")
    return StemIndex({row["kind"]: _stems(row["stems"]) for row in rows}), tuple(row["kind"] for row in rows)


@cache
def faults() -> tuple[StemIndex, tuple[str, ...]]:
    """Stems of what may be out, and its kinds in order."""
    rows = _rows("faults.csv")
    return StemIndex({row["fault"]: _stems(row["subjects"]) for row in rows}), tuple(row["fault"] for row in rows)


@cache
def fault_names() -> Mapping[str, str]:
    """What people read of each kind of fault."""
    return {row["fault"]: row["name"] for row in _rows("faults.csv")}


@cache
def _others() -> StemIndex:
    return StemIndex(
        {
            "absent": _ABSENT,
            "wide": _WIDE,
            "single": _SINGLE,
            "chronic": _CHRONIC,
            "over": _OVER,
            "now": _NOW,
            "frail": _FRAIL,
            "places": _PLACES,
        }
    )


def _rows(name: str) -> list[dict[str, str]]:
    text = resources.files("services.appeals.understanding.data").joinpath(name).read_text("utf-8")
    return list(csv.DictReader(text.splitlines()))


def _by_label(hits: list[Hit]) -> dict[str, str]:
    found: dict[str, str] = {}
    for hit in hits:
        found.setdefault(hit.label, hit.words)
    return found


@lru_cache(maxsize=_REMEMBERED)
def signs(text: str) -> Signs:
    """Read the signs of a text; a post is read once for all its comments."""
    read = plain(text)
    words = words_of(read)
    others = {hit.label for hit in _others().find(words)}
    return Signs(
        dangers=_by_label(dangers()[0].find(words)),
        faults=_by_label(faults()[0].find(words)),
        frost=bool(_FROST.search(read)),
        shout=bool(_SHOUT.search(text)),
        **{
            label: label in others
            for label in ("absent", "wide", "single", "chronic", "over", "now", "frail", "places")
        },
    )
