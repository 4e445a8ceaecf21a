"""Who a logged-in customer is: signed by the site's own server, and by nothing else believed."""

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Self

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.exceptions import InvalidSubjectError
from jwt.utils import base64url_decode, base64url_encode

from bot.errors import RequestError, SettingError
from bot.settings import Settings

MAX_USER_ID_CHARS = 128
MIN_SECRET_CHARS = 32
MIN_RSA_BITS = 2048
# Between the clocks of the site's server and of this one.
LEEWAY_S = 10

Key = str | RSAPublicKey | EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Checks what a site's server signed about a customer; nothing is believed without a key."""

    secret: str | None = field(default=None, repr=False)
    public_key: RSAPublicKey | EllipticCurvePublicKey | None = None
    audience: str | None = None
    issuer: str | None = None
    required: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say; raises SettingError for a weak secret or an unusable key file."""
        secret = settings.identity_secret
        if secret is not None and len(secret.get_secret_value()) < MIN_SECRET_CHARS:
            raise SettingError(
                "KEFU_IDENTITY_SECRET",
                f"it has fewer than {MIN_SECRET_CHARS} characters; make one with openssl rand "
                "-hex 32",
            )
        file = settings.identity_public_key_file
        identity = cls(
            secret=None if secret is None else secret.get_secret_value(),
            public_key=None if file is None else _load_key(file),
            audience=settings.identity_audience,
            issuer=settings.identity_issuer,
            required=settings.identity_required,
        )
        if identity.required and not identity._keys():
            raise SettingError(
                "KEFU_IDENTITY_REQUIRED",
                "no customer could ever log in; set KEFU_IDENTITY_SECRET or "
                "KEFU_IDENTITY_PUBLIC_KEY_FILE too",
            )
        return identity

    def customer_of(self, body: dict[str, Any]) -> str | None:
        """The customer whom `body["identity"]` proves; None for an anonymous one.

        Raises RequestError: 400 for a claim of another shape, 401 for one that proves nothing or
        where a claim is required.
        """
        claim = body.get("identity")
        if claim is None:
            if self.required:
                raise RequestError(
                    401,
                    "identity",
                    "only logged-in customers can write here",
                    'log in and send "identity" as your site\'s server signed it',
                )
            return None
        if isinstance(claim, dict) and claim.keys() == {"jwt"} and isinstance(claim["jwt"], str):
            return self._by_jwt(claim["jwt"])
        if (
            isinstance(claim, dict)
            and claim.keys() == {"user_id", "hmac"}
            and isinstance(claim["user_id"], str)
            and isinstance(claim["hmac"], str)
        ):
            return self._by_hmac(claim["user_id"], claim["hmac"])
        raise RequestError(
            400,
            "identity",
            "it is no identity",
            'send {"user_id": string, "hmac": string} or {"jwt": string}',
        )

    def _by_hmac(self, user_id: str, signature: str) -> str:
        if self.secret is None:
            _refuse("identity.hmac", "no secret is set up here", "set KEFU_IDENTITY_SECRET")
        expected = sign(user_id.encode("utf-8", "replace"), self.secret)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            _refuse(
                "identity.hmac",
                "it is not the signature of this user_id",
                "send the HMAC-SHA256 of the user_id with KEFU_IDENTITY_SECRET, in lower-case hex",
            )
        return _user_id(user_id, "identity.user_id")

    def _by_jwt(self, token: str) -> str:
        header = _header(token)
        if "crit" in header:
            _refuse("identity.jwt.crit", "no extension is known here", "leave crit out")
        keys = self._keys()
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in keys:
            _refuse(
                "identity.jwt.alg",
                "this algorithm is not set up here",
                f"sign with {' or '.join(sorted(keys))}"
                if keys
                else "set KEFU_IDENTITY_SECRET or KEFU_IDENTITY_PUBLIC_KEY_FILE",
            )
        try:
            claims = jwt.decode(
                token,
                keys[algorithm],
                algorithms=[algorithm],
                audience=self.audience,
                issuer=self.issuer,
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub"]},
            )
        except jwt.InvalidTokenError as error:
            _refuse(*_fault(error))
        return _user_id(claims["sub"], "identity.jwt.sub")

    def _keys(self) -> dict[str, Key]:
        """The one key of each algorithm that is taken, so that none is used with another's."""
        keys: dict[str, Key] = {}
        if self.secret is not None:
            keys["HS256"] = self.secret
        if self.public_key is not None:
            keys["RS256" if isinstance(self.public_key, RSAPublicKey) else "ES256"] = (
                self.public_key
            )
        return keys


def sign(user_id: bytes, secret: str) -> str:
    """The HMAC-SHA256 of a user's id, as the site's server makes it."""
    return hmac.new(secret.encode(), user_id, hashlib.sha256).hexdigest()


def _load_key(file: Path) -> RSAPublicKey | EllipticCurvePublicKey:
    variable = "KEFU_IDENTITY_PUBLIC_KEY_FILE"
    try:
        key = load_pem_public_key(file.read_bytes())
    except OSError as error:
        raise SettingError(variable, f"{file} cannot be read ({error.strerror})") from None
    except (ValueError, UnsupportedAlgorithm):
        raise SettingError(variable, f"{file} holds no public key in PEM") from None
    if isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return key
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise SettingError(
        variable, f"{file} is neither an RSA key of {MIN_RSA_BITS} bits or more nor a P-256 key"
    )


def _user_id(value: object, field: str) -> str:
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= MAX_USER_ID_CHARS
        or not value.isprintable()
    ):
        _refuse(
            field,
            f"an id has 1 to {MAX_USER_ID_CHARS} printable characters",
            "sign the id that your site keeps for the customer",
        )
    return value


def _header(token: str) -> dict[str, Any]:
    """What a JWT says of itself, unproved; each of its parts must be in its one form, because
    base64 can write the same bytes in several ways."""
    parts = token.split(".")
    try:
        raw = [base64url_decode(part.encode("ascii")) for part in parts]
        if len(parts) != 3 or [base64url_encode(one).decode() for one in raw] != parts:
            raise ValueError("not as it was issued")
        header = json.loads(raw[0])
        if not isinstance(header, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError):
        _refuse("identity.jwt", "it is no JWT", "send it as your site's server issued it")
    return header


def _fault(error: jwt.InvalidTokenError) -> tuple[str, str, str]:
    """The field, what is wrong with it and the remedy."""
    match error:
        case jwt.MissingRequiredClaimError():
            return f"identity.jwt.{error.claim}", "the claim is missing", "sign it with the others"
        case jwt.ExpiredSignatureError():
            return "identity.jwt.exp", "it has expired", "have the site's server sign a new one"
        case jwt.ImmatureSignatureError():
            return "identity.jwt.nbf", "it is of the future", "check the clocks of both servers"
        case jwt.InvalidAudienceError():
            return "identity.jwt.aud", "it is for someone else", "see KEFU_IDENTITY_AUDIENCE"
        case jwt.InvalidIssuerError():
            return "identity.jwt.iss", "it is by someone else", "see KEFU_IDENTITY_ISSUER"
        case InvalidSubjectError():
            return "identity.jwt.sub", "it is no string", "sign the customer's id as a string"
        case jwt.InvalidSignatureError():
            return "identity.jwt", "the signature is wrong", "sign it with the key set up here"
        case _:
            return "identity.jwt", "it cannot be read", "sign it with a JWT library"


def _refuse(field: str, message: str, remedy: str) -> NoReturn:
    raise RequestError(401, field, message, remedy, audit="identity_refused")
