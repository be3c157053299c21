"""Several reads in one call of `execute`: each result goes to its read, in any order."""

from typing import Any, cast

import aiohttp
import pytest

from emulators.vk.vkscript.interpreter import Interpreter, Limits
from emulators.vk.vkscript.parser import parse
from services.ingest.networks.port import TokenKind, TokenPool
from services.ingest.networks.vk.vk_client import VkClient
from services.ingest.settings import IngestSettings

CALLS = [{"post_id": 1}, {"post_id": 264}, {"post_id": 284}]


def answer_of(params: Any) -> dict[str, Any]:
    return {"items": [{"post_id": int(params["post_id"])}], "count": 1}


class Scripted(VkClient):
    """A client of a fake network that runs the received code and then changes the response."""

    change: Any

    async def read_with_any_token(self, method: str, *kinds: TokenKind, page_id: Any = None, **params: Any) -> Any:
        if method != "execute":
            return answer_of(params)
        script = Interpreter(lambda _name, given: answer_of(given), Limits(25, 1_000), {"Args": {}})
        return self.change(script.run(parse(str(params["code"]))))


@pytest.mark.parametrize(
    "change",
    [
        lambda answers: answers,
        lambda answers: answers[::-1],
        lambda answers: [*answers, answers[0]],
        lambda answers: answers[1:],
        lambda answers: [None, *answers[1:]],
        lambda answers: [{"n": []}, *answers[1:]],
        lambda answers: [answers[0], {"n": 1, "answer": False}, answers[2]],
        lambda _: {"n": 0},
    ],
    ids=["in_order", "reversed", "one_twice", "one_missing", "hole", "no_number", "inner_call_failed", "no_list"],
)
async def test_each_response_of_a_batch_goes_to_its_own_call(change: Any) -> None:
    client = Scripted(
        cast("aiohttp.ClientSession", None), cast("TokenPool", None), IngestSettings.model_construct()
    )
    client.change = staticmethod(change)
    answers = await client.read_batch("wall.getComments", CALLS, TokenKind.USER)
    assert answers == [answer_of(params) for params in CALLS]
