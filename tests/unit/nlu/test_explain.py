from collections.abc import Sequence

from nlu.explain import explain
from nlu.understanding import Meaning


async def by_parcel(texts: Sequence[str]) -> list[Meaning]:
    """Sure of track_order when the text names a parcel."""
    meanings = []
    for text in texts:
        sure = 0.9 if "parcel" in text else 0.2
        ranking = sorted([("track_order", sure), ("greet", 1 - sure)], key=lambda pair: -pair[1])
        meanings.append(Meaning(intents=ranking, emotions=[], entities=[]))
    return meanings


async def test_a_word_weighs_what_the_intent_loses_without_it() -> None:
    reasons = await explain("where's my parcel?", by_parcel)
    assert reasons["intent"] == "track_order"
    assert [(w["text"], w["weight"]) for w in reasons["words"]] == [
        ("where's", 0.0),
        ("my", 0.0),
        ("parcel", 0.7),
    ]
    assert (reasons["words"][2]["start"], reasons["words"][2]["end"]) == (11, 17)


async def test_only_the_first_forty_words_are_tried() -> None:
    reasons = await explain("parcel " * 100, by_parcel)
    assert len(reasons["words"]) == 40


async def test_without_an_intent_head_there_is_nothing_to_explain() -> None:
    async def nothing(texts: Sequence[str]) -> list[Meaning]:
        return [Meaning(intents=[], emotions=[], entities=[]) for _ in texts]

    assert await explain("hello", nothing) == {"intent": None, "words": []}
