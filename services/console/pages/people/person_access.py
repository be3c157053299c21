"""Create a person's account, and change its access. A new password is shown only once, in the response that set
it.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse, Response

from services.console.api_calls.client import Answer, ApiProblem
from services.console.choices.choices_by_name import (
    Choice,
    changed_choice,
    chosen_organisation,
    known_choice,
    known_organisation,
)
from services.console.registry_forms.access_roles import CENTRE_ROLES, grantable_roles
from services.console.settings import console_settings
from services.console.site.forms import changed_meanwhile, entered, refusal_of, wrong_fields
from services.console.site.page import page_router
from services.console.site.visit import Visit, VisitDep

router = page_router()
# No letters or digits that look alike: passwords are read aloud and typed by hand.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
# How often a submission is sent again while an earlier one is being executed: hashing the password may take
# seconds.
_ATTEMPTS = 10
_WAIT_SECONDS = 0.5
_WRONG = {
    "username": "Имя для входа: строчные латинские буквы, цифры, точка, дефис; имя не должно быть занято.",
    "full_name": "Введите фамилию, имя и отчество.",
    "role": "Выберите роль.",
    "organisation_id": "Для этой роли нужна организация; у ролей центра организации нет.",
    "include_subordinates": "Сотрудники центра и так видят все организации.",
    "external_subject": "Этот идентификатор уже занят, или вход через провайдера не настроен.",
    "password": "Пароль: не короче 10 знаков.",
}


def new_password() -> str:
    """Return a random password in four groups."""
    return _password(secrets.token_bytes(32))


def _password_of(visit: Visit, username: str, seed: str) -> str:
    """Return the password of a form's new person: the same for each submission. A different password would be a
    different request, which the idempotency key does not allow.

    The seed is only in the form. From the idempotency key, which the API stores, the password could be computed
    with a backup and the console's key.
    """
    secret = console_settings().encryption_keys.get_secret_value().split(",")[0].strip()
    about = f"password of a new person\n{visit.me['person']['id']}\n{username}\n{seed}"
    return _password(hmac.digest(secret.encode(), about.encode(), hashlib.sha256))


def _password(entropy: bytes) -> str:
    number, letters = int.from_bytes(entropy, "big"), []
    for _ in range(16):
        number, at = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[at])
    return "-".join("".join(letters[at : at + 4]) for at in range(0, 16, 4))


@router.get("/people-new")
async def show_new_person(visit: VisitDep, organisation_id: str = "") -> HTMLResponse:
    """Show an empty form; for a person of an organisation it has that organisation."""
    own = visit.me["organisation"]
    organisation = await known_organisation(visit.api, organisation_id or (own["id"] if own else None))
    return await _form(visit, {"role": "executor", "sign_in": "password"}, organisation)


@router.post("/people-new")
async def give_access(visit: VisitDep) -> Response:
    """Create a person's account, and show its password."""
    form = await entered(visit.request)
    organisation = await _organisation(visit, form)
    if organisation.error:
        return await _form(visit, form, organisation)
    key, seed, username = form.get("key"), form.get("seed"), form.get("username", "")
    password = None
    if form.get("sign_in") != "issuer":
        password = _password_of(visit, username, seed) if seed else new_password()
    body = _access(form, organisation) | {
        "username": username,
        "password": password,
        "external_subject": form.get("external_subject") or None,
    }
    try:
        made = await _create(visit, body, key)
    except ApiProblem as problem:
        return await _form(visit, form, organisation, problem)
    if password is None:
        return visit.redirect(f"/people/{made.data['id']}", note="Доступ дан")
    return visit.render("people/password.html", person=made.data, password=password, is_new=True)


async def _create(visit: Visit, body: Mapping[str, Any], key: str | None) -> Answer:
    """Create the person. While an earlier submission of the form is being executed, wait for its result: the
    browser shows only the response to the last submission.
    """
    for _ in range(_ATTEMPTS):
        try:
            return await visit.api.send("POST", "/people", body, key=key)
        except ApiProblem as problem:
            if problem.slug != "idempotent-request-in-progress":
                raise
        await asyncio.sleep(_WAIT_SECONDS)
    return await visit.api.send("POST", "/people", body, key=key)


