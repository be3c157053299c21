"""Peer groups: the organisations with which an organisation is compared.

The group follows from the kind in the registry; for institutions also from the sphere, and within education from
words of the name.
"""

from enum import StrEnum

from shared.contracts.values import OrganisationKind
from shared.text.normalize import fold_name


class PeerGroup(StrEnum):
    """Organisations that are compared with each other."""

    REGIONAL_BODIES = "regional_bodies"
    DISTRICTS = "districts"
    SETTLEMENTS = "settlements"
    MUNICIPAL_UNITS = "municipal_units"
    KINDERGARTENS = "kindergartens"
    EXTRA_EDUCATION = "extra_education"
    COLLEGES = "colleges"
    SCHOOLS = "schools"
    HEALTH = "health"
    CULTURE = "culture"
    SPORT = "sport"
    SOCIAL = "social"
    UTILITIES = "utilities"
    OTHER_INSTITUTIONS = "other_institutions"
    COURTS = "courts"
    OTHER = "other"

    @property
    def label(self) -> str:
        """Return the Russian name of the group."""
        return _LABELS[self]


_LABELS = {
    PeerGroup.REGIONAL_BODIES: "Министерства и ведомства",
    PeerGroup.DISTRICTS: "Администрации районов и городов",
    PeerGroup.SETTLEMENTS: "Администрации поселений",
    PeerGroup.MUNICIPAL_UNITS: "Подразделения администраций",
    PeerGroup.KINDERGARTENS: "Детские сады",
    PeerGroup.EXTRA_EDUCATION: "Дополнительное образование",
    PeerGroup.COLLEGES: "Колледжи и вузы",
    PeerGroup.SCHOOLS: "Школы",
    PeerGroup.HEALTH: "Больницы и поликлиники",
    PeerGroup.CULTURE: "Учреждения культуры",
    PeerGroup.SPORT: "Учреждения спорта",
    PeerGroup.SOCIAL: "Социальные учреждения",
    PeerGroup.UTILITIES: "Коммунальные и дорожные службы",
    PeerGroup.OTHER_INSTITUTIONS: "Другие учреждения",
    PeerGroup.COURTS: "Суды",
    PeerGroup.OTHER: "Другие организации",
}
# How names of spheres begin, by group.
_SPHERES: tuple[tuple[PeerGroup, tuple[str, ...]], ...] = (
    (PeerGroup.HEALTH, ("здравоохранение", "медицина")),
    (PeerGroup.CULTURE, ("культура", "архив")),
    (PeerGroup.SPORT, ("спорт", "физическая культура")),
    (PeerGroup.SOCIAL, ("социальн", "соцзащита", "занятость", "труд")),
    (
        PeerGroup.UTILITIES,
        (
            "жкх",
            "жилищно",
            "благоустройство",
            "городское хозяйство",
            "дорог",
            "дорожн",
            "энергетика",
            "обращение с",
        ),
    ),
)
_EDUCATION = ("образование", "дошкольное", "общее образование", "дополнительное", "наука")
# How words of names begin, by group. The first match is used, so a music school is not among the schools.
_NAMES: tuple[tuple[PeerGroup, tuple[str, ...]], ...] = (
    (PeerGroup.KINDERGARTENS, ("детский сад", "детсад", "ясли", "д с ", "мбдоу", "мадоу", "мдоу", "доу ")),
    (
        PeerGroup.EXTRA_EDUCATION,
        ("дополнительн", "музыкальн", "художественн", "школа искусств", "дши ", "творчества", "спортивн", "дюсш"),
    ),
    (PeerGroup.COLLEGES, ("колледж", "техникум", "училищ", "институт", "университет", "академи")),
    (PeerGroup.SCHOOLS, ("школа", "школы", "сош ", "оош ", "лицей", "гимнази", "интернат", "мбоу", "маоу")),
)
_HEALTH_NAMES = ("больниц", "поликлиник", "диспансер", "амбулатор", "гбуз", "гауз", "црб ")
# How the names of education spheres with a separate group begin.
_EDUCATION_GROUPS = ((PeerGroup.KINDERGARTENS, "дошкольное"), (PeerGroup.EXTRA_EDUCATION, "дополнительное"))

# How names of bodies that are responsible for a whole territory begin, and words for small territories.
_WHOLE_TERRITORY = ("администрация ", "мо ", "муниципальное образование ")
_SETTLEMENT = ("поселени", "сомон", "сп ", "гп ")


def peer_group(kind: str, sphere: str | None, name: str) -> PeerGroup:
    """Return the peer group of an organisation from its columns in the registry."""
    words = f" {fold_name(name)} "
    if kind == OrganisationKind.REGIONAL:
        return PeerGroup.REGIONAL_BODIES
    if kind == OrganisationKind.COURT:
        return PeerGroup.COURTS
    if kind == OrganisationKind.MUNICIPALITY:
        if not words.lstrip().startswith(_WHOLE_TERRITORY):
            return PeerGroup.MUNICIPAL_UNITS
        return PeerGroup.SETTLEMENTS if _has(words, _SETTLEMENT) else PeerGroup.DISTRICTS
    if kind == OrganisationKind.INSTITUTION:
        return _institution_group(fold_name(sphere or ""), words)
    return PeerGroup.OTHER


def _institution_group(sphere: str, words: str) -> PeerGroup:
    for group, beginnings in _SPHERES:
        if sphere.startswith(beginnings):
            return group
    for group, beginning in _EDUCATION_GROUPS:
        if sphere.startswith(beginning):
            return group
    if not sphere or sphere.startswith(_EDUCATION):
        for group, beginnings in _NAMES:
            if _has(words, beginnings):
                return group
    if not sphere and _has(words, _HEALTH_NAMES):
        return PeerGroup.HEALTH
    return PeerGroup.OTHER_INSTITUTIONS


def _has(words: str, beginnings: tuple[str, ...]) -> bool:
    return any(f" {beginning}" in words for beginning in beginnings)
