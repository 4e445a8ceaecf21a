"""A store of answered questions that a random encoder can learn to tell apart."""

from collections.abc import Iterator

import pytest

from nlu.retriever_pairs import TaughtPair

_THINGS = ("order", "parcel", "shop", "day", "morning", "visa")
_DOINGS = ("track", "pay", "hate", "love")


def store_of(pairs: int) -> list[TaughtPair]:
    """Pairs of a thing and a doing: in every wording both words, among others that differ."""
    names = [(thing, doing) for thing in _THINGS for doing in _DOINGS]
    made = []
    for n in range(pairs):
        thing, doing = names[n % len(names)]
        made.append(
            TaughtPair(
                id=f"pair-{n:03}",
                group=thing,
                document=f"can i {doing} my {thing}\nyou can {doing} with {thing} {n}",
                wordings=(
                    f"can i {doing} my {thing}",
                    f"{doing} {thing} please",
                    f"where to {doing} this {thing}",
                    f"my {thing} when {doing}",
                    f"hello {thing} is late {doing}",
                ),
            )
        )
    return made


@pytest.fixture(autouse=True, scope="module")
def full_precision() -> Iterator[None]:
    """float32: preparing bfloat16 for a new shape takes longer than these models do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nlu.device.cpu_has_bf16", lambda: False)
        yield
