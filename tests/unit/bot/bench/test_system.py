"""What a benchmark starts is stopped when the benchmark is."""

import signal
import subprocess
import sys

from bot.bench.system import ended_by_sigterm

BENCHMARK = """
import time
from bot.bench.system import ended_by_sigterm
with ended_by_sigterm():
    try:
        print("started", flush=True)
        time.sleep(60)
    finally:
        print("stopped", flush=True)
"""


def test_a_sigterm_lets_a_benchmark_stop_what_it_started() -> None:
    with subprocess.Popen([sys.executable, "-c", BENCHMARK], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"started\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == b"stopped\n"
    assert process.returncode == 128 + signal.SIGTERM


def test_afterwards_a_sigterm_is_what_it_was() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with ended_by_sigterm():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
