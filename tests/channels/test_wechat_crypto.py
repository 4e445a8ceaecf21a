"""The envelope of WeChat and WeCom, with the test vectors of the platforms' own samples."""

import base64
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.channels.wechat.crypto import Envelope, check, read_xml, sign, write_xml
from bot.errors import RequestError

# WeCom's sample: https://developer.work.weixin.qq.com/document/path/90930
TOKEN = "QDG6eK"
KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
CORP = "wx5823bf96d3bd56c7"
ECHO = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
ECHO_QUERY = {
    "msg_signature": "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3",
    "timestamp": "1409659589",
    "nonce": "263014780",
}
MESSAGE = (
    "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj"
    "911L3vg3W/sYYvuJTs3TUUkSUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06"
    "DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekUNXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQ"
    "H03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rUPA3k22Ncx4XXZS9o0MBH27Bo"
    "6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+q"
    "N+E7Q=="
)
MESSAGE_QUERY = {
    "msg_signature": "477715d11cdb4164915debcba66cb864d751f3e6",
    "timestamp": "1409659813",
    "nonce": "1372623149",
}
# WeChat's sample for Official Accounts: the sealed form of a text, with its random bytes.
APP_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
APP_ID = "wxb11529c136998cb6"
APP_RANDOM = b"aaaabbbbccccdddd"
APP_PLAIN = "我是中文abcd123"
APP_SEALED = (
    "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg=="
)
NOW = datetime.fromtimestamp(1409659813, UTC)


def envelope(token: str = TOKEN, key: str = KEY, receiver: str = CORP) -> Envelope:
    return Envelope(token=token, encoding_aes_key=key, receiver=receiver)


def signed(ciphertext: str, **changes: str) -> dict[str, str]:
    given = {"timestamp": "1409659813", "nonce": "1372623149"} | changes
    signature = sign(TOKEN, given["timestamp"], given["nonce"], ciphertext)
    return {"msg_signature": signature} | given


def test_wecoms_sample_of_the_address_check_opens() -> None:
    now = datetime.fromtimestamp(1409659589, UTC)
    assert envelope().open(ECHO_QUERY, ECHO, now) == b"1616140317555161061"


def test_wecoms_sample_of_a_message_opens() -> None:
    fields = read_xml(envelope().open(MESSAGE_QUERY, MESSAGE, NOW))
    assert fields == {
        "ToUserName": CORP,
        "FromUserName": "mycreate",
        "CreateTime": "1409659813",
        "MsgType": "text",
        "Content": "hello",
        "MsgId": "4561255354251345929",
        "AgentID": "218",
    }


def test_wechats_sample_of_a_text_is_sealed_as_documented() -> None:
    ours = envelope("pamtest", APP_KEY, APP_ID)
    assert ours.close(APP_PLAIN.encode(), APP_RANDOM) == APP_SEALED


def test_every_changed_bit_of_a_signed_message_is_401(every_bit: Any) -> None:
    ours = envelope()
    for name, value in MESSAGE_QUERY.items():
        for changed in every_bit(value.encode()):
            query = MESSAGE_QUERY | {name: changed.decode("utf-8", "surrogateescape")}
            with pytest.raises(RequestError) as refused:
                ours.open(query, MESSAGE, NOW)
            assert refused.value.status == 401
    for changed in every_bit(MESSAGE.encode()):
        with pytest.raises(RequestError) as refused:
            ours.open(MESSAGE_QUERY, changed.decode("latin-1"), NOW)
        assert refused.value.status == 401


@pytest.mark.parametrize("off_s", [-301, 301, 86_400, -86_400])
def test_a_timestamp_five_minutes_off_is_401(off_s: int) -> None:
    now = datetime.fromtimestamp(1409659813 + off_s, UTC)
    with pytest.raises(RequestError) as refused:
        envelope().open(MESSAGE_QUERY, MESSAGE, now)
    assert (refused.value.status, refused.value.field) == (401, "timestamp")


@pytest.mark.parametrize("timestamp", ["", "-1", "１４", "1e9", "9" * 13, "soon"])
def test_a_timestamp_that_is_none_is_401(timestamp: str) -> None:
    sealed = envelope().close(b"hi")
    with pytest.raises(RequestError) as refused:
        envelope().open(signed(sealed, timestamp=timestamp), sealed, NOW)
    assert refused.value.status == 401


def test_another_receivers_message_is_401() -> None:
    with pytest.raises(RequestError) as refused:
        envelope(receiver=CORP[:-1]).open(MESSAGE_QUERY, MESSAGE, NOW)
    assert refused.value.status == 401


@pytest.mark.parametrize("key", ["", "a" * 42, "a" * 44, "a" * 42 + "!", "é" * 43])
def test_a_key_of_another_form_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="43"):
        envelope(key=key)


