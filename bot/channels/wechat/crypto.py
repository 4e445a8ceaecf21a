"""The envelope of WeChat and WeCom: SHA-1 signature, AES-256-CBC, and XML read without surprises.

The scheme is the platforms' own ("消息加解密说明"): the signature is the SHA-1 of token, timestamp,
nonce and ciphertext, sorted and joined; the plaintext is 16 random bytes, the message's length, the
message and the receiver's id, padded to 32 bytes, under a key that also gives the vector.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from xml.parsers import expat

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.channels.signatures import check_timestamp, same, unsigned
from bot.errors import RequestError

_BLOCK = 32
_RANDOM = 16
_LENGTH = 4
_MAX_DEPTH = 8
_MAX_ELEMENTS = 200
# What XML 1.0 cannot carry, not even as a reference.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def sign(*parts: str) -> str:
    """The SHA-1 of the sorted parts, as hex."""
    joined = "".join(sorted(parts)).encode("utf-8", "surrogatepass")
    # The platforms prescribe SHA-1; the token among the parts is what makes it a signature.
    return hashlib.sha1(joined, usedforsecurity=False).hexdigest()


def check(query: Mapping[str, str], field: str, token: str, now: datetime, *signed: str) -> None:
    """Raise RequestError (401) unless `query[field]` signs timestamp, nonce and `signed`, and the
    timestamp lies within five minutes of `now`."""
    timestamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
    if not same(query.get(field), sign(token, timestamp, nonce, *signed)):
        raise unsigned(field, "the signature is missing or not of this request")
    check_timestamp(timestamp, now, "timestamp")


class Envelope:
    """Opens and closes encrypted messages of one receiver (an app id or a company id).

    Raises ValueError for a key that is not the platform's 43 characters.
    """

    def __init__(self, *, token: str, encoding_aes_key: str, receiver: str) -> None:
        if not re.fullmatch("[A-Za-z0-9+/]{43}", encoding_aes_key):
            raise ValueError("the EncodingAESKey has 43 letters and digits")
        self._key = base64.b64decode(encoding_aes_key + "=")
        self._token = token
        self._receiver = receiver.encode()

    def open(self, query: Mapping[str, str], ciphertext: str, now: datetime) -> bytes:
        """The message in a signed ciphertext; raises RequestError (401).

        The signature is checked first: nothing unsigned is ever decrypted, so that there is no
        padding to probe. What fails later looks the same from outside.
        """
        check(query, "msg_signature", self._token, now, ciphertext)
        message, receiver = _unframe(self._decrypt(ciphertext))
        if not hmac.compare_digest(receiver, self._receiver):
            raise unsigned("Encrypt", "it is not for this receiver")
        return message

    def close(self, message: bytes, random: bytes | None = None) -> str:
        """A message as the ciphertext the platform reads; `random` has 16 bytes."""
        random = secrets.token_bytes(_RANDOM) if random is None else random
        plain = random + len(message).to_bytes(_LENGTH, "big") + message + self._receiver
        pad = _BLOCK - len(plain) % _BLOCK
        encryptor = self._cipher().encryptor()
        sealed = encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()
        return base64.b64encode(sealed).decode()

    def answer(self, message: bytes, now: datetime) -> str:
        """The encrypted and signed XML of a passive reply."""
        encrypted = self.close(message)
        timestamp, nonce = str(int(now.timestamp())), secrets.token_hex(8)
        return write_xml(
            {
                "Encrypt": encrypted,
                "MsgSignature": sign(self._token, timestamp, nonce, encrypted),
                "TimeStamp": int(timestamp),
                "Nonce": nonce,
            }
        )

    def _decrypt(self, ciphertext: str) -> bytes:
        try:
            sealed = base64.b64decode(ciphertext, validate=True)
        except (ValueError, binascii.Error):
            raise unsigned("Encrypt", "it cannot be decrypted") from None
        if not sealed or len(sealed) % 16:
            raise unsigned("Encrypt", "it cannot be decrypted")
        decryptor = self._cipher().decryptor()
        return decryptor.update(sealed) + decryptor.finalize()

    def _cipher(self) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self._key), modes.CBC(self._key[:16]))


def read_xml(raw: bytes) -> dict[str, str]:
    """The texts of the root's children by name; raises RequestError (400).

    No document type and so no entity of anyone's making: expat tells of one and parsing ends there.
    A customer may write "<!DOCTYPE" all the same, in CDATA it is text.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _unreadable("it is not UTF-8") from None
    reader = _Reader()
    parser = expat.ParserCreate(encoding="utf-8")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError:
        raise _unreadable("it is not well-formed") from None
    return reader.fields


def write_xml(fields: Mapping[str, str | int]) -> str:
    """Flat XML with the texts in CDATA, as the platforms write it."""
    inner = "".join(
        f"<{name}>{value}</{name}>"
        if isinstance(value, int)
        else f"<{name}><![CDATA[{_cdata(value)}]]></{name}>"
        for name, value in fields.items()
    )
    return f"<xml>{inner}</xml>"


class _Reader:
    """Collects the texts of the elements right below the root."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self._depth = 0
        self._elements = 0
        self._name = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _MAX_DEPTH or self._elements > _MAX_ELEMENTS:
            raise _unreadable("it is too deep or has too many elements")
        if self._depth == 2:
            if name in self.fields:
                raise _unreadable("an element is there more than once")
            self._name = name
            self.fields[name] = ""

    def end(self, name: str) -> None:
        self._depth -= 1

    def characters(self, data: str) -> None:
        if self._depth == 2:
            self.fields[self._name] += data


def _unframe(plain: bytes) -> tuple[bytes, bytes]:
    """The message and the receiver in a decrypted frame."""
    pad = plain[-1]
    body = plain[:-pad]
    if not 1 <= pad <= _BLOCK or plain[-pad:] != bytes([pad]) * pad:
        raise unsigned("Encrypt", "it cannot be decrypted")
    start = _RANDOM + _LENGTH
    end = start + int.from_bytes(body[_RANDOM:start], "big")
    if len(body) < start or end > len(body):
        raise unsigned("Encrypt", "it cannot be decrypted")
    return body[start:end], body[end:]


def _cdata(text: str) -> str:
    return _NOT_XML.sub("", text).replace("]]>", "]]]]><![CDATA[>")


def _refuse_doctype(*parts: object) -> None:
    raise _unreadable("it has a document type")


def _unreadable(message: str) -> RequestError:
    return RequestError(400, "body", message, "send XML as the platform documents it")
