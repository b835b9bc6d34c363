"""Framing: any split of the stream gives the same frames, garbage ends it, memory is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.wire.iso8583.errors import Frame, FramingError
from processing.wire.iso8583.framing import (
    FRAME_MAX_BYTES,
    FRAME_MIN_BYTES,
    FrameReader,
    Framing,
    LengthForm,
)

FRAMINGS = [Framing(length, tpdu) for length in LengthForm for tpdu in (False, True)]
TPDU = bytes.fromhex("6000010203")
EACH = pytest.mark.parametrize(
    "framing", FRAMINGS, ids=lambda framing: f"{framing.length.value}, tpdu {framing.tpdu}"
)


def _tpdu(framing: Framing) -> bytes:
    return TPDU if framing.tpdu else b""


@EACH
def test_split_at_every_byte(framing: Framing) -> None:
    messages = [b"0800" + b"A" * 16, b"0200" + bytes(range(256))]
    stream = b"".join(framing.wrap(message, _tpdu(framing)) for message in messages)
    frames = [Frame(message, _tpdu(framing)) for message in messages]
    assert FrameReader(framing).feed(stream) == frames
    for cut in range(len(stream) + 1):
        reader = FrameReader(framing)
        assert reader.feed(stream[:cut]) + reader.feed(stream[cut:]) == frames
        assert reader.pending_bytes == 0
    reader = FrameReader(framing)
    single = [frame for at in range(len(stream)) for frame in reader.feed(stream[at : at + 1])]
    assert single == frames


@given(
    st.sampled_from(FRAMINGS),
    st.lists(st.binary(min_size=FRAME_MIN_BYTES, max_size=200), max_size=5),
    st.data(),
)
def test_any_split(framing: Framing, messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(framing.wrap(message, _tpdu(framing)) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = FrameReader(framing)
    frames = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        frames += reader.feed(stream[start:end])
    assert [frame.message for frame in frames] == messages


def test_lengths_on_the_wire() -> None:
    message = b"0800" + b"0" * 16
    assert Framing().wrap(message) == b"\x00\x14" + message
    assert Framing(LengthForm.ASCII_4).wrap(message) == b"0020" + message
    assert Framing(tpdu=True).wrap(message, TPDU) == b"\x00\x19" + TPDU + message


def test_answer_swaps_the_addresses() -> None:
    assert Frame(b"", TPDU).answer_tpdu == bytes.fromhex("6002030001")
    assert Frame(b"").answer_tpdu == b""


BINARY, ASCII = Framing(), Framing(LengthForm.ASCII_4)
SOUND = BINARY.wrap(b"0800" + b"0" * 16)
GARBAGE: list[tuple[str, Framing, bytes, str]] = [
    ("empty frame", BINARY, b"\0\0", "found 0"),
    ("shorter than a message", BINARY, b"\0\x13", "found 19"),
    ("over the maximum", BINARY, (FRAME_MAX_BYTES + 1).to_bytes(2), "found 4097"),
    ("HTTP", BINARY, b"GET / HTTP/1.1", "found 18245"),
    ("TLS", BINARY, b"\x16\x03\x01\x02\x00", "found 5635"),
    ("letters for digits", ASCII, b"00A0", "00A0"),
    ("minus", ASCII, b"-020", "-020"),
    ("Arabic-Indic digits", ASCII, "٠٢".encode(), "xd9"),
    ("digits over the maximum", ASCII, b"9999", "found 9999"),
    ("no room beside the TPDU", Framing(tpdu=True), b"\0\x18", "found 24"),
    ("another TPDU", Framing(tpdu=True), b"\0\x19" + bytes(25), "found 00"),
]


@pytest.mark.parametrize(
    ("framing", "stream", "found"), [row[1:] for row in GARBAGE], ids=[row[0] for row in GARBAGE]
)
def test_garbage_loses_the_stream(framing: Framing, stream: bytes, found: str) -> None:
    reader = FrameReader(framing)
    with pytest.raises(FramingError, match=found):
        reader.feed(stream)
    with pytest.raises(FramingError, match=found):
        reader.feed(SOUND)
    assert reader.pending_bytes == 0


def test_sound_frames_before_garbage_are_kept() -> None:
    with pytest.raises(FramingError) as caught:
        FrameReader(BINARY).feed(SOUND + SOUND + b"\xff\xff")
    assert [frame.message for frame in caught.value.frames] == [SOUND[2:]] * 2


@pytest.mark.parametrize("size", [FRAME_MIN_BYTES - 1, FRAME_MAX_BYTES + 1])
def test_what_would_be_refused_is_not_wrapped(size: int) -> None:
    with pytest.raises(FramingError, match=str(size)):
        BINARY.wrap(bytes(size))


@pytest.mark.parametrize(("framing", "tpdu"), [(BINARY, TPDU), (Framing(tpdu=True), b"")])
def test_tpdu_belongs_to_the_port(framing: Framing, tpdu: bytes) -> None:
    with pytest.raises(FramingError, match="bytes of TPDU"):
        framing.wrap(bytes(20), tpdu)


@given(st.sampled_from(FRAMINGS), st.lists(st.binary(max_size=5000), max_size=8))
def test_random_pieces_never_hold_more_than_a_frame(framing: Framing, pieces: list[bytes]) -> None:
    reader = FrameReader(framing)
    for piece in pieces:
        try:
            reader.feed(piece)
        except FramingError:
            break
        assert reader.pending_bytes < FRAME_MAX_BYTES + framing.prefix_bytes
