from pathlib import Path

from nlu.examples import Example
from nlu.seen import read_seen, told_apart, write_seen

OLD = [Example(text="hello", intent="greet"), Example(text="bye", intent="leave")]


def test_what_a_model_was_trained_on_is_known_and_the_rest_is_new(tmp_path: Path) -> None:
    write_seen(tmp_path, OLD)
    more = Example(text="good day", intent="greet")
    assert told_apart([*OLD, more], read_seen(tmp_path)) == ([more], OLD)


def test_a_text_with_another_label_is_new(tmp_path: Path) -> None:
    write_seen(tmp_path, OLD)
    changed = Example(text="bye", intent="close_account")
    assert told_apart([changed], read_seen(tmp_path)) == ([changed], [])


def test_a_weight_makes_nothing_new(tmp_path: Path) -> None:
    write_seen(tmp_path, OLD)
    lighter = Example(text="bye", intent="leave", weight=0.5)
    assert told_apart([lighter], read_seen(tmp_path)) == ([], [lighter])


def test_to_a_bundle_without_fingerprints_everything_is_new(tmp_path: Path) -> None:
    assert told_apart(OLD, read_seen(tmp_path)) == (OLD, [])
