"""The codec: what goes in comes out, and garbage is one clean error, without memory for it."""

import struct
import tracemalloc
from contextlib import suppress

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from toyflow.robot.runtime.serving.faults import FrameFault
from toyflow.robot.runtime.serving.protocol import CONTAINERS, DIMENSIONS, ITEMS, pack, unpack

DTYPES = ["|b1", "|u1", "|i1", "<u2", ">i2", "<i4", "<u8", "<f2", "<f4", ">f4", "<f8"]
ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=DIMENSIONS, min_side=0, max_side=5))
)
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text()
MESSAGES = st.dictionaries(st.text(), PLAIN | ARRAYS | st.lists(PLAIN, max_size=4), max_size=8)


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return type(a) is type(b) and a == b


@given(MESSAGES)
def test_what_is_packed_is_unpacked(message):
    back = unpack(pack(message))
    assert list(back) == list(message)
    assert all(same(back[key], message[key]) for key in message)


@given(st.binary(max_size=400))
def test_garbage_is_one_kind_of_error(frame):
    try:
        assert isinstance(unpack(frame), dict)
    except FrameFault as fault:
        assert str(fault) and "\n" not in str(fault)


@given(MESSAGES.filter(bool), st.data())
def test_damaged_frames_are_one_kind_of_error(message, data):
    frame = bytearray(pack(message))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(frame)))
    try:
        unpack(bytes(frame[:end]))
    except FrameFault as fault:
        assert "\n" not in str(fault)


ODD = st.integers(-1, 2**63) | st.text(max_size=5) | st.none() | st.binary(max_size=9) | st.floats()
SHAPES = st.lists(st.integers(-1, 5) | st.sampled_from([2**31, 2**62, 2**63]) | ODD, max_size=6) | ODD
FORGED = st.fixed_dictionaries(
    {},
    optional={
        b"__ndarray__": ODD, b"__npgeneric__": ODD, b"data": st.binary(max_size=64) | ODD,
        b"dtype": st.sampled_from([*DTYPES, "|O", "<U4", "f4,f4", "<M8[s]", ">V8", "f4" * 99]) | ODD,
        b"shape": SHAPES,
    },
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=5), FORGED | st.lists(FORGED, max_size=3), max_size=4))
def test_forged_arrays_are_arrays_of_their_bytes_or_refused(message):
    frame = msgpack.Packer().pack(message)
    tracemalloc.start()
    try:
        back = unpack(frame)
    except FrameFault as fault:
        assert "\n" not in str(fault)
    else:
        found = [value for value in back.values() if isinstance(value, np.ndarray)]
        assert sum(array.nbytes for array in found) <= len(frame)
        assert all(array.dtype.kind in "biuf" and array.ndim <= DIMENSIONS for array in found)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@given(st.lists(st.sampled_from(list(range(256))), max_size=60).map(bytes), st.integers(1, 2000))
def test_what_is_repeated_takes_no_memory(pattern, times):
    frame = b"\x81\xa1a" + pattern * times
    tracemalloc.start()
    with suppress(FrameFault):
        unpack(frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (4 << 20) + 2 * len(frame)


def array(**entries: object) -> bytes:
    values = {"__ndarray__": True, "data": b"\0" * 8, "dtype": "<f4", "shape": [2], **entries}
    return msgpack.Packer().pack({"a": {key.encode(): value for key, value in values.items()}})


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"dtype": "|O"}, "dtype"),
        ({"dtype": "<U2"}, "dtype"),
        ({"dtype": "f4,f4"}, "dtype"),
        ({"dtype": "|V8"}, "dtype"),
        ({"dtype": "<c8"}, "dtype"),
        ({"dtype": "<M8[s]"}, "dtype"),
        ({"dtype": ["<f4"]}, "dtype"),
        ({"shape": [3]}, "8 bytes"),
        ({"shape": [-2]}, "whole numbers"),
        ({"shape": [2.0]}, "whole numbers"),
        ({"shape": [True, 2]}, "whole numbers"),
        ({"shape": 2}, "whole numbers"),
        ({"shape": [2, 1, 1, 1, 1]}, "dimensions"),
        ({"shape": [0, 2**62, 2**62], "data": b""}, "msgpack"),
        ({"shape": [2**62, 2**62]}, "8 bytes"),
        ({"data": "text"}, "str"),
        ({"data": None}, "NoneType"),
    ],
)
def test_arrays_that_are_none(entries, said):
    with pytest.raises(FrameFault, match=said):
        unpack(array(**entries))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (b"", "incomplete|msgpack"),
        (msgpack.packb([1, 2]), "list"),
        (msgpack.packb({1: 2}), "int"),
        (msgpack.packb({b"key": 2}), "texts"),
        (msgpack.packb({"a": list(range(ITEMS + 1))}), str(ITEMS)),
        (msgpack.packb({"a": [[]] * (ITEMS - 1), "b": [[]] * 9}), str(CONTAINERS)),
        (msgpack.packb({"a": msgpack.ExtType(5, b"code")}), "ext"),
        (msgpack.packb({"a": "x" * 20_000}), "str"),
        (b"\x81\xa1a" + b"\x91" * 100_000, "msgpack"),
        (pack({}) * 2, "extra"),
        (pack({"a": np.asarray("x" * 9000)}), "16384 bytes"),
        (array(dtype="<U2", shape=[], data=b"\xff" * 8), "cannot be decoded"),
        (array(dtype="|S8", shape=[], data=b"\xff" * 8), "cannot be decoded"),
        (array(dtype="<U3", shape=[]), "8 bytes"),
    ],
)
def test_frames_that_are_none(frame, said):
    with pytest.raises(FrameFault, match=said):
        unpack(frame)


@pytest.mark.parametrize(
    "head",
    [
        b"\x81\xa1a\xdd" + struct.pack(">I", 2**31),  # a list of 2^31
        b"\xdf" + struct.pack(">I", 2**31),  # a map
        b"\x81\xa1a\xc6" + struct.pack(">I", 2**31),  # bytes
        b"\x81\xa1a\xdb" + struct.pack(">I", 2**31),  # text
        b"\x81\xa1a" + (b"\xdd" + struct.pack(">I", ITEMS)) * 500,  # lists in lists, all of them promised
        b"\x81\xa1a" + (b"\xdc\x01\x00" + b"\x80" * 200) * 1000,  # 200 bytes that become 13 kB each
    ],
)
def test_what_a_frame_promises_is_not_allocated(head):
    tracemalloc.start()
    with pytest.raises(FrameFault):
        unpack(head)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_an_array_of_one_text_is_that_text():
    texts = {"a": np.asarray("tüte"), "b": np.array([b"bag"]), "c": np.asarray(""), "d": np.asarray(b"")}
    assert unpack(pack(texts)) == {"a": "tüte", "b": "bag", "c": "", "d": ""}
    with pytest.raises(FrameFault, match="dtype"):
        unpack(pack({"a": np.array(["x", "y"])}))


def test_numpy_scalars_become_numbers_and_nothing_else_is_sent():
    assert unpack(pack({"a": np.float32(0.5), "b": np.bool_(True)})) == {"a": 0.5, "b": True}
    with pytest.raises(TypeError):
        pack({"a": object()})
    with pytest.raises(FrameFault, match="number"):
        unpack(msgpack.Packer().pack({"a": {b"__npgeneric__": True, b"dtype": "<f4", b"data": "x"}}))
