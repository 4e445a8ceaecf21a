import pytest

from nlu.bodies import read_flag, read_object, read_text, read_texts
from nlu.errors import BadRequest


@pytest.mark.parametrize("raw", [b"", b"x", b"\xff", b"[1]", b"3", b"[" * 100_000])
def test_only_json_objects_are_bodies(raw: bytes) -> None:
    with pytest.raises(BadRequest, match="body"):
        read_object(raw)


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (None, 400, "string"),
        (7, 400, "string"),
        ("", 400, "empty"),
        (" \n\t", 400, "empty"),
        ("a" * 11, 413, "at most 10"),
        ("a\0b", 400, "NUL"),
        ("a\ud800", 400, "surrogate"),
    ],
)
def test_bad_texts_name_the_field_and_the_remedy(text: object, status: int, words: str) -> None:
    with pytest.raises(BadRequest, match=words) as caught:
        read_text({"text": text}, 10)
    assert (caught.value.field, caught.value.status) == ("text", status)


def test_a_missing_text_is_said() -> None:
    with pytest.raises(BadRequest, match="text: missing"):
        read_text({}, 10)


def test_texts_name_the_bad_one() -> None:
    assert read_texts({"texts": ["a", "b"]}, 10) == ["a", "b"]
    with pytest.raises(BadRequest, match=r"texts\[1\]"):
        read_texts({"texts": ["a", 3]}, 10)
    with pytest.raises(BadRequest, match="too many"):
        read_texts({"texts": ["a"] * 513}, 10)
    with pytest.raises(BadRequest, match="list of strings"):
        read_texts({"texts": "a"}, 10)


def test_flags_are_booleans() -> None:
    assert read_flag({"literal": True}, "literal")
    assert not read_flag({}, "literal")
    with pytest.raises(BadRequest, match="literal"):
        read_flag({"literal": "yes"}, "literal")
