"""API methods by section; importing a section registers its methods."""

from emulators.vk.methods import (
    board,
    execute,
    groups,
    groups_callbacks,
    messages,
    users,
    utils,
    wall,
    wall_comments,
)
from emulators.vk.methods.method_table import METHODS, Call, Method

__all__ = [
    "METHODS",
    "Call",
    "Method",
    "board",
    "execute",
    "groups",
    "groups_callbacks",
    "messages",
    "users",
    "utils",
    "wall",
    "wall_comments",
]
