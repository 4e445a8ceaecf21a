import logging

import pytest

from nlu.errors import EngineFailed
from nlu.ladder import Ladder


def test_the_next_rung_answers_when_one_fails(make_engine, make_model) -> None:
    gpu, cpu = make_engine("cuda"), make_engine("cpu-int8")
    now = [0.0]
    ladder = Ladder([gpu, cpu], retry_s=30.0, clock=lambda: now[0])
    queries = [make_model().query("good day")]
    assert ladder.classify(queries)[1] is gpu
    gpu.broken = True
    assert ladder.classify(queries)[1] is cpu
    gpu.broken = False
    assert ladder.mode == "cpu-int8"  # the GPU rests
    now[0] = 31.0
    assert ladder.classify(queries)[1] is gpu


def test_when_all_fail_the_error_says_so(make_engine, make_model, caplog) -> None:
    engine = make_engine()
    engine.broken = True
    with caplog.at_level(logging.CRITICAL), pytest.raises(EngineFailed, match="driver is gone"):
        Ladder([engine]).embed([make_model().query("hello")])


def test_a_rung_that_cannot_do_the_work_does_not_rest(make_engine, make_model) -> None:
    class NoEmbeddings:
        mode = "lexical"
        calibration_prefix = "lexical."
        classify = make_engine().classify

        def embed(self, batch):
            raise EngineFailed("no embeddings")

    ladder = Ladder([NoEmbeddings()])
    queries = [make_model().query("hello")]
    with pytest.raises(EngineFailed, match="no embeddings"):
        ladder.embed(queries)
    assert ladder.classify(queries)[1].mode == "lexical"
