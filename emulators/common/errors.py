"""Errors of an emulated network."""


class RefusedError(Exception):
    """The real network would reject the request, with this code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class UnknownError(Exception):
    """No such page, thread, message or token."""


class BadInputError(Exception):
    """An invalid request to the control API; `field` names the invalid field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
