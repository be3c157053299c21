"""Read command lines from docs/operations, exactly as they are written there."""

import re
from pathlib import Path

_OPERATIONS = Path(__file__).parents[2] / "docs" / "operations"


def documented_snippets(page: str, heading: str) -> list[str]:
    """Return the `docker` commands in sentences and tables of a section, in their order."""
    return [found for found in re.findall(r"`([^`\n]+)`", _section(page, heading)) if found.startswith("docker ")]


def documented_lines(page: str, heading: str) -> list[str]:
    """Return the command lines of a section in their order, with continuation lines joined.

    `page` is the name of a file without `.md`. Raises LookupError if the section is missing or has no commands.
    """
    indented = re.findall(r"^    (.+)$", _section(page, heading), re.MULTILINE)
    commands = re.sub(r"\\\n +", "", "\n".join(indented)).splitlines()
    # Blocks of `.env` settings and of YAML have the same indentation: select the commands.
    found = [line for line in commands if re.match(r"(\(|docker |for |git |curl |sudo )", line)]
    if not found:
        raise LookupError(f"the section «{heading}» of {page}.md has no commands")
    return found


def _section(page: str, heading: str) -> str:
    text = (_OPERATIONS / f"{page}.md").read_text(encoding="utf-8")
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    if section is None:
        raise LookupError(f"{page}.md has no section «{heading}»")
    return section[1]