@router.get("/people/{person_id}/edit")
async def show_access_form(visit: VisitDep, person_id: str) -> Response:
    """Show the form with the person's access."""
    if not visit.may("people:read"):
        return visit.redirect("/people")
    answer = await visit.api.send("GET", f"/people/{person_id}")
    organisation = known_choice("organisation", answer.data["organisation"])
    return await _form(visit, _values(answer), organisation, person=answer.data)


@router.post("/people/{person_id}/edit")
async def change_access(visit: VisitDep, person_id: str) -> Response:
    """Change the access, unless somebody has changed it since the form was shown."""
    form = await entered(visit.request)
    person = await visit.api.get(f"/people/{person_id}")
    organisation = await _organisation(visit, form, person["organisation"])
    if organisation.error:
        return await _form(visit, form, organisation, person=person)
    body = _access(form, organisation)
    # Sending an unchanged `false` would take over a deactivation by a subordinate organisation.
    if (active := form.get("active") == "yes") != person["active"]:
        body["active"] = active
    if (subject := form.get("external_subject", "")) != (person["external_subject"] or ""):
        body["external_subject"] = subject or None
    try:
        await visit.api.send("PATCH", f"/people/{person_id}", body, version=form.get("version"))
    except ApiProblem as problem:
        if problem.status != 412:
            return await _form(visit, form, organisation, problem, person=person)
        answer = await visit.api.send("GET", f"/people/{person_id}")
        current, now = _values(answer), known_choice("organisation", answer.data["organisation"])
        wrong = changed_meanwhile(current, form, chosen=("role", "include_subordinates", "active"))
        wrong["organisation_id"] = changed_choice(now, organisation)
        again = form | {"version": current["version"]}
        return await _form(visit, again, organisation, problem, person=person, wrong=wrong)
    return visit.redirect(f"/people/{person_id}", note="Доступ изменён")


@router.post("/people/{person_id}/deactivation")
async def take_over_deactivation(visit: VisitDep, person_id: str) -> Response:
    """Take over a deactivation by a lower organisation: only this level or a higher one can then undo it."""
    form = await entered(visit.request)
    own = f"/people/{person_id}"
    try:
        await visit.api.send("PATCH", own, {"active": False}, version=form.get("version"))
    except ApiProblem as problem:
        if problem.status != 412:
            raise
        note = "Запись изменил кто-то другой. Проверьте, что получилось, и повторите."
        return visit.redirect(own, note=note, kind="failed")
    return visit.redirect(own, note="Теперь вернуть доступ может только центр")


@router.post("/people/{person_id}/password")
async def reset_password(visit: VisitDep, person_id: str) -> HTMLResponse:
    """Set a new password and show it; the account's sessions end."""
    answer = await visit.api.send("GET", f"/people/{person_id}")
    password = new_password()
    changed = await visit.api.send("PATCH", f"/people/{person_id}", {"password": password}, version=answer.version)
    return visit.render("people/password.html", person=changed.data, password=password, is_new=False)


async def _organisation(visit: Visit, form: Mapping[str, str], known: Mapping[str, Any] | None = None) -> Choice:
    if form.get("role") in CENTRE_ROLES:
        return Choice("organisation")
    return await chosen_organisation(visit.api, form, "organisation", known=known, required=True)


def _values(answer: Answer) -> dict[str, str]:
    person = answer.data
    return {name: str(person[name] or "") for name in ("full_name", "role", "external_subject")} | {
        "include_subordinates": "yes" if person["include_subordinates"] else "",
        "active": "yes" if person["active"] else "",
        "version": answer.version,
    }


def _access(form: Mapping[str, str], organisation: Choice) -> dict[str, Any]:
    return {
        "full_name": form.get("full_name", ""),
        "role": form.get("role", ""),
        "organisation_id": organisation.id,
        "include_subordinates": form.get("include_subordinates") == "yes" and form.get("role") not in CENTRE_ROLES,
    }


async def _form(
    visit: Visit,
    values: Mapping[str, str],
    organisation: Choice,
    problem: ApiProblem | None = None,
    *,
    person: Mapping[str, Any] | None = None,
    wrong: Mapping[str, str] | None = None,
) -> HTMLResponse:
    methods = await visit.api.get("/auth/methods")
    return visit.render(
        "people/edit.html",
        status=problem.status if problem else 200,
        person=person,
        values=values,
        organisation=organisation,
        roles=grantable_roles(visit),
        has_issuer=methods["external"] is not None,
        refusal=refusal_of(problem) if problem else "",
        wrong=wrong or (wrong_fields(problem, _WRONG) if problem else {}),
    )
