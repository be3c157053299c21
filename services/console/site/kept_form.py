"""Forms with much text: after any failure the response contains the entered values, to be sent again.

A chosen file cannot be put back into its field: the response gives the file's name and asks to choose it again.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import UploadFile

from services.console.api_calls.client import ApiProblem, ApiUnavailable, SignedOut
from services.console.site.rendering import render
from services.console.site.visit import Visit
from services.console.words.refusals import UNAVAILABLE, explained

SIGNED_OUT = "Сессия закончилась, поэтому ничего не сделано. Ваш текст на месте: войдите и отправьте его ещё раз."

# The gateway would treat these statuses as a failure of the console and open its circuit breaker.
OF_THE_GATEWAY = {502: 503, 504: 503}
# The target of htmx when it replaces the whole content of a page.
_PAGE = "main#main"
# Fields that a page fills in: a form without other fields has lost nothing.
_OF_THE_PAGE = frozenset({"version", "key", "seed", "seen"})
# Fields in which people write; all others except secrets are kept as hidden fields.
_TEXTS = {
    "text": "Текст",
    "reason": "Причина",
    "ground": "Основание",
    "remarks": "Замечания",
    "comment": "Пояснение",
    "note": "Пометка",
    "evidence": "Документ, ссылка или пояснение",
    "document": "Документ",
    "post_context": "Запись, под которой написано",
    "former": "Прежние названия",
    "title": "Заголовок",
    "name": "Название",
    "full_name": "Фамилия, имя, отчество",
    "add": "Метки",
}
# Fields that no response may contain.
_SECRETS = {
    "password": "Пароль",
    "token": "Ключ доступа",
    "service_token": "Сервисный ключ",
    "success_token": "Код, который выдала соцсеть",
    "secret": "Секрет",
    "confirmation_code": "Код подтверждения",
    "application_key": "Ключ приложения",
    "application_secret_key": "Секретный ключ приложения",
    "session_secret_key": "Секретный ключ сессии",
}


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
            return await self._page(request, SIGNED_OUT, 401)
        try:
            return await work(visit)
        except SignedOut:
            return await self._page(request, SIGNED_OUT, 401)
        except ApiUnavailable:
            return await self._page(request, UNAVAILABLE, 503)
        except ApiProblem as problem:
            return await self._page(request, explained(problem), problem.status)

    async def _page(self, request: Request, refusal: str, status: int) -> HTMLResponse:
        form = await request.form(max_files=len(self.files))
        values = [(name, value) for name, value in form.multi_items() if isinstance(value, str) and value]
        lost = {name: (title, file) for name, title in self.files.items() if (file := file_name(form.get(name)))}
        return _kept(
            request, refusal, status,
            title=self.title, button=self.button, texts=self.texts, values=values, lost=lost,
        )  # fmt: skip


async def kept_entries(
    request: Request, refusal: str, status: int, *, request_id: str | None = None
) -> HTMLResponse | None:
    """Return a form with all that was sent, to be sent again after an error. Return None if nothing was entered,
    if a file was chosen, which cannot be kept, or if the response would replace only a part of the page.
    """
    if request.method != "POST" or is_part(request):
        return None
    form = await request.form()
    values = [(name, value) for name, value in form.multi_items() if isinstance(value, str) and value]
    if any(file_name(value) for _, value in form.multi_items()) or {name for name, _ in values} <= _OF_THE_PAGE:
        return None
    return _kept(
        request, refusal, status,
        title="Не получилось", button="Отправить ещё раз", texts=_TEXTS, request_id=request_id,
        values=[(name, value) for name, value in values if name not in _SECRETS],
        secrets={name: _SECRETS[name] for name, _ in values if name in _SECRETS},
    )  # fmt: skip


def is_part(request: Request) -> bool:
    """Return whether htmx puts the response into a part of the page: a timer or a field made the request, perhaps
    while somebody is writing elsewhere on the page.
    """
    headers = request.headers
    return "hx-request" in headers and headers.get("hx-target", _PAGE) != _PAGE


def _kept(
    request: Request,
    refusal: str,
    status: int,
    *,
    texts: Mapping[str, str],
    values: Sequence[tuple[str, str]],
    secrets: Mapping[str, str] = MappingProxyType({}),
    lost: Mapping[str, tuple[str, str]] = MappingProxyType({}),
    request_id: str | None = None,
    **titles: str,
) -> HTMLResponse:
    query = f"?{request.url.query}" if request.url.query else ""
    html = render(
        "kept_form.html",
        layout="bare_swap.html" if "hx-request" in request.headers else "bare.html",
        shown=[(name, texts[name], value) for name, value in values if name in texts],
        hidden=[(name, value) for name, value in values if name not in texts],
        action=request.url.path + query,
        refusal=refusal,
        signed_out=status == 401,
        secrets=secrets,
        lost=lost,
        request_id=request_id,
        **titles,
    )
    return HTMLResponse(html, status_code=OF_THE_GATEWAY.get(status, status))


def file_name(value: object) -> str:
    """Return the name of the file chosen in a field; empty if none was chosen."""
    return (value.filename or "") if isinstance(value, UploadFile) else ""
