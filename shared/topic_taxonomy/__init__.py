"""The topic taxonomy: 26 topic groups («группы тем») and their topics («темы»), as data, by version.

A version is a file `<version>.csv` whose entries are never edited: a change is a new file with a migration, so
that older classifications keep their meaning. Aliases may be added, with a migration too. Names are compared in
normalised form: case, «ё/е» and punctuation do not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from shared.tabular.reader import package_rows
from shared.text.normalize import fold_name

VERSION = "2026-1"


@dataclass(frozen=True)
class TaxonomyEntry:
    """A topic group (`group` empty), or a topic; `group` is the code of its group.

    `contains` describes what belongs here («должна содержать»), `not_with` which similar topics do not («не путать
    с»); `aliases` are former names and common words.
    """

    code: str
    group: str
    name: str
    contains: str
    not_with: str
    aliases: tuple[str, ...]


@cache
def entries(version: str = VERSION) -> Sequence[TaxonomyEntry]:
    """Return all entries of a version, groups first, in the order of its file."""
    return tuple(
        TaxonomyEntry(
            code=row["code"],
            group=row["group"],
            name=row["name"],
            contains=row["contains"],
            not_with=row["not_with"],
            aliases=tuple(name for name in row["aliases"].split(";") if name),
        )
        for row in package_rows("shared.topic_taxonomy", f"{version}.csv")
    )


@cache
def groups(version: str = VERSION) -> Sequence[TaxonomyEntry]:
    """Return the topic groups, in order."""
    return tuple(found for found in entries(version) if not found.group)


@cache
def entries_by_name(version: str = VERSION) -> dict[str, TaxonomyEntry]:
    """Return the entries by normalised name or alias.

    A name takes precedence over an alias, a group over a topic. An alias of several topics of one group stands for
    the group; an alias of topics in several groups is left out.
    """
    by_code = {found.code: found for found in entries(version)}
    named: dict[str, TaxonomyEntry] = {}
    for found in entries(version):
        named.setdefault(fold_name(found.name), found)
    for found in groups(version):
        for alias in found.aliases:
            named.setdefault(fold_name(alias), found)
    shared: dict[str, list[TaxonomyEntry]] = {}
    for found in entries(version):
        if found.group:
            for alias in found.aliases:
                shared.setdefault(fold_name(alias), []).append(found)
    for alias, topics in shared.items():
        if len(topics) == 1:
            named.setdefault(alias, topics[0])
        elif len({topic.group for topic in topics}) == 1:
            named.setdefault(alias, by_code[topics[0].group])
    return named