def test_the_signature_comes_first_and_what_follows_looks_the_same() -> None:
    """Signed or not, a broken ciphertext is one and the same refusal: no padding to probe."""
    key = base64.b64decode(KEY + "=")

    def seal(plain: bytes) -> str:
        encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
        return base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode()

    frame = b"r" * 16 + (5).to_bytes(4, "big") + b"hello" + CORP.encode()
    pad = 64 - len(frame)
    broken = [
        "",
        "no base64",
        base64.b64encode(b"x" * 15).decode(),
        seal(frame + b"\0" * pad),
        seal(frame + bytes([33]) * pad),
        seal(frame + bytes([pad]) * (pad - 1) + bytes([pad - 1])),
        seal(b"r" * 16 + (2**31).to_bytes(4, "big") + frame[20:] + bytes([pad]) * pad),
        seal(bytes([32]) * 32),
        seal(bytes([16]) * 16),
    ]
    messages = set()
    for ciphertext in broken:
        with pytest.raises(RequestError) as refused:
            envelope().open(signed(ciphertext), ciphertext, NOW)
        assert refused.value.status == 401
        messages.add(refused.value.message)
        with pytest.raises(RequestError) as refused:
            envelope().open(MESSAGE_QUERY, ciphertext, NOW)
        assert refused.value.field == "msg_signature"
    assert len(messages) == 1


@given(st.binary(max_size=300), st.text("abc123", min_size=1, max_size=20))
def test_what_is_closed_opens(message: bytes, receiver: str) -> None:
    ours = envelope(receiver=receiver)
    sealed = ours.close(message)
    assert len(base64.b64decode(sealed)) % 32 == 0
    assert ours.open(signed(sealed), sealed, NOW) == message


@given(st.binary(max_size=200))
def test_no_signed_ciphertext_does_worse_than_401(sealed: bytes) -> None:
    ciphertext = base64.b64encode(sealed).decode()
    with pytest.raises(RequestError) as refused:
        envelope().open(signed(ciphertext), ciphertext, NOW)
    assert refused.value.status == 401


@given(st.lists(st.text(max_size=10), min_size=3, max_size=3))
def test_the_plain_signature_takes_nothing_else(parts: list[str]) -> None:
    query = {"timestamp": "1409659813", "nonce": "1", "signature": "".join(parts)}
    with pytest.raises(RequestError):
        check(query, "signature", TOKEN, NOW)
    check(query | {"signature": sign(TOKEN, "1409659813", "1")}, "signature", TOKEN, NOW)


def test_an_answer_is_signed_and_opens() -> None:
    fields = read_xml(envelope().answer(b"<xml/>", NOW).encode())
    query = {
        "msg_signature": fields["MsgSignature"],
        "timestamp": fields["TimeStamp"],
        "nonce": fields["Nonce"],
    }
    assert envelope().open(query, fields["Encrypt"], NOW) == b"<xml/>"


xml_texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")
)


@given(st.dictionaries(st.from_regex("[A-Za-z]{1,10}", fullmatch=True), xml_texts, max_size=5))
def test_xml_is_read_as_it_was_written(fields: dict[str, str]) -> None:
    assert read_xml(write_xml(fields).encode()) == fields


def test_control_characters_do_not_break_the_xml() -> None:
    assert read_xml(write_xml({"a": "x\0\x0b]]>\ud800y"}).encode()) == {"a": "x]]>y"}


@given(st.binary(max_size=200) | st.text("<>&!x[]CDATA/ ", max_size=60).map(str.encode))
@settings(max_examples=300)
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    try:
        fields = read_xml(raw)
    except RequestError as error:
        status, fields = error.status, {}
    else:
        status = 400
    assert status == 400
    assert all(isinstance(value, str) for value in fields.values())


BOMB = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><a>&x;</a></xml>',
        f'<!DOCTYPE xml [<!ENTITY l0 "lol">{BOMB}]><xml><a>&l9;</a></xml>',
        '<!DOCTYPE xml SYSTEM "http://evil.example/a.dtd"><xml><a/></xml>',
        "<!DOCTYPE xml><xml><a/></xml>",
        "<xml><a>&undefined;</a></xml>",
        "<xml>" + "<a>" * 1000 + "</a>" * 1000 + "</xml>",
        "<xml>" + "<a/>" * 1000 + "</xml>",
        "<xml><a>1</a><a>2</a></xml>",
        "<xml><a>",
        "",
    ],
)
def test_document_types_entities_and_masses_are_refused(text: str) -> None:
    with pytest.raises(RequestError) as refused:
        read_xml(text.encode())
    assert refused.value.status == 400


def test_another_encoding_cannot_smuggle_a_document_type() -> None:
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE xml><xml><a/></xml>'
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        with pytest.raises(RequestError):
            read_xml(text.encode(encoding))
    declared = re.sub("utf-16", "utf-7", text).replace("<!DOCTYPE xml>", "")
    assert read_xml(declared.encode()) == {"a": ""}


def test_a_customer_may_write_of_document_types() -> None:
    said = '<!DOCTYPE html> & <!ENTITY x "y">'
    assert read_xml(write_xml({"Content": said}).encode()) == {"Content": said}
