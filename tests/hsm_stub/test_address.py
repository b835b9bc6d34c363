"""Addresses, tokens and the default folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_stub.client.address import TcpAddress, UnixAddress, parse_address, token_for
from hsm_stub.client.errors import HsmAddressError
from hsm_stub.home import default_keys, default_url, home
from processing.kernel.config import read_settings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:/run/spk/hsm.sock", UnixAddress(Path("/run/spk/hsm.sock"))),
        ("tcp:127.0.0.1:7010", TcpAddress("127.0.0.1", 7010)),
        ("tcp:127.9.9.9:0", TcpAddress("127.9.9.9", 0)),
        ("tcp:[::1]:65535", TcpAddress("::1", 65535)),
    ],
)
def test_addresses(url: str, expected: UnixAddress | TcpAddress) -> None:
    assert parse_address(url) == expected
    assert str(expected) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "give unix:/path"),
        ("/run/hsm.sock", "give unix:/path"),
        ("http://localhost", "give unix:/path"),
        ("unix:hsm.sock", "absolute path"),
        ("unix:/" + "x" * 107, "108 bytes, a unix socket allows 107"),
        ("tcp:127.0.0.1", "a port from 0 to 65535"),
        ("tcp:127.0.0.1:65536", "a port from 0 to 65535"),
        ("tcp:127.0.0.1:" + "9" * 5000, "a port from 0 to 65535"),
        ("tcp:127.0.0.1:٣", "a port from 0 to 65535"),
        ("tcp:0.0.0.0:7010", "not on the loopback"),
        ("tcp:192.168.1.5:7010", "not on the loopback"),
        ("tcp:localhost:7010", "not on the loopback"),
        ("tcp::7010", "not on the loopback"),
    ],
)
def test_unusable_addresses(url: str, message: str) -> None:
    with pytest.raises(HsmAddressError, match=message):
        parse_address(url)


def test_a_unix_socket_needs_no_token() -> None:
    assert token_for(UnixAddress(Path("/s")), {"SPK_HSM_TOKEN": "x" * 32}, None) == b""


def test_the_token_file_comes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("f" * 32 + "\n")
    address, environment = TcpAddress("127.0.0.1", 1), {"SPK_HSM_TOKEN": "e" * 32}
    assert token_for(address, environment, file) == b"f" * 32
    assert token_for(address, environment, None) == b"e" * 32


@pytest.mark.parametrize(
    ("environment", "file", "message"),
    [
        ({}, None, "set SPK_HSM_TOKEN or give --token-file"),
        ({"SPK_HSM_TOKEN": "short"}, None, "5 characters, it needs at least 16"),
        ({}, "none", "cannot be read"),
    ],
)
def test_no_usable_token(
    tmp_path: Path, environment: dict[str, str], file: str | None, message: str
) -> None:
    path = None if file is None else tmp_path / file
    with pytest.raises(HsmAddressError, match=message) as caught:
        token_for(TcpAddress("127.0.0.1", 1), environment, path)
    assert "short" not in str(caught.value)


@pytest.mark.parametrize(
    "environment",
    [{}, {"SPK_HOME": "/srv/spk"}, {"XDG_DATA_HOME": "/data"}, {"XDG_DATA_HOME": "relative"}],
)
@pytest.mark.parametrize("user_id", [0, 1000])
def test_home_is_the_centres(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], user_id: int
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user_id)
    settings = read_settings(environment)
    assert home(environment) == settings.home
    assert default_url(environment) == settings.hsm_address
    assert default_keys(environment) == settings.home / "hsm" / "keys.spk"


def test_spk_hsm_names_the_address() -> None:
    assert default_url({"SPK_HSM": "tcp:127.0.0.1:1"}) == "tcp:127.0.0.1:1"
