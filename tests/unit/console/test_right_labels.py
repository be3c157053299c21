"""The explanation of a refusal for a missing right."""

from services.console.words.right_labels import RIGHT_WORDS, holders, lacking_right
from shared.auth.rights import RIGHTS, Right, Role


def test_every_right_has_a_label() -> None:
    assert set(RIGHT_WORDS) == set(Right)


def test_holders_of_a_right_are_those_of_the_table_of_rights() -> None:
    assert holders(Right.REGISTRY_WRITE) == ["модератор центра"]
    assert len(holders(Right.APPEALS_READ)) == sum(Right.APPEALS_READ in RIGHTS[role] for role in Role)


def test_refusal_names_the_right_and_whom_to_ask() -> None:
    text = lacking_right("The role «operations» has no right «appeals:read»")
    assert text is not None
    assert text.startswith("Вам нельзя читать обращения. Это могут: модератор центра")
    assert "Попросите" in text


def test_refusal_that_names_no_right_has_no_explanation() -> None:
    assert lacking_right("The page belongs to another organisation") is None
