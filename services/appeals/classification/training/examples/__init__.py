"""Training examples of the built-in model, written for this project. They contain no texts of citizens."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources

from services.appeals.classification.types import MessageContext, MessageType
from shared.contracts.values import Urgency
from shared.tabular.reader import package_rows

_PACKAGE = "services.appeals.classification.training.examples"
_FILE = "messages.csv"


@dataclass(frozen=True)
class TrainingExample:
    """A message with its correct classification. `group` and `topic` are taxonomy codes, empty if there is
    none.
    """

    text: str
    context: MessageContext
    type: MessageType
    urgency: Urgency
    group: str
    topic: str

    @property
    def needs_answer(self) -> bool:
        """Return whether an official answer is due: such examples have a group."""
        return bool(self.group)


@cache
def examples_digest() -> str:
    """Return the SHA-256 of the examples, which is stored in the model card."""
    return sha256(resources.files(_PACKAGE).joinpath(_FILE).read_text("utf-8").encode()).hexdigest()


@cache
def load_examples() -> Sequence[TrainingExample]:
    """Return all examples, in the order of the file."""
    return tuple(
        TrainingExample(
            text=row["text"],
            context=MessageContext(
                kind=row["kind"],  # type: ignore[arg-type]
                post_text=row["post"] or None,
                replies_to_citizen=row["to_citizen"] == "yes",
            ),
            type=row["type"],  # type: ignore[arg-type]
            urgency=row["urgency"],  # type: ignore[arg-type]
            group=row["group"],
            topic=row["topic"],
        )
        for row in package_rows(_PACKAGE, _FILE)
    )
