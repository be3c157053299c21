"""The classifier of topics: 26 groups («группы тем») and their topics («темы»), as data, by version.

A version is a file `<version>.csv` whose classes are never edited: a change is a new file and a migration that
brings it, so what was judged under an old one keeps its meaning. Aliases may be added, by a migration too. Names
are compared folded: case, «ё/е» and punctuation do not matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from shared.tabular.reader import package_rows
from shared.text.normalize import fold_name

VERSION = "2026-1"


@dataclass(frozen=True)
class Class:
    """A group (`group` empty) or a topic of the group whose code `group` is.

    `contains` says what belongs here («должна содержать»), `not_with` which neighbours it is not («не путать с»);
    `aliases` are old names and the words people use.
    """

    code: str
    group: str
    name: str
    contains: str
    not_with: str
    aliases: tuple[str, ...]


@cache
def classes(version: str = VERSION) -> Sequence[Class]:
    """All classes of a version, groups first, in the classifier's order."""
    return tuple(
        Class(
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
def groups(version: str = VERSION) -> Sequence[Class]:
    """The groups, in order."""
    return tuple(found for found in classes(version) if not found.group)


@cache
def by_name(version: str = VERSION) -> dict[str, Class]:
    """Folded name or alias → class. A name stands before an alias, a group before a topic. An alias that topics of
    one group share names the group; one that topics of several groups share names none.
    """
    by_code = {found.code: found for found in classes(version)}
    named: dict[str, Class] = {}
    for found in classes(version):
        named.setdefault(fold_name(found.name), found)
    for found in groups(version):
        for alias in found.aliases:
            named.setdefault(fold_name(alias), found)
    shared: dict[str, list[Class]] = {}
    for found in classes(version):
        if found.group:
            for alias in found.aliases:
                shared.setdefault(fold_name(alias), []).append(found)
    for alias, topics in shared.items():
        if len(topics) == 1:
            named.setdefault(alias, topics[0])
        elif len({topic.group for topic in topics}) == 1:
            named.setdefault(alias, by_code[topics[0].group])
    return named
