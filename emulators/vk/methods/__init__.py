"""API methods by section; importing a section registers its methods."""

from emulators.vk.methods import (
    board,
    execute,
    groups,
    groups_callbacks,
    messages,
    photos,
    stats,
    users,
    utils,
    wall,
    wall_comments,
)
from emulators.vk.methods.method_table import METHODS, Method, MethodCall

__all__ = [
    "METHODS",
    "Method",
    "MethodCall",
    "board",
    "execute",
    "groups",
    "groups_callbacks",
    "messages",
    "photos",
    "stats",
    "users",
    "utils",
    "wall",
    "wall_comments",
]
