import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junk import parsed

from toyflow.errors import UsageError
from toyflow.robot.interface import Observation
from toyflow.robot.runtime.control.log import Digests, RunLog, read_log


@pytest.fixture
def written(tmp_path):
    with RunLog(tmp_path / "runs" / "a.jsonl") as log:
        log.write("run", robot="fake", text='a "crc":"tricky" one')
        for step in range(4):
            log.write("step", step=step, asked=np.array([0.1, np.nan], np.float32), changes=())
    return log.path


def test_what_is_written_is_read(written):
    recording = read_log(written)
    assert recording.damage is None and recording.header["text"] == 'a "crc":"tricky" one'
    assert [line["step"] for line in recording.of("step")] == [0, 1, 2, 3]
    assert recording.lines[1]["asked"] == [float(np.float32(0.1)), None]


def test_every_line_is_there_as_soon_as_it_is_written(tmp_path):
    with RunLog(tmp_path / "a.jsonl") as log:
        log.write("run")
        assert len(read_log(log.path).lines) == 1


@pytest.mark.parametrize("what", ["cut", "altered", "missing"])
def test_damage_is_found_and_what_is_before_it_read(written, what):
    lines = written.read_bytes().splitlines(keepends=True)
    if what == "cut":
        lines[3] = lines[3][:20]
        lines = lines[:4]
    elif what == "altered":
        lines[3] = lines[3].replace(b'"step":2', b'"step":7')
    else:
        del lines[3]
    written.write_bytes(b"".join(lines))
    recording = read_log(written)
    assert len(recording.lines) == 3
    assert recording.damage == "line 4 is damaged or cut short; what follows is not read"


def test_a_log_is_never_written_over(written):
    with pytest.raises(UsageError, match="exists; a log is never written over"):
        RunLog(written)


def test_what_is_no_log_is_said(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_log(tmp_path / "none")
    (tmp_path / "other").write_text("hello\n")
    with pytest.raises(UsageError, match="no log of `toyflow robot-run`"):
        read_log(tmp_path / "other")


def test_digests_tell_parts_of_observations_apart():
    image = np.zeros((4, 4, 3), np.uint8)
    other = image.copy()
    other[2, 1, 0] = 1
    first, *others = [
        Digests.of(Observation({"a": image, "b": image}, np.zeros(2, np.float32), "")),
        Digests.of(Observation({"a": other, "b": image}, np.zeros(2, np.float32), "")),
        Digests.of(Observation({"a": image, "b": image}, np.array([0, 1e-9], np.float32), "x")),
        Digests.of(Observation({}, np.zeros(2, np.float32), "")),
    ]
    same = [
        (first.cameras["a"] == each.cameras.get("a"), first.cameras["b"] == each.cameras.get("b"))
        for each in others
    ]
    assert same == [(False, True), (True, True), (False, False)]
    assert [first.state == each.state for each in others] == [True, False, True]
    assert first.telling == first.cameras and others[2].telling == {"state": first.state}


@given(data=st.data())
def test_whatever_byte_is_altered_or_missing_only_what_was_written_is_read(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("log")
    with RunLog(folder / "a.jsonl") as log:
        log.write("run", robot="fake")
        for step in range(5):
            log.write("step", step=step, asked=np.array([0.1 * step]))
    whole = read_log(log.path).lines
    content = bytearray(log.path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(0, 255))
    log.path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    recording = parsed(lambda: read_log(log.path))
    assert recording is None or recording.lines == whole[: len(recording.lines)]
