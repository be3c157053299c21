"""Links that a reply must not contain: shortened links, schemes other than http, disguised hosts, hosts that are
not allowed.
"""

import re
from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from services.appeals.replies.checks.hints import Hint

# A shortened link hides where it leads; networks often reject it.
SHORTENERS = frozenset(
    {
        "bit.ly", "clck.ru", "goo.gl", "goo.su", "is.gd", "ow.ly", "qps.ru", "rb.gy", "shorturl.at", "t.co",
        "t.ly", "tiny.cc", "tinyurl.com", "u.to", "vk.cc", "cutt.ly", "ya.cc", "surl.li", "lnnk.in", "kurl.ru",
    }
)  # fmt: skip
# Hosts to which a reply may always link, even if the list of hosts is closed.
ALWAYS_ALLOWED = frozenset({"gosuslugi.ru", "gov.ru", "vk.com", "vk.ru", "ok.ru"})
_ADDRESS = re.compile(
    r"(?<![\w.@+-])(?:(?P<scheme>[a-z][a-z0-9+.-]{0,20})://)?"
    r"(?P<rest>(?:[\w-]{1,63}\.){1,6}[^\W\d_]{2,24}(?![\w-])(?::\d{1,5})?(?:[/?#][^\s<>\"«»]{0,2000})?)",
    re.IGNORECASE,
)
_OTHER_SCHEME = re.compile(
    r"(?<!\w)(?!https?://)(?:[a-z][a-z0-9+.-]{1,20}://|(?:javascript|vbscript|data|tel|sms|viber|tg|whatsapp):(?=\S))"
    r"[^\s<>\"«»]{0,200}",
    re.IGNORECASE,
)
_DISGUISED = re.compile(
    r"https?://(?:[^\s/@<>\"«»]{1,200}@|\d{1,3}(?:\.\d{1,3}){3}(?!\d)|\[[\da-f:.]{2,45}\]|xn--|[^\s/]{1,200}\.xn--)"
    r"[^\s<>\"«»]{0,200}",
    re.IGNORECASE,
)
_LATIN, _CYRILLIC = re.compile(r"[a-z]"), re.compile(r"[а-яё]")
# Without a scheme, only these endings make a word with dots a link.
_ENDINGS = frozenset({"ru", "su", "com", "net", "org", "info", "рф", "me", "link", "site", "online"})


def find_forbidden_links(text: str, hosts: Collection[str] | None) -> Iterator[Hint]:
    """Yield a hint for each link that must not be published; `hosts` is the closed list of allowed hosts; None
    allows any.
    """
    for match in _OTHER_SCHEME.finditer(text):
        message = "Ссылка не открывается в браузере: дайте ссылку, которая начинается с https://."
        yield Hint.of("forbidden_link", message, match.span())
    for match in _DISGUISED.finditer(text):
        message = "Ссылка скрывает, куда ведёт: дайте адрес сайта целиком."
        yield Hint.of("forbidden_link", message, match.span())
    for match in _ADDRESS.finditer(text):
        scheme, host = (match["scheme"] or "").lower(), _host(match["rest"])
        if scheme not in {"", "http", "https"} or not (scheme or _looks_like_host(host)):
            continue
        if (objection := _objection(host, hosts)) is not None:
            yield Hint.of("forbidden_link", objection, match.span())


def _objection(host: str, hosts: Collection[str] | None) -> str | None:
    if _is_one_of(host, SHORTENERS):
        return "Короткая ссылка скрывает, куда ведёт: дайте полный адрес."
    if any(_LATIN.search(label) and _CYRILLIC.search(label) for label in host.split(".")):
        return "В адресе сайта смешаны русские и латинские буквы: проверьте ссылку."
    if hosts is not None and not _is_one_of(host, hosts) and not _is_one_of(host, ALWAYS_ALLOWED):
        return "На этот сайт ссылаться нельзя: его нет в списке разрешённых."
    return None


def _looks_like_host(written: str) -> bool:
    return written.rpartition(".")[2] in _ENDINGS or _is_one_of(written, SHORTENERS)


def _host(written: str) -> str:
    return re.split(r"[/?#:]", written, maxsplit=1)[0].lower()


def _is_one_of(host: str, hosts: Collection[str]) -> bool:
    """Return whether the host is one of these or below one of them."""
    labels = host.split(".")
    return any(".".join(labels[start:]) in hosts for start in range(len(labels)))


def host_of(site: str) -> str | None:
    """Return the host of a site given in an organisation's card: «https://www.example.ru/» → `example.ru`."""
    try:
        found = urlsplit(site if "//" in site else f"//{site}").hostname
    except ValueError:
        return None
    return found.removeprefix("www.") if found else None
