"""API methods by section; importing a section registers its methods."""

from emulators.vk.methods import boards, callbacks, comments, execute, groups, messages, users, utils, wall
from emulators.vk.methods.registry import METHODS, Call, Method

__all__ = [
    "METHODS",
    "Call",
    "Method",
    "boards",
    "callbacks",
    "comments",
    "execute",
    "groups",
    "messages",
    "users",
    "utils",
    "wall",
]
