"""Texts for platforms that show little: numbered buttons, addresses, and cuts that lose nothing."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.channel import Outgoing
from bot.channels.text_fallback import as_text, split_text, utf16_length

FAMILY = "👩‍👩‍👧‍👦"


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_buttons_become_numbered_lines(outgoing: Callable[..., Outgoing]) -> None:
    message = outgoing(
        text="Which one?",
        buttons=[
            {"title": "Track", "payload": "/track"},
            {"title": "Cancel", "payload": "/cancel"},
        ],
    )
    assert as_text(message) == "Which one?\n\n1. Track\n2. Cancel"


def test_images_and_files_become_addresses(outgoing: Callable[..., Outgoing]) -> None:
    message = outgoing(
        text="Here.",
        image="https://shop.example/a.png",
        attachments=[
            {"kind": "file", "name": "invoice.pdf", "url": "https://kefu.example/f/1"},
            {"kind": "file", "name": "private.pdf", "url": "/api/v1/files/2"},
        ],
    )
    assert as_text(message) == (
        "Here.\n\nhttps://shop.example/a.png\ninvoice.pdf: https://kefu.example/f/1\nprivate.pdf"
    )


def test_a_message_of_buttons_only_is_their_lines(outgoing: Callable[..., Outgoing]) -> None:
    assert as_text(outgoing(buttons=[{"title": "Yes", "payload": "/y"}])) == "1. Yes"
    assert as_text(outgoing()) == ""


@pytest.mark.parametrize(
    ("text", "limit", "pieces"),
    [
        ("short", 10, ["short"]),
        ("", 10, []),
        ("One two.\n\nThree four five.", 20, ["One two.", "Three four five."]),
        ("First line\nsecond line", 15, ["First line", "second line"]),
        ("It is here. It was there.", 14, ["It is here.", "It was there."]),
        ("你好。我们很高兴。再见", 7, ["你好。", "我们很高兴。", "再见"]),
        ("aaaa bbbb cccc", 9, ["aaaa bbbb", "cccc"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        # Better a word's end far back than through a word.
        ("a bbbbbbbbbb", 10, ["a", "bbbbbbbbbb"]),
    ],
)
def test_cuts_where_a_reader_would(text: str, limit: int, pieces: list[str]) -> None:
    assert split_text(text, limit) == pieces


@pytest.mark.parametrize(
    "character",
    [FAMILY, "é", "👍🏽", "🇳🇴", "각", "\r\n", "ก็"],
    ids=["family", "accent", "skin tone", "flag", "hangul", "line end", "thai"],
)
def test_never_cuts_through_a_character(character: str) -> None:
    for before in range(12):
        text = "x" * before + character * 6 + "yz"
        pieces = split_text(text, 12)
        assert squeezed("".join(pieces)) == squeezed(text)
        for piece in pieces:
            assert len(piece) <= 12
            whole = piece.replace(character, "").strip("xyz\r\n")
            assert whole == "", f"{piece!r} holds a part of {character!r}"


def test_a_character_longer_than_the_limit_is_cut_all_the_same() -> None:
    text = "e" + "\u0301" * 30
    assert "".join(split_text(text, 10)) == text


def test_the_limit_can_be_in_other_units() -> None:
    text = "👍" * 10
    pieces = split_text(text, 6, utf16_length)
    assert pieces == ["👍👍👍", "👍👍👍", "👍👍👍", "👍"]
    pieces = split_text("你好吗我很好", 7, lambda part: len(part.encode()))
    assert pieces == ["你好", "吗我", "很好"]


@given(st.text(max_size=300), st.integers(1, 60))
def test_nothing_but_white_space_is_lost(text: str, limit: int) -> None:
    pieces = split_text(text, limit)
    assert squeezed("".join(pieces)) == squeezed(text)
    assert all(len(piece) <= limit and piece.strip() for piece in pieces)


@given(st.text(max_size=200), st.integers(2, 60))
def test_nor_when_counted_in_utf16(text: str, limit: int) -> None:
    pieces = split_text(text, limit, utf16_length)
    assert squeezed("".join(pieces)) == squeezed(text)
    assert all(utf16_length(piece) <= limit for piece in pieces)
