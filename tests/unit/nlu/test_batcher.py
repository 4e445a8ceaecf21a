import asyncio

import pytest

from nlu.batcher import Batcher, Work
from nlu.errors import EngineFailed, Overloaded

WORK = Work(name="classify", run=lambda model, batch: model.ladder.classify(batch)[0]["intent"])


@pytest.fixture
def batcher():
    batcher = Batcher(batch_tokens=256, queue_tokens=100)
    batcher.start()
    yield batcher
    batcher.stop()


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_what_is_queued_while_the_model_works_becomes_one_batch(
    batcher, make_engine, make_model
) -> None:
    engine = make_engine()
    model = make_model(engine)
    engine.gate.clear()
    first = asyncio.create_task(batcher.submit(WORK, model, [model.query("hello")]))
    await until(lambda: engine.batches)
    later = [
        asyncio.create_task(batcher.submit(WORK, model, [model.query(text)]))
        for text in ("good day", "hi there you", "hi")
    ]
    await until(lambda: batcher.waiting_tokens > 10)
    engine.gate.set()
    answers = await asyncio.gather(first, *later)
    assert engine.batches == [["hello"], ["hi", "good day", "hi there you"]]  # by length
    assert [len(answer) for answer in answers] == [1, 1, 1, 1]
    assert answers[1][0].result.argmax() == 0  # good day: each gets its own result
    assert answers[2][0].result.argmax() == 1
    await until(lambda: batcher.waiting_tokens == 0)


async def test_too_many_waiting_tokens_are_refused(batcher, make_engine, make_model) -> None:
    engine = make_engine()
    model = make_model(engine)
    engine.gate.clear()
    query = model.query("hello " * 58)  # 60 tokens
    first = asyncio.create_task(batcher.submit(WORK, model, [query]))
    await until(lambda: batcher.waiting_tokens == 60)
    with pytest.raises(Overloaded) as caught:
        await batcher.submit(WORK, model, [query])
    assert caught.value.retry_after_s >= 1
    engine.gate.set()
    await first


async def test_a_failing_model_fails_its_batch_and_nothing_else(
    batcher, make_engine, make_model, caplog
) -> None:
    engine = make_engine()
    model = make_model(engine)
    engine.broken = True
    with pytest.raises(EngineFailed):
        await batcher.submit(WORK, model, [model.query("hello")])
    engine.broken = False
    assert await batcher.submit(WORK, model, [model.query("hello")])


async def test_stop_answers_what_is_queued(make_engine, make_model) -> None:
    batcher = Batcher(batch_tokens=256, queue_tokens=100)
    batcher.start()
    engine = make_engine()
    model = make_model(engine)
    engine.gate.clear()
    waiting = asyncio.create_task(batcher.submit(WORK, model, [model.query("hello")]))
    await until(lambda: engine.batches)
    stopping = asyncio.create_task(asyncio.to_thread(batcher.stop))
    engine.gate.set()
    assert len(await waiting) == 1
    await stopping
