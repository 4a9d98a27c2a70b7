"""What all executors do: events that stream from a thread, and the ways in which a cell's work can fail."""

import threading

import pytest

from toyflow.errors import ToyflowError
from toyflow.sweep.events import Event, Failed, Started
from toyflow.sweep.executors.base import attempt, streamed


def test_events_come_in_order_and_what_the_work_raises_comes_last():
    def work(send):
        send(Started("a"), Started("b"))
        send()
        raise KeyError("c")

    events = streamed(work)
    assert [next(events), next(events)] == [Started("a"), Started("b")]
    with pytest.raises(KeyError, match="c"):
        next(events)


def test_closing_the_stream_stops_the_work_where_it_next_sends_and_waits_for_that():
    ended, closing = threading.Event(), threading.Event()

    def work(send):
        try:
            send(Started("a"))
            closing.wait()
            while True:
                send()
        finally:
            ended.set()

    events = streamed(work)
    assert next(events) == Started("a")
    closing.set()
    events.close()
    assert ended.is_set()


@pytest.mark.parametrize(
    ("error", "message", "traced"),
    [
        (ToyflowError("the loss became NaN."), "the loss became NaN.", False),
        (
            OSError(28, "No space left on device", "out/cells/x"),
            "No space left on device (out/cells/x)",
            True,
        ),
        (OSError(28, "No space left on device"), "No space left on device (out)", True),
        (OSError("gone"), "gone (out)", True),
        (ValueError("odd"), "ValueError: odd", True),
    ],
)
def test_an_error_becomes_the_failure_of_its_cell(error, message, traced):
    def work():
        raise error

    sent: list[Event] = []
    attempt("key", "out", work, sent.append)
    [failed] = sent
    assert isinstance(failed, Failed) and failed.message == message
    assert bool(failed.traceback) == traced and ("in work" in (failed.traceback or "")) == traced


def test_without_anybody_to_tell_the_work_ends():
    def work():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        attempt("key", "out", work, lambda event: pytest.fail("nobody listens"))
