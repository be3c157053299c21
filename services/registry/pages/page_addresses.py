"""Parse page addresses, as people paste them, into network and community. Pure functions without I/O.

>>> parse_address("https://m.vk.com/wall-1_5?reply=2")
PageAddress(network='vk', external_id='1', screen_name=None)
"""

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from shared.networks import NETWORKS

MAX_ADDRESS_LENGTH = 2000
VK_HOSTS = frozenset({"vk.com", "m.vk.com", "new.vk.com", "vk.ru", "m.vk.ru", "vkontakte.ru", "m.vkontakte.ru"})
OK_HOSTS = frozenset(
    {"ok.ru", "m.ok.ru", "mobile.ok.ru", "odnoklassniki.ru", "m.odnoklassniki.ru", "odnoklassniki.com"}
)
MESSENGER_HOSTS = frozenset({"vk.me", "ok.me"})
SHORTENER_HOSTS = frozenset({"vk.cc", "clck.ru", "bit.ly", "goo.su"})
OTHER_NETWORKS = {
    "t.me": "Telegram",
    "telegram.me": "Telegram",
    "telegram.org": "Telegram",
    "max.ru": "MAX",
    "rutube.ru": "Rutube",
    "dzen.ru": "Дзен",
    "youtube.com": "YouTube",
    "instagram.com": "Instagram",
    "facebook.com": "Facebook",
    "tenchat.ru": "TenChat",
    "vkvideo.ru": "VK Видео",
}
# Paths of the networks' own sections, which cannot be short names of communities.
_VK_SECTION = re.compile(
    r"(?:about|albums?|apps?|articles?|audios?|away|board|bookmarks|bugs|calls|clips?|docs?|edit|faq|fave|feed|friends"
    r"|games|groups|help|join|jobs|landing|login|mail|market|music|news|notifications|photos?|podcasts|privacy"
    r"|restore|search|services|settings|stickers|stories|support|terms|topics?|uslugi|videos?|wall|write)(?:\.php)?"
)
_OK_SECTION = re.compile(
    r"apps?|bookmarks|cdk|dk|discussions|feed|friends|games?|gifts|groups?|guests|help|hobby|live|market|marks|music"
    r"|notifications|online|payments|posts?|search|services|settings|statuses|topic|video"
)
_NAME = re.compile(r"[a-z0-9._-]{2,64}")
_ID = re.compile(r"0*([1-9][0-9]{0,19})")
_VK_CLUB = re.compile(r"(?:club|public|event|board)([0-9]+)")
_VK_THING = re.compile(
    r"(?:wall|topic|photos?|albums?|videos?|clips?|market|uslugi|docs?|audios?|stories|story|product)"
    r"(-?)([0-9]+)(?:_.*)?"
)
_VK_PERSON = re.compile(r"id[0-9]+")
_VK_DIALOG = re.compile(r"(?:write|gim|im)-?[0-9]+|al_im\.php")
_VK_APP = re.compile(r"(?:app|article)-?[0-9_-]+")
_VK_MENTION = re.compile(r"\[([a-z0-9._]+)\|[^\]]*\]", re.IGNORECASE)
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?/{2,3}|https?(?::/?|/{2})", re.IGNORECASE)
_HOST = re.compile(r"(?:[\w-]+\.)+[\w-]{2,}(?::[0-9]*)?(?=[/?#]|$)")
_DOMAIN = re.compile(r"\.(?:ru|com|me|org|net|su|info|рф|ком|ру)(?::[0-9]*)?$")
_WRAPPING = " \t\r\n<>()\"'«»„“”`,;"


class InvalidPageAddress(ValueError):  # noqa: N818 — reads better where it is raised
    """The text does not name a community of a known network; `reason` is a sentence that says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class PageAddress:
    """A community by the network's id (digits) or by a short name (lower case), as in its address."""

    network: str
    external_id: str | None = None
    screen_name: str | None = None


def parse_address(text: str, network: str | None = None) -> PageAddress:
    """Return the community whose address the text contains; `network` is needed for text such as a bare id.

    Raises `InvalidPageAddress` with the reason.
    """
    parsed = _parse(_cleaned(text), network)
    if network is not None and parsed.network != network:
        raise InvalidPageAddress(f"This is an address in {_title(parsed.network)}, not in {_title(network)}")
    return parsed


def _title(network: str) -> str:
    return NETWORKS[network].title


