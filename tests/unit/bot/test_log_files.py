"""What leads to a customer is overwritten in log files, in place."""

from pathlib import Path

import pytest

from bot.privacy.log_files import Traces, log_files, overwrite

ID = "18fa3b2c4d5e6f708192a3b4c5d6"
OTHER = "28fa3b2c4d5e6f708192a3b4c5d6"


def test_ids_names_and_texts_are_overwritten_and_the_rest_stays(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    log.write_text(f"a {ID} b {OTHER} c +447700900123 d hi e quetzalcoatlus speaks f\n")
    size = log.stat().st_size
    traces = Traces(
        ids=frozenset({ID, "odd-id-1"}),
        names=["+447700900123", "hi"],
        texts=["quetzalcoatlus speaks", "a"],
    )
    assert overwrite([log], traces).found == 3
    left = log.read_text()
    assert left == f"a {'*' * 28} b {OTHER} c {'*' * 13} d hi e {'*' * 21} f\n"
    assert log.stat().st_size == size
    assert overwrite([log], traces).found == 0


@pytest.mark.parametrize("shift", range(0, 60, 7))
def test_a_trace_across_two_readings_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shift: int
) -> None:
    monkeypatch.setattr("bot.privacy.log_files.CHUNK_BYTES", 64)
    log = tmp_path / "gateway.log"
    log.write_bytes(b"x" * shift + ID.encode() + b"-" * 40 + b"+447700900123" + b"y" * 100)
    traces = Traces(ids=frozenset({ID}), names=["+447700900123"])
    assert overwrite([log], traces).found == 2
    assert ID.encode() not in log.read_bytes()
    assert b"+447700900123" not in log.read_bytes()


def test_older_logs_are_looked_at_and_links_are_not(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    for name in ("logs/gateway.log", "logs/gateway.log.1", "kefu.log", "notes.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "logs" / "link.log").symlink_to(tmp_path / "notes.txt")
    names = [path.name for path in log_files(tmp_path)]
    assert sorted(names) == ["gateway.log", "gateway.log.1", "kefu.log"]
