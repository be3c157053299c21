"""Made-up answers, each labelled by hand with exactly the hints that it must get."""

import csv
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from services.appeals.replies.checks.check_text import check_reply
from services.appeals.replies.checks.hints import HintCode, ReplyContext

TABLE = Path(__file__).with_name("answers.csv")
with TABLE.open(encoding="utf-8", newline="") as file:
    ANSWERS = list(csv.DictReader(file))


def test_table_covers_each_hint_code_not_tested_elsewhere() -> None:
    labelled = {code for row in ANSWERS for code in row["hints"].split()}
    assert len(ANSWERS) >= 60
    from_other_tests = {"same_as_recent", "personal_account", "no_promise"}
    known = set(get_args(HintCode.__value__))
    assert labelled <= known
    assert known - labelled <= from_other_tests


@pytest.mark.parametrize("row", ANSWERS, ids=[str(number) for number in range(2, len(ANSWERS) + 2)])
def test_answer_gets_exactly_the_labelled_hints(row: dict[str, str]) -> None:
    context = ReplyContext(
        question=row["question"],
        topic_names=(row["topic"],),
        phones=frozenset({"3012212121"}),
        mails=frozenset({"priem@kabansk.example"}),
    )
    hints = check_reply(row["text"], row["kind"], context)
    assert Counter(hint.code for hint in hints) == Counter(row["hints"].split())
    for hint in hints:
        assert hint.message
        if hint.start is not None and hint.end is not None:
            assert row["text"][hint.start : hint.end].strip()


def test_every_hint_code_is_documented() -> None:
    page = (Path(__file__).parents[4] / "docs" / "moderator" / "replies.md").read_text(encoding="utf-8")
    assert [code for code in get_args(HintCode.__value__) if f"`{code}`" not in page] == []
