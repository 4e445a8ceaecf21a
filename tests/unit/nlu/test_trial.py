"""Which conversations fall to a trial, and the file that tells of it."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlu.bundle import BundleStore
from nlu.errors import BadTrial, BundleError, UnknownVersion
from nlu.trial import Trial, read_trial

MANIFEST = json.dumps(
    dict.fromkeys(("version", "created_at", "base_model", "embedder_id", "mode"), "x")
    | {"embedding_dim": 3, "max_tokens": 64, "seed": 1, "dataset_sha256": "0"}
    | {"format": 1, "parent": None, "files": {}}
)
SHARES = st.floats(0.01, 0.99)


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    for version in ("v1", "v2"):
        folder = tmp_path / "nlu" / version
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    store = BundleStore(tmp_path)
    store.activate("v1")
    return store


@settings(deadline=None)
@given(st.text(max_size=40), SHARES)
def test_a_conversation_falls_to_the_same_side_for_good(id_: str, share: float) -> None:
    trial = Trial(version="v2", share=share, salt="s")
    assert trial.covers(id_) is Trial(version="v2", share=share, salt="s").covers(id_)


@settings(deadline=None)
@given(st.text(max_size=40), SHARES, SHARES)
def test_a_larger_share_keeps_who_was_in_the_smaller(id_: str, a: float, b: float) -> None:
    small, large = (Trial(version="v2", share=s, salt="s") for s in sorted((a, b)))
    assert large.covers(id_) or not small.covers(id_)


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("form", ["{:016x}", "u{}", "{}-0000-000"])
def test_the_share_is_what_was_asked_for(share: float, form: str) -> None:
    trial = Trial(version="v2", share=share, salt="promotion-1")
    n = 20_000
    fallen = sum(trial.covers(form.format(number)) for number in range(n)) / n
    # Five standard deviations.
    assert fallen == pytest.approx(share, abs=5 * (share * (1 - share) / n) ** 0.5)


def test_another_salt_draws_others() -> None:
    first, second = (Trial(version="v2", share=0.5, salt=salt) for salt in ("a", "b"))
    same = sum(first.covers(str(n)) == second.covers(str(n)) for n in range(4_000))
    assert 1_800 < same < 2_200


def test_a_trial_is_read_as_it_was_written(store: BundleStore) -> None:
    trial = Trial(version="v2", share=0.1, salt="s")
    assert store.trial() is None
    store.try_out(trial)
    assert store.trial() == trial
    assert store.end_trial() is True
    assert (store.trial(), store.end_trial()) == (None, False)


def test_a_trial_of_nothing_is_refused(store: BundleStore) -> None:
    with pytest.raises(UnknownVersion):
        store.try_out(Trial(version="v9", share=0.1, salt="s"))
    assert store.trial() is None


def test_moving_the_pointer_ends_the_trial(store: BundleStore) -> None:
    store.try_out(Trial(version="v2", share=0.1, salt="s"))
    store.activate("v2")
    assert (store.current(), store.trial()) == ("v2", None)


def test_rolling_back_goes_to_what_was_replaced(store: BundleStore) -> None:
    for version in ("v0", "v3"):
        folder = store.root / version
        folder.mkdir()
        (folder / "manifest.json").write_text(MANIFEST)
    (store.root / "v1" / "manifest.json").write_text(MANIFEST)
    (store.root / "v2" / "manifest.json").write_text(MANIFEST)
    store.activate("v3")  # from v1, though v2 is the one before it in time
    store.activate("v3")
    assert store.roll_back() == "v1"
    # What it was rolled back from is not to come again: v1 is the first that anybody chose.
    assert store.roll_back() == "v0"
    with pytest.raises(BundleError, match="no earlier version"):
        store.roll_back()


def test_rolling_back_to_half_a_bundle_is_refused(store: BundleStore) -> None:
    cut = json.loads(MANIFEST) | {"files": {"labels.json": {"sha256": "0", "bytes": 3}}}
    (store.root / "v1" / "manifest.json").write_text(json.dumps(cut))
    store.activate("v2")
    with pytest.raises(BundleError, match=r"labels\.json is missing"):
        store.roll_back()
    (store.root / "v1" / "labels.json").write_text("{}")
    with pytest.raises(BundleError, match="has 2 bytes, not 3"):
        store.roll_back()
    assert store.current() == "v2"
    (store.root / "v1" / "labels.json").write_text("{ }")
    assert store.roll_back() == "v1"


def test_a_record_of_what_was_replaced_may_be_lost(store: BundleStore) -> None:
    (store.root / "v2" / "manifest.json").write_text(MANIFEST)
    (store.root / "v1" / "manifest.json").write_text(MANIFEST)
    store.activate("v2")
    for content in ("half a f", "[]"):
        (store.root / "replaced").write_text(content)
        assert store.previous() == "v1"  # the one before it in time


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ("", "file"),
        ("[1]", "version"),
        ('{"share": 0.1, "salt": "s"}', "version"),
        ('{"version": "v2", "salt": "s"}', "share"),
        ('{"version": "v2", "share": 1.0, "salt": "s"}', "share"),
        ('{"version": "v2", "share": 0, "salt": "s"}', "share"),
        ('{"version": "v2", "share": true, "salt": "s"}', "share"),
        ('{"version": "v2", "share": NaN, "salt": "s"}', "share"),
        ('{"version": "v2", "share": 0.1}', "salt"),
        ('{"version": "v2", "share": 0.1, "salt": ""}', "salt"),
    ],
)
def test_a_file_that_is_none_is_refused_by_field(raw: str, field: str) -> None:
    with pytest.raises(BadTrial) as refused:
        read_trial(raw)
    assert refused.value.field == field


@settings(deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(json.dumps).map(str.encode))
def test_any_bytes_in_the_file_are_no_trial_or_refused(raw: bytes) -> None:
    try:
        read_trial(raw.decode("utf-8", "replace"))
    except BadTrial:
        return
    pytest.fail("taken for a trial")
