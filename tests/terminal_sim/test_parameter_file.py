"""The parameter file: what is written is read again, and what is wrong is named."""

from __future__ import annotations

import msgspec
import pytest

from processing.wire.parameter_file import (
    SIZE_MAX_BYTES,
    FramingName,
    ParameterFile,
    ParameterFileError,
    ProfileName,
)
from tests.terminal_sim import world


@pytest.mark.parametrize("framing", list(FramingName))
@pytest.mark.parametrize("profile", list(ProfileName))
def test_it_is_read_as_it_was_written(framing: FramingName, profile: ProfileName) -> None:
    file = world.parameters(framing=framing, profile=profile)
    assert ParameterFile.decode(file.encode()) == file
    assert file.encode() == file.encode()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "version"),
        ({"terminal_id": "ap000001"}, "terminal_id"),
        ({"terminal_id": "AP1"}, "terminal_id"),
        ({"terminal_id": "АП000001"}, "terminal_id"),
        ({"region": 0}, "region"),
        ({"centre_port": 65_536}, "centre_port"),
        ({"centre_host": ""}, "centre_host"),
        ({"key_generation": 256}, "key_generation"),
        ({"mac_key": "AAAA"}, "mac_key"),
        ({"receipt_keys": ["AAAA"]}, "receipt_keys"),
        ({"issuing_cas": [""]}, "issuing_cas"),
        ({"framing": "telegraph"}, "framing"),
        ({"profile": "braille"}, "profile"),
        ({"colour": "red"}, "colour"),
        ({"services": [msgspec.to_builtins(world.SERVICES[0])] * 2}, "services"),
        ({"items": [msgspec.to_builtins(world.ITEMS[0])] * 2}, "items"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], told: str) -> None:
    fields = msgspec.json.decode(world.parameters().encode()) | change
    with pytest.raises(ParameterFileError, match=told):
        ParameterFile.decode(msgspec.json.encode(fields))


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"null", b" " * (SIZE_MAX_BYTES + 1)])
def test_what_is_no_parameter_file_is_told(data: bytes) -> None:
    with pytest.raises(ParameterFileError):
        ParameterFile.decode(data)


def test_the_key_is_not_shown() -> None:
    shown = repr(world.parameters())
    assert shown == "ParameterFile(terminal_id='AP000001')"
