from nlu.recent import Recent


def test_the_least_recently_used_goes_first() -> None:
    recent: Recent[int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)


def test_a_size_of_zero_keeps_nothing() -> None:
    recent: Recent[int] = Recent(0)
    recent.put("a", 1)
    assert recent.get("a") is None


def test_clear_forgets() -> None:
    recent: Recent[int] = Recent(2)
    recent.put("a", 1)
    recent.clear()
    assert recent.get("a") is None