def _cleaned(text: str) -> str:
    if len(text) > MAX_ADDRESS_LENGTH:
        raise InvalidPageAddress(f"The address is longer than {MAX_ADDRESS_LENGTH} characters")
    # Invisible characters of copied text: byte order marks, zero-width and direction marks, soft hyphens.
    normal = "".join(sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf")
    mention = _VK_MENTION.search(normal)
    words = [mention[1]] if mention else [word for raw in normal.split() if (word := raw.strip(_WRAPPING))]
    if not words:
        raise InvalidPageAddress("The address is empty")
    if len(words) > 1:
        links = list(dict.fromkeys(word for word in words if _is_link(word)))
        if len(links) > 1:
            raise InvalidPageAddress(f"The text contains {len(links)} addresses: give one")
        if not links:
            raise InvalidPageAddress("The text contains no address")
        words = links
    return words[0].rstrip(".!")


def _is_link(word: str) -> bool:
    return _SCHEME.match(word) is not None or _HOST.match(word) is not None


def _parse(word: str, network: str | None) -> PageAddress:
    # A short name may contain dots; a host ends in a known domain.
    if not _is_link(word) or (network is not None and "/" not in word and not _DOMAIN.search(word.lower())):
        return _bare(word, network)
    link = _split(word)
    host = (link.hostname or "").removeprefix("www.").rstrip(".")
    if host in VK_HOSTS:
        return _vk(link)
    if host in OK_HOSTS:
        return _ok(link)
    if (other := _by_page_url(link, host)) is not None:
        return other
    raise InvalidPageAddress(_foreign(host, word))


def _split(word: str) -> SplitResult:
    scheme = _SCHEME.match(word)
    rest = word[scheme.end() :] if scheme else word
    named = scheme[0].rstrip("/:").lower() if scheme else ""
    if named not in {"", "http", "https"}:
        raise InvalidPageAddress(f"«{named}:» is not a web address")
    try:
        link = urlsplit(f"https://{rest.lstrip('/')}")
        port = link.port
    except ValueError as error:
        raise InvalidPageAddress("This is not a web address") from error
    if port not in {None, 80, 443}:
        raise InvalidPageAddress(f"No network uses port {port}")
    return link


def _foreign(host: str, word: str) -> str:
    bare = host.removeprefix("m.").removeprefix("web.")
    other = next(
        (title for known, title in OTHER_NETWORKS.items() if bare == known or bare.endswith(f".{known}")), None
    )
    reasons: tuple[tuple[bool, str], ...] = (
        ("@" in word and "/" not in word, "This is an e-mail address"),
        (
            not host.isascii() or "xn--" in host,
            f"«{host}» is not a network's host: it contains letters other than Latin",
        ),
        (bare in MESSENGER_HOSTS, "This is a link to a conversation, not to a page"),
        (bare in SHORTENER_HOSTS, "This is a shortened link: open it and give the address that it leads to"),
        (other is not None, f"This is an address in {other}; official pages are kept in {_known()}"),
        (
            host.endswith((".vk.com", ".vk.ru", ".ok.ru")),
            f"«{host}» belongs to the network but has no pages",
        ),
        (True, f"«{host}» is not a known network; official pages are kept in {_known()}"),
    )
    return next(reason for applies, reason in reasons if applies)


def _known() -> str:
    return ", ".join(about.title for about in NETWORKS.values())


def _bare(word: str, network: str | None) -> PageAddress:
    mentioned = word.startswith(("@", "*"))
    name = word.lstrip("@*").strip("/").lower()
    if "@" in name:
        raise InvalidPageAddress("This is an e-mail address")
    if not re.search(r"\w", name):
        raise InvalidPageAddress("The text contains no address")
    if re.fullmatch(r"-?[0-9]+", name):
        if network is None:
            raise InvalidPageAddress(
                "A bare number does not show the network: give the network or the whole address"
            )
        return PageAddress(network, external_id=_id(name.removeprefix("-")))
    if network == "ok":
        return _ok_path([part for part in name.split("/") if part], {})
    # @name and clubNNN are VK's own notation.
    if network == "vk" or mentioned or _VK_CLUB.fullmatch(name) or _VK_THING.fullmatch(name):
        return _vk_path([part for part in name.split("/") if part], {})
    if not name.isascii():
        raise InvalidPageAddress("An address may not contain letters other than Latin ones")
    if network is not None:
        raise InvalidPageAddress(
            f"Pages in {_title(network)} have no short names: give the id or the whole address"
        )
    raise InvalidPageAddress("A bare name does not show the network: give the network or the whole address")


def _parts(link: SplitResult) -> tuple[list[str], dict[str, list[str]]]:
    path = unquote(link.path).lower()
    # Old URLs of VK contain the page in the fragment.
    if path.strip("/") == "" and link.fragment.startswith(("/", "!")):
        path = unquote(link.fragment.lstrip("!")).lower()
    return [part for part in path.split("/") if part], parse_qs(link.query)


def _vk(link: SplitResult) -> PageAddress:
    return _vk_path(*_parts(link))


def _vk_path(parts: list[str], query: dict[str, list[str]]) -> PageAddress:
    first = parts[0] if parts else ""
    section = _VK_SECTION.fullmatch(first) is not None
    if first == "" or section:
        # A post opened from a feed or a search is in the parameter `w`, a photo or a video in `z`.
        for opened in (*query.get("w", ()), *query.get("z", ())):
            if (matched := _VK_THING.match(opened.lower())) and matched[1]:
                return PageAddress("vk", external_id=_id(matched[2]))
    if first == "":
        raise InvalidPageAddress("The address names only the network, not a community")
    if matched := _VK_CLUB.fullmatch(first):
        return PageAddress("vk", external_id=_id(matched[1]))
    if matched := _VK_THING.fullmatch(first):
        if not matched[1]:
            raise InvalidPageAddress("The address belongs to a person, not to a community")
        return PageAddress("vk", external_id=_id(matched[2]))
    refused: tuple[tuple[bool, str], ...] = (
        (_VK_PERSON.fullmatch(first) is not None, "This is a person's page, not a community"),
        (_VK_DIALOG.fullmatch(first) is not None or first == "im", "This is a conversation, not a page"),
        (first.startswith("@"), "This is an article: give the community's own address"),
        (_VK_APP.fullmatch(first) is not None, "This is an application or an article, not a community"),
        (section or first.endswith(".php"), f"«{first}» is a section of ВКонтакте, not a community"),
    )
    return PageAddress("vk", screen_name=_name(first, refused))


def _ok(link: SplitResult) -> PageAddress:
    return _ok_path(*_parts(link))


def _ok_path(parts: list[str], query: dict[str, list[str]]) -> PageAddress:
    for group_id in query.get("st.groupId", ()):
        return PageAddress("ok", external_id=_id(group_id))
    if not parts:
        raise InvalidPageAddress("The address names only the network, not a group")
    first = parts[0]
    if first == "group" and len(parts) > 1:
        return PageAddress("ok", external_id=_id(parts[1]))
    if matched := re.fullmatch(r"group([0-9]+)", first):
        return PageAddress("ok", external_id=_id(matched[1]))
    refused: tuple[tuple[bool, str], ...] = (
        (first == "profile", "This is a person's page, not a group"),
        (first == "messages", "This is a conversation, not a page"),
        (_OK_SECTION.fullmatch(first) is not None, f"«{first}» is a section of Одноклассники, not a group"),
    )
    return PageAddress("ok", screen_name=_name(first, refused))


def _by_page_url(link: SplitResult, host: str) -> PageAddress | None:
    """Return the page if the host belongs to a network whose pages have only URLs by id; otherwise None."""
    for network, about in NETWORKS.items():
        own = urlsplit(about.page_url)
        if host not in {own.netloc, f"m.{own.netloc}"}:
            continue
        before, after = own.path.lower().split("{id}")
        path = unquote(link.path).lower().rstrip("/") + "/"
        if matched := re.match(rf"{re.escape(before)}([0-9]+)(?={re.escape(after.rstrip('/'))}/)", path):
            return PageAddress(network, external_id=_id(matched[1]))
        raise InvalidPageAddress(f"The address names no page: a page in {about.title} is {about.page_url}")
    return None


def _id(digits: str) -> str:
    matched = _ID.fullmatch(digits) if digits.isascii() else None
    if matched is None:
        raise InvalidPageAddress("The id of a community is 1 to 20 digits and not zero")
    return matched[1]


def _name(name: str, refused: tuple[tuple[bool, str], ...]) -> str:
    for applies, reason in refused:
        if applies:
            raise InvalidPageAddress(reason)
    if not name.isascii():
        raise InvalidPageAddress("The short name contains letters other than Latin ones")
    if not _NAME.fullmatch(name) or not re.search("[a-z]", name):
        raise InvalidPageAddress(
            "A short name has 2 to 64 Latin letters, digits, «.», «_» and «-», at least one of them a letter"
        )
    return name
