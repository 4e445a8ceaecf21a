"""Personal data leaves a text; orders, dates and amounts stay."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.redaction import Redactor

redactor = Redactor(keep=["020 7946 0311", "help@harbourandpine.example"])


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("write to jo.smith+x@mail.example, please", "write to <email>, please"),
        ("it is jo @ mail.example", "it is <email>"),
        ("call 020 7946 0312 or 07700 900123", "call <phone> or <phone>"),
        ("+44 7911 123456", "<phone>"),
        ("my number is (415) 555-2671", "my number is <phone>"),
        ("13812345678 是我的", "<phone> 是我的"),
        ("\uff10\uff17\uff19\uff11\uff11\uff11\uff12\uff13\uff14\uff15\uff16", "<phone>"),
        ("card 4111 1111 1111 1111 exp 12/28", "card <card> exp 12/28"),
        ("card 4111-1111-1111-1111", "card <card>"),
        ("iban GB82 WEST 1234 5698 7654 32 thanks a lot", "iban <bank_account> thanks a lot"),
        ("de89370400440532013000", "<bank_account>"),
        ("SSN 536-90-4399", "SSN <id_number>"),
        ("NI number AB123456C", "NI number <id_number>"),
        ("ni AB 12 34 56 C ok", "ni <id_number> ok"),
        ("NHS 943 476 5870", "NHS <id_number>"),
        ("身份证 360426199101010071", "身份证 <id_number>"),
        ("dni 54362315K", "dni <id_number>"),
        ("nie X2482300W", "nie <id_number>"),
        ("codice RCCMNL83S18D969H", "codice <id_number>"),
    ],
)
def test_personal_data_is_replaced_by_its_kind(text: str, redacted: str) -> None:
    assert redactor.redact(text).text == redacted


@pytest.mark.parametrize(
    "text",
    [
        "where is HP-482913",
        "hp482913, #482913 and order 482913",
        "orders 482913 482914",
        "orders 482913, 482914, 482915",
        "my 482913 a bit late",
        "ordered on 12/05/2024 at 10:30",
        "since 2024-05-12",
        "it was £1,234.50, not £999.99",
        "12 Quay Street, BS1 4DJ",
        "tracking 15501234567890",
        "call 020 7946 0311 or help@harbourandpine.example",
        "see you @ 8",
        "card 4111 1111 1111 1112",
    ],
)
def test_what_is_not_personal_stays(text: str) -> None:
    assert redactor.redact(text).text == text


def test_offsets_move_with_the_text() -> None:
    text = "mail jo@mail.example about HP-482913 or 07911 123456 now"
    redacted = redactor.redact(text)
    for word, after in (
        ("mail", "mail"),
        ("jo@mail.example", "<email>"),
        ("HP-482913", "HP-482913"),
        ("07911 123456", "<phone>"),
        ("now", "now"),
        # A span that cuts into what is redacted covers all of it.
        ("07911", "<phone>"),
        ("123456 now", "<phone> now"),
        ("mail.example about", "<email> about"),
    ):
        begin = text.rindex(word) if word != "mail" else 0
        start, end = redacted.place(begin, begin + len(word))
        assert redacted.text[start:end] == after


def test_values_inside_json_are_redacted() -> None:
    value = {"text": "jo@mail.example", "list": ["07911 123456", 7, None]}
    assert redactor.redact_value(value) == {"text": "<email>", "list": ["<phone>", 7, None]}


@given(st.text(alphabet=st.sampled_from("0123456789 -+()@.aGB/\uff11")))
def test_offsets_never_leave_the_text(text: str) -> None:
    redacted = redactor.redact(text)
    for start in range(len(text)):
        begin, end = redacted.place(start, start + 1)
        assert 0 <= begin < end <= len(redacted.text)


@given(st.text())
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redactor.redact(text).text
    assert redactor.redact(once).text == once


@pytest.mark.parametrize("piece", ["1 ", "1", "12345678901 ", "@", "a@", "GB82 ", "(1)", "a.b@c."])
def test_a_hostile_text_costs_little(piece: str) -> None:
    text = (piece * 4000)[:4000]
    redactor.redact(text)
    started_s = time.process_time()
    redactor.redact(text)
    assert time.process_time() - started_s < 0.5
