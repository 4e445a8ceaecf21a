"""Words as a search compares them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.log.search_terms import LONGEST_WORD, MOST_TERMS, Term, matches, terms_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Where's MY order, HP-482913?", ["where", "s", "my", "order", "hp", "482913"]),
        ("一个 ＡＢＣ", ["一个", "个", "abc"]),
        ("我要退款", ["我要", "要退", "退款", "款"]),
        ("iPhone坏了ok", ["iphone", "坏了", "了", "ok"]),
        ("Grüße aus Köln", ["grüsse", "aus", "köln"]),
        ("snake_case <email> 👋", ["snake", "case", "email"]),
        ("", []),
    ],
)
def test_a_text_is_cut_into_words(text: str, words: list[str]) -> None:
    assert words_of([text]) == words


def test_a_word_is_kept_once_and_cut_where_it_is_endless() -> None:
    assert words_of(["a b", "b a", None]) == ["a", "b"]
    assert words_of(["x" * 1000]) == ["x" * LONGEST_WORD]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("退款", True),
        ("要退款", True),
        ("我要", True),
        ("款", True),
        ("退", True),
        ("退货", False),
        ("款退", False),
        ("ORDER 退款", True),
        ("ord*", True),
        ("ord", False),
        ("or*", False),
        ("refund", False),
    ],
)
def test_a_query_finds_a_text_with_all_its_words(query: str, found: bool) -> None:
    assert matches(terms_of(query), words_of(["我要退款 order"])) is found


def test_a_star_counts_at_the_end_of_a_word_that_is_long_enough() -> None:
    assert terms_of("ref* re* *fund") == (
        Term("ref", starts=True),
        Term("re"),
        Term("fund"),
    )


def test_a_query_has_so_many_words_and_no_more() -> None:
    assert len(terms_of(" ".join(f"w{number}" for number in range(50)))) == MOST_TERMS


@given(st.text(max_size=40))
def test_any_text_is_found_by_itself(text: str) -> None:
    terms = terms_of(text.replace("*", " "))
    assert matches(terms, words_of([text]))


@given(st.text(max_size=40))
def test_words_need_no_quoting_in_any_database(text: str) -> None:
    for word in [*words_of([text]), *(term.word for term in terms_of(text))]:
        assert word.isalnum()
