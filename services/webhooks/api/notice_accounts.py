"""Routes of a person's accounts in networks, to which notices may go."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from services.webhooks.notices import preferences
from services.webhooks.notices.messages import accounts
from services.webhooks.schemas.notices import (
    AccountState,
    CodeRecipient,
    NewAccountCode,
    NoticeAccount,
    NoticeAccountCode,
)
from services.webhooks.settings import webhooks_settings
from shared.auth.callers import CallerDep
from shared.http.problems import Conflict, Forbidden, Invalid, NotFound, Unauthenticated, responses
from shared.service import ReadTransaction, WriteTransaction
from shared.tables.registry import Page

router = APIRouter(tags=["notices"], responses=responses(Unauthenticated, Forbidden, Invalid))


@router.get("/me/notice-accounts", summary="The caller's accounts in networks that notices may go to")
async def list_notice_accounts(session: ReadTransaction, caller: CallerDep) -> list[NoticeAccount]:
    """Return an account for each network in which notices are sent, linked or not. For people only."""
    person_id = await preferences.own_id(session, caller)
    known = await accounts.accounts_of(session, person_id)
    shown = []
    for network, page in (await accounts.pages_of_notices(session)).items():
        account = known.get(network)
        shown.append(
            NoticeAccount(
                network=network,
                state=AccountState.NONE if account is None else AccountState(account.state),
                page=_page(page),
                code_expires_at=None if account is None else account.code_expires_at,
                linked_at=None if account is None else account.linked_at,
                ended_at=None if account is None else account.ended_at,
                ended_reason=None if account is None else account.ended_reason,
            )
        )
    return shown


@router.post(
    "/me/notice-accounts",
    status_code=201,
    summary="Get a code that links an account in a network",
    responses=responses(Conflict),
)
async def create_notice_account_code(
    session: WriteTransaction, caller: CallerDep, body: NewAccountCode
) -> NoticeAccountCode:
    """Return a code that is valid for half an hour and links an account in the network.

    The account that sends the page a direct message with only the code gets the caller's notices; the page
    confirms it in an answer. An earlier code becomes invalid; an account that is already linked stays linked.

    409: this installation sends no notices in the network.
    """
    person_id = await preferences.own_id(session, caller)
    keys = webhooks_settings().encryption_keys
    code, account, page = await accounts.begin_link(session, person_id, body.network, keys)
    assert account.code_expires_at is not None
    return NoticeAccountCode(network=body.network, code=code, expires_at=account.code_expires_at, page=_page(page))


@router.delete(
    "/me/notice-accounts/{network}",
    status_code=204,
    summary="Unlink an account in a network",
    responses=responses(NotFound),
)
async def delete_notice_account(
    session: WriteTransaction, caller: CallerDep, network: Annotated[str, Path(examples=["vk"])]
) -> Response:
    """Unlink the account: waiting notices, and the kinds sent to this network, go by e-mail from now on."""
    await accounts.unlink(session, await preferences.own_id(session, caller), network)
    return Response(status_code=204)


def _page(page: Page) -> CodeRecipient:
    return CodeRecipient(name=page.name, url=page.url)
