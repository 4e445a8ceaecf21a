"""A customer is who the site's server says, and nobody can borrow another's conversation."""

import asyncio
import base64
import json
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.errors import RequestError, SettingError
from bot.identity import Identity, sign
from bot.settings import Settings
from bot.tokens import Tokens

SECRET = "a secret that the site's own server knows too"
OTHER_SECRET = "a secret that somebody else's server has, not it"
HMAC_IDENTITY = Identity(secret=SECRET)


def hmac_claim(user_id: str, secret: str = SECRET) -> dict[str, Any]:
    return {"identity": {"user_id": user_id, "hmac": sign(user_id.encode(), secret)}}


def jwt_of(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **more: Any) -> str:
    return jwt.encode({"exp": time.time() + 86400} | claims, key, algorithm, **more)


def jwt_claim(token: str) -> dict[str, Any]:
    return {"identity": {"jwt": token}}


def refusal(body: dict[str, Any], identity: Identity = HMAC_IDENTITY) -> tuple[int, str]:
    with pytest.raises(RequestError) as refused:
        identity.customer_of(body)
    assert refused.value.remedy
    return refused.value.status, refused.value.field


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem_of(key: Any) -> bytes:
    public = key.public_key()
    return bytes(
        public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def test_a_signed_user_id_is_believed() -> None:
    assert HMAC_IDENTITY.customer_of(hmac_claim("42")) == "42"
    assert HMAC_IDENTITY.customer_of(hmac_claim("jos\u00e9@example.com")) == "jos\u00e9@example.com"
    assert HMAC_IDENTITY.customer_of({}) is None


def test_the_signature_is_the_documented_one() -> None:
    # echo -n 42 | openssl dgst -sha256 -hmac key
    assert sign(b"42", "key") == "f2991b7ce981d0b5adc5e6a0f31acaeb407bfc21354bbcc31a0c43eaffa83d65"


@given(bit=st.integers(0, 64 * 8 - 1))
def test_every_changed_bit_of_an_hmac_is_refused(bit: int) -> None:
    claim = hmac_claim("42")
    raw = bytearray(claim["identity"]["hmac"].encode())
    raw[bit // 8] ^= 1 << bit % 8
    claim["identity"]["hmac"] = raw.decode("latin-1")
    assert refusal(claim) == (401, "identity.hmac")


@given(bit=st.integers(min_value=0))
def test_every_changed_bit_of_a_jwt_is_refused(bit: int) -> None:
    raw = bytearray(TOKEN.encode())
    bit %= len(raw) * 8
    raw[bit // 8] ^= 1 << bit % 8
    status, field = refusal(jwt_claim(raw.decode("latin-1")))
    assert status == 401
    assert field.startswith("identity.jwt")


TOKEN = jwt_of({"sub": "42", "exp": 4_000_000_000})


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: str = "") -> str:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode())
    return ".".join([base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]) + (
        f".{signature}"
    )


NOW = time.time()  # of the collection: the tests may come much later
BAD_JWTS: list[Any] = [
    pytest.param(jwt_of({"sub": "42"}, OTHER_SECRET), "identity.jwt", id="another key"),
    pytest.param(jwt_of({"sub": "42", "exp": NOW - 300}), "identity.jwt.exp", id="expired"),
    pytest.param(jwt.encode({"sub": "42"}, SECRET), "identity.jwt.exp", id="no exp"),
    pytest.param(jwt_of({"sub": "42", "exp": "soon"}), "identity.jwt", id="exp is text"),
    pytest.param(jwt_of({"sub": "42", "nbf": NOW + 43200}), "identity.jwt.nbf", id="not yet"),
    pytest.param(jwt_of({"sub": "42", "iat": NOW + 43200}), "identity.jwt.nbf", id="of the future"),
    pytest.param(jwt_of({}), "identity.jwt.sub", id="no sub"),
    pytest.param(jwt_of({"sub": ""}), "identity.jwt.sub", id="empty sub"),
    pytest.param(jwt_of({"sub": "x" * 129}), "identity.jwt.sub", id="long sub"),
    pytest.param(jwt_of({"sub": "a\0b"}), "identity.jwt.sub", id="NUL in sub"),
    pytest.param(jwt_of({"sub": "42", "aud": "other"}), "identity.jwt.aud", id="for someone else"),
    pytest.param(
        jwt_of({"sub": "42"}, headers={"crit": ["exp"]}), "identity.jwt.crit", id="unknown crit"
    ),
    pytest.param(
        jwt_of({"sub": "42"}, SECRET * 2, algorithm="HS512"), "identity.jwt.alg", id="other HMAC"
    ),
    pytest.param(
        unsigned({"alg": "none"}, {"sub": "42", "exp": NOW + 86400}), "identity.jwt.alg", id="none"
    ),
    pytest.param(
        unsigned({"alg": "nOnE"}, {"sub": "42", "exp": NOW + 86400}), "identity.jwt.alg", id="nOnE"
    ),
    pytest.param(
        unsigned({"typ": "JWT"}, {"sub": "42", "exp": NOW + 86400}), "identity.jwt.alg", id="no alg"
    ),
    pytest.param(
        unsigned({"alg": ["HS256"]}, {"sub": "42"}), "identity.jwt.alg", id="alg is a list"
    ),
    pytest.param("", "identity.jwt", id="empty"),
    pytest.param("a.b", "identity.jwt", id="two parts"),
    pytest.param("....", "identity.jwt", id="dots"),
    pytest.param("\ud800.\ud800.\ud800", "identity.jwt", id="surrogates"),
    pytest.param("x" * 60_000, "identity.jwt", id="long"),
    pytest.param(TOKEN + "=", "identity.jwt", id="padded"),
    pytest.param(TOKEN + "\n", "identity.jwt", id="a line break"),
    pytest.param(" " + TOKEN, "identity.jwt", id="a blank"),
]


@pytest.mark.parametrize(("token", "field"), BAD_JWTS)
def test_a_jwt_that_proves_nothing_is_named(token: str, field: str) -> None:
    assert refusal(jwt_claim(token)) == (401, field)


def test_audience_and_issuer_are_checked_when_set() -> None:
    identity = Identity(secret=SECRET, audience="kefu", issuer="shop")
    good = {"sub": "42", "aud": "kefu", "iss": "shop"}
    assert identity.customer_of(jwt_claim(jwt_of(good))) == "42"
    for changed, field in (
        ({"aud": "other"}, "identity.jwt.aud"),
        ({"iss": "other"}, "identity.jwt.iss"),
    ):
        assert refusal(jwt_claim(jwt_of(good | changed)), identity) == (401, field)
    for missing in ("aud", "iss"):
        claims = {name: value for name, value in good.items() if name != missing}
        assert refusal(jwt_claim(jwt_of(claims)), identity) == (401, f"identity.jwt.{missing}")


def test_a_public_key_fixes_the_algorithm(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    curve_key = ec.generate_private_key(ec.SECP256R1())
    for key, algorithm in ((rsa_key, "RS256"), (curve_key, "ES256")):
        file = tmp_path / f"{algorithm}.pem"
        file.write_bytes(pem_of(key))
        identity = Identity.of(Settings(_env_file=None, identity_public_key_file=file))
        assert identity.customer_of(jwt_claim(jwt_of({"sub": "7"}, key, algorithm))) == "7"
        for token in (
            TOKEN,
            # The public key as if it were a shared secret: what a confused library accepts.
            _hs256_with(pem_of(key)),
            jwt_of({"sub": "7"}, rsa_key, "PS256"),
        ):
            assert refusal(jwt_claim(token), identity) == (401, "identity.jwt.alg")
        forged = jwt_of({"sub": "7"}, rsa.generate_private_key(65537, 2048), "RS256")
        assert refusal(jwt_claim(forged), identity)[0] == 401
        assert refusal(hmac_claim("7"), identity) == (401, "identity.hmac")


def _hs256_with(secret: bytes) -> str:
    import hmac

    signed = unsigned({"alg": "HS256"}, {"sub": "7", "exp": NOW + 86400})[:-1]
    digest = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "claim",
    [
        "42",
        42,
        [],
        {},
        {"user_id": "42"},
        {"hmac": "x"},
        {"user_id": 42, "hmac": "x"},
        {"user_id": "42", "hmac": None},
        {"user_id": "42", "hmac": "x", "jwt": "y"},
        {"jwt": None},
        {"jwt": "x", "verified": True},
    ],
)
def test_a_claim_of_another_shape_is_named(claim: Any) -> None:
    assert refusal({"identity": claim}) == (400, "identity")


def test_without_a_key_nothing_is_believed() -> None:
    assert refusal(hmac_claim("42"), Identity()) == (401, "identity.hmac")
    assert refusal(jwt_claim(TOKEN), Identity()) == (401, "identity.jwt.alg")
    assert refusal(hmac_claim("42", ""), Identity()) == (401, "identity.hmac")


def test_where_it_is_required_nobody_is_anonymous() -> None:
    assert refusal({}, Identity(secret=SECRET, required=True)) == (401, "identity")


def test_keys_that_protect_nothing_are_refused(tmp_path: Path) -> None:
    weak = tmp_path / "weak.pem"
    weak.write_bytes(pem_of(rsa.generate_private_key(65537, 1024)))
    curve = tmp_path / "curve.pem"
    curve.write_bytes(pem_of(ec.generate_private_key(ec.SECP384R1())))
    text = tmp_path / "text.pem"
    text.write_text("no key")
    for changes, variable in (
        ({"identity_secret": SecretStr("short")}, "KEFU_IDENTITY_SECRET"),
        ({"identity_public_key_file": tmp_path / "none.pem"}, "KEFU_IDENTITY_PUBLIC_KEY_FILE"),
        ({"identity_public_key_file": weak}, "KEFU_IDENTITY_PUBLIC_KEY_FILE"),
        ({"identity_public_key_file": curve}, "KEFU_IDENTITY_PUBLIC_KEY_FILE"),
        ({"identity_public_key_file": text}, "KEFU_IDENTITY_PUBLIC_KEY_FILE"),
        ({"identity_required": True}, "KEFU_IDENTITY_REQUIRED"),
    ):
        settings = Settings(_env_file=None).model_copy(update=changes)
        with pytest.raises(SettingError) as refused:
            Identity.of(settings)
        assert refused.value.variable == variable


# Through the gateway.


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(folder / "kefu.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.fixture
async def gateway(start: Callable[..., Any]) -> Any:
    return await start(identity_secret=SecretStr(SECRET))


async def open_(gateway: Any, body: dict[str, Any] | None = None) -> tuple[int, Any]:
    response = await gateway.client.post("/api/v1/conversations", json=body or {})
    return response.status, await response.json()


async def test_a_logged_in_customer_has_one_conversation_on_every_device(
    gateway: Any, tmp_path: Path
) -> None:
    status, phone = await open_(gateway, hmac_claim("42"))
    assert (status, phone["verified"]) == (201, True)
    _, desktop = await open_(gateway, jwt_claim(TOKEN))
    assert desktop["conversation_id"] == phone["conversation_id"]
    _, other = await open_(gateway, hmac_claim("43"))
    assert other["conversation_id"] != phone["conversation_id"]
    found = rows(tmp_path, "SELECT account, customer_id FROM conversation ORDER BY account")
    assert found == [("user:42", "42"), ("user:43", "43")]


async def test_an_anonymous_conversation_never_becomes_a_customers(
    gateway: Any, tmp_path: Path
) -> None:
    anonymous = await gateway.converse()
    await anonymous.say("m1", "hello, I am customer 42")
    _, verified = await open_(gateway, hmac_claim("42") | {"conversation_id": anonymous.id})
    assert verified["conversation_id"] != anonymous.id
    response = await gateway.client.post(
        anonymous.url, json={"id": "m2", "text": "x"} | hmac_claim("42"), headers=anonymous.headers
    )
    assert response.status == 202
    await open_(gateway, {"user_id": "42", "customer_id": "42", "verified": True})
    found = rows(tmp_path, "SELECT id, customer_id FROM conversation WHERE customer_id = '42'")
    assert found == [(verified["conversation_id"], "42")]
    said = rows(tmp_path, "SELECT DISTINCT conversation_id FROM message")
    assert said == [(anonymous.id,)]


async def test_a_thousand_forgeries_open_nothing(gateway: Any, tmp_path: Path) -> None:
    chance = random.Random(7)
    _, victim = await open_(gateway, hmac_claim("42"))
    mine = await gateway.converse()
    before = rows(tmp_path, "SELECT count(*) FROM conversation")
    headers = {"Authorization": f"Bearer {victim['token']}"}
    url = f"/api/v1/conversations/{victim['conversation_id']}/messages"
    sent = await gateway.client.post(
        url + "?wait=true", json={"id": "m1", "text": "private"}, headers=headers
    )
    assert sent.status == 200

    async def read_or_write(token: str, number: int) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        if number % 2:
            response = await gateway.client.get(url, headers=headers)
        else:
            response = await gateway.client.post(
                url, json={"id": f"f{number}", "text": "forged"}, headers=headers
            )
        assert response.status in (401, 403), token
        assert "private" not in await response.text()

    async def claim(body: dict[str, Any]) -> None:
        status, answer = await open_(gateway, body)
        assert status in (400, 401), body
        assert "token" not in answer

    forgeries = [
        read_or_write(token, number)
        for number, token in enumerate(forged_tokens(chance, victim, mine, 600))
    ] + [claim(body) for body in forged_claims(chance, 400)]
    assert len(forgeries) == 1000
    for start in range(0, len(forgeries), 50):
        await asyncio.gather(*forgeries[start : start + 50])
    assert rows(tmp_path, "SELECT count(*) FROM conversation") == before
    assert rows(tmp_path, "SELECT text FROM message WHERE direction = 'in'") == [("private",)]


def forged_tokens(
    chance: random.Random, victim: dict[str, Any], mine: Any, count: int
) -> list[str]:
    token, id_ = victim["token"], victim["conversation_id"]
    own_parts, parts = mine.token.split("."), token.split(".")

    def flipped() -> str:
        raw = bytearray(token.encode())
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(7)
        text = raw.decode()
        # A line break would end the header.
        return text if text.isprintable() and text.strip() == text else token[:-1]

    kinds: list[Callable[[], str]] = [
        lambda: chance.randbytes(chance.randrange(1, 60)).hex(),
        lambda: token[: chance.randrange(1, len(token))],
        flipped,
        lambda: mine.token,
        lambda: ".".join([id_, *own_parts[1:]]),
        lambda: ".".join([id_, parts[1], own_parts[2]]),
        lambda: Tokens(chance.randbytes(16).hex()).issue(id_),
        lambda: Tokens("a secret of the tests", clock=lambda: time.time() - 31 * 86400).issue(id_),
        lambda: Tokens("a secret of the tests", clock=lambda: time.time() + 86400).issue(id_),
        lambda: f"{id_}.{chance.randbytes(32).hex()}",
    ]
    return [kinds[number % len(kinds)]() for number in range(count)]


def forged_claims(chance: random.Random, count: int) -> list[dict[str, Any]]:
    good = sign(b"42", SECRET)
    kinds: list[Callable[[], dict[str, Any]]] = [
        lambda: {"identity": {"user_id": "42", "hmac": chance.randbytes(32).hex()}},
        lambda: {"identity": {"user_id": "42", "hmac": good[: chance.randrange(64)]}},
        lambda: {"identity": {"user_id": "42 ", "hmac": good}},
        lambda: {"identity": {"user_id": "42", "hmac": sign(b"43", SECRET)}},
        lambda: hmac_claim("42", chance.randbytes(32).hex()),
        lambda: jwt_claim(jwt_of({"sub": "42"}, chance.randbytes(32).hex())),
        lambda: jwt_claim(unsigned({"alg": "none"}, {"sub": "42", "exp": NOW + 86400})),
        lambda: jwt_claim(TOKEN[: chance.randrange(1, len(TOKEN))]),
    ]
    return [kinds[number % len(kinds)]() for number in range(count)]


async def test_where_it_is_required_the_gateway_starts_no_anonymous_conversation(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    gateway = await start(identity_secret=SecretStr(SECRET), identity_required=True)
    status, answer = await open_(gateway)
    assert (status, answer["error"]["field"]) == (401, "identity")
    assert (await open_(gateway, hmac_claim("42")))[0] == 201
    assert rows(tmp_path, "SELECT customer_id FROM conversation") == [("42",)]


async def test_a_language_is_kept_with_the_conversation(gateway: Any, tmp_path: Path) -> None:
    assert (await open_(gateway, {"locale": "zh-CN"}))[0] == 201
    assert rows(tmp_path, "SELECT locale FROM conversation") == [("zh-CN",)]
    for locale in ("", "x", "en_US", "<script>", 7):
        status, answer = await open_(gateway, {"locale": locale})
        assert (status, answer["error"]["field"]) == (400, "locale")


async def test_a_logged_in_customers_conversation_takes_the_language_of_the_last_device(
    gateway: Any, tmp_path: Path
) -> None:
    for changes in ({"locale": "en"}, {"locale": "zh-CN"}, {}):
        assert (await open_(gateway, hmac_claim("42") | changes))[0] == 201
    assert rows(tmp_path, "SELECT locale FROM conversation") == [("zh-CN",)]
