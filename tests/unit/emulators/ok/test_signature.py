"""Request signatures against the published examples."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulators.ok.signature import sign, token_secret, verify
from tests.unit.emulators.ok.signed_client import Network

PARAMS = {"application_key": "ABCDEFGHIGKLMNOPK", "method": "events.get", "format": "json"}
TOKEN = "-s-84W-s3egarWUsbkq-IWTucuedzTKT8VUXIA.s4Xx8IW7"
SESSION_SECRET = "ae5362b5b588cc7294c2414d71b74d5d"


def test_secret_is_derived_from_token_and_application_secret() -> None:
    assert token_secret(TOKEN, "ABC123DEF456GHI789JKL123") == "b1a2b89707a94624c43afae67d59274c"


@pytest.mark.parametrize(
    ("secret", "sig"),
    [
        ("b1a2b89707a94624c43afae67d59274c", "232c8eb921951c4dba9b72606f9ddb4c"),
        (SESSION_SECRET, "03a41413523ea8092507949d6e711963"),
    ],
)
def test_published_examples_have_the_published_signatures(secret: str, sig: str) -> None:
    sent = {**PARAMS, "access_token": TOKEN, "session_key": "x", "sig": sig}
    assert sign(sent, secret) == sig
    assert verify(sent, (secret,))
    assert not verify({**sent, "format": "xml"}, (secret,))
    assert not verify({**sent, "sig": sig.upper()}, (secret,))


def test_empty_parameters_may_be_signed_or_left_out() -> None:
    given = {**PARAMS, "anchor": ""}
    assert verify({**given, "sig": sign(given, SESSION_SECRET)}, (SESSION_SECRET,))
    assert verify({**given, "sig": sign(PARAMS, SESSION_SECRET)}, (SESSION_SECRET,))


@given(
    st.dictionaries(st.text(min_size=1).filter(lambda name: name != "sig"), st.text()),
    st.text(alphabet="0123456789abcdef", min_size=1),
    st.data(),
)
def test_changed_value_invalidates_the_signature(params: dict[str, str], secret: str, data: st.DataObject) -> None:
    sent = {**params, "sig": sign(params, secret)}
    assert verify(sent, (secret,))
    signed = sorted(set(params) - {"access_token", "session_key"})
    if signed:
        name = data.draw(st.sampled_from(signed))
        assert not verify({**sent, name: params[name] + "x"}, (secret,))


async def test_application_is_checked_before_session_and_session_before_signature(network: Network) -> None:
    user = network.user
    good = {"method": "users.getCurrentUser", "application_key": user["application_key"], "sig": "0" * 32}
    for change, code in (
        ({"application_key": "NOSUCHKEY", "access_token": "x"}, 101),
        ({"application_key": ""}, 101),
        ({"access_token": "never issued"}, 103),
        ({"access_token": network.bot}, 103),
        ({"access_token": user["token"]}, 104),
        ({}, 104),
    ):
        response = await network.http.get("/fb.do", params={**good, **change})
        assert response.status_code == 200
        assert response.json()["error_code"] == code
        assert response.headers["invocation-error"] == str(code)
    await network.control("tokens/revoke", {"token": user["token"]})
    response = await network.http.get("/fb.do", params={**good, "access_token": user["token"]})
    assert response.json()["error_msg"] == "PARAM_SESSION_EXPIRED : Session expired"
    assert response.headers["invocation-error"] == "102"


async def test_session_key_is_signed_with_the_session_secret(network: Network) -> None:
    user = network.user
    params = {"application_key": user["application_key"], "method": "users.getCurrentUser"}
    for field, secret, accepted in (
        ("session_key", user["session_secret_key"], True),
        ("access_token", user["session_secret_key"], True),
        ("access_token", token_secret(user["token"], user["application_secret_key"]), True),
        ("session_key", user["application_secret_key"], False),
        ("access_token", user["application_secret_key"], False),
    ):
        sent = {**params, field: user["token"], "sig": sign(params, secret)}
        body = (await network.http.get("/fb.do", params=sent)).json()
        assert (body.get("uid") == user["uid"]) is accepted, (field, body)
        assert accepted or body["error_code"] == 104


async def test_method_in_the_path_is_accepted_but_a_user_method_only_with_a_session(network: Network) -> None:
    user = network.user
    params = {"application_key": user["application_key"], "uids": network.page}
    params["sig"] = sign(params, user["application_secret_key"])
    for response in (
        await network.http.get("/api/group/getInfo", params=params),
        await network.http.post("/api/group/getInfo", data=params),
        await network.http.post("/api/group/getInfo", files={key: (None, value) for key, value in params.items()}),
    ):
        assert [found["uid"] for found in response.json()] == [network.page]
    required = {"application_key": user["application_key"]}
    required["sig"] = sign(required, user["application_secret_key"])
    body = (await network.http.get("/api/users/getCurrentUser", params=required)).json()
    assert body["error_code"] == 453
