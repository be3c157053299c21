"""Forms with much text: after any failure the response contains the entered values, to be sent again.

A chosen file cannot be put back into its field: the response gives the file's name and asks to choose it again.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import UploadFile

from services.console.api_calls.client import ApiProblem, ApiUnavailable, SignedOut
from services.console.site.rendering import render
from services.console.site.visit import Visit
from services.console.words.refusals import UNAVAILABLE, explained

_SIGNED_OUT = "Сеанс закончился, поэтому ничего не сделано. Ваш текст на месте: войдите и отправьте его ещё раз."


@dataclass(frozen=True)
class KeptForm:
    """The title and the button of the page shown after a failure; `texts` and `files` have the titles of its
    fields.
    """

    title: str
    button: str
    texts: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)

    async def or_result(
        self, request: Request, visit: Visit | None, work: Callable[[Visit], Awaitable[Response]]
    ) -> Response:
        """Return the result of `work`; without a session, or if the API refuses or fails, return the form with its
        values.
        """
        if visit is None:
            return await self._page(request, _SIGNED_OUT, 401)
        try:
            return await work(visit)
        except SignedOut:
            return await self._page(request, _SIGNED_OUT, 401)
        except ApiUnavailable:
            return await self._page(request, UNAVAILABLE, 503)
        except ApiProblem as problem:
            return await self._page(request, explained(problem), problem.status)

    async def _page(self, request: Request, refusal: str, status: int) -> HTMLResponse:
        form = await request.form(max_files=len(self.files))
        values = {name: value for name, value in form.items() if isinstance(value, str) and value}
        html = render(
            "kept_form.html",
            layout="bare_swap.html" if "hx-request" in request.headers else "bare.html",
            title=self.title,
            button=self.button,
            shown={name: (title, values[name]) for name, title in self.texts.items() if name in values},
            hidden={name: value for name, value in values.items() if name not in self.texts},
            lost={
                name: (title, file) for name, title in self.files.items() if (file := file_name(form.get(name)))
            },
            action=request.url.path,
            refusal=refusal,
            signed_out=status == 401,
        )
        return HTMLResponse(html, status_code=status)


def file_name(value: object) -> str:
    """Return the name of the file chosen in a field; empty if none was chosen."""
    return (value.filename or "") if isinstance(value, UploadFile) else ""
