"""What can go wrong in an emulated world, whichever the network."""


class RefusedError(Exception):
    """The network itself would refuse this, with its own code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class UnknownError(Exception):
    """No such page, thread, message or token."""


class BadInputError(Exception):
    """A request of the control door that makes no sense; `field` names the part at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
