"""`spk hsm` as real processes: start, second instance, kill -9, SIGTERM, status, export."""

from __future__ import annotations

import grp
import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_stub.client.address import TcpAddress, UnixAddress, parse_address
from hsm_stub.client.client import HsmClient, connect
from hsm_stub.client.errors import HsmUnavailable
from hsm_stub.client.handshake import Credentials
from hsm_stub.keystore import open_key_file
from processing.wire.receipt import key_id_of
from tests.hsm_stub.running import PASSPHRASE, process, ready, spk_command, spk_environment

TOKEN = "0123456789abcdef0123456789abcdef"


def spk(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `spk hsm …` to its end, with nobody at the keyboard."""
    return subprocess.run(
        spk_command(*arguments),
        env=spk_environment(folder, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def address(short_tmp: Path) -> UnixAddress:
    return UnixAddress(short_tmp / "hsm.sock")


@pytest.fixture
def run(key_file: Path, address: UnixAddress) -> tuple[str, ...]:
    return ("--keys", str(key_file), "--listen", str(address))


def test_kill_9_and_start_again_on_the_same_socket(
    short_tmp: Path, address: UnixAddress, run: tuple[str, ...]
) -> None:
    with process(short_tmp, *run) as first:
        client = ready(address)
        before = client.derive_terminal_key("00000001", 1)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        assert stat.S_ISSOCK(address.path.stat().st_mode)
        with pytest.raises(HsmUnavailable):
            client.ping()
    with process(short_tmp, *run), client:
        client.wait_ready(30_000)
        assert client.derive_terminal_key("00000001", 1) == before


def test_a_second_instance_is_refused_and_the_first_undisturbed(
    short_tmp: Path, address: UnixAddress, run: tuple[str, ...]
) -> None:
    with process(short_tmp, *run), ready(address) as client:
        second = spk(short_tmp, "run", *run)
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == f"spk: a key service runs at {address} already\n"
        client.ping()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_by_signal_removes_the_socket(
    short_tmp: Path, address: UnixAddress, run: tuple[str, ...], number: signal.Signals
) -> None:
    with process(short_tmp, *run) as started, ready(address):
        assert address.path.stat().st_mode & 0o777 == 0o600
        started.send_signal(number)
        _, log = started.communicate(timeout=10)
        assert started.returncode == 0
        assert not address.path.exists()
        assert [json.loads(line)["event"] for line in log.splitlines()] == ["listening", "stopped"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to any group")
def test_group_may_use_the_socket(
    short_tmp: Path, address: UnixAddress, run: tuple[str, ...]
) -> None:
    group = grp.getgrgid(1)
    with process(short_tmp, *run, "--group", group.gr_name), ready(address):
        found = address.path.stat()
        assert (found.st_mode & 0o777, found.st_gid) == (0o660, group.gr_gid)


def test_tcp_with_token_file(short_tmp: Path, key_file: Path) -> None:
    token_file = short_tmp / "token"
    token_file.write_text(TOKEN + "\n")
    options = ("--listen", "tcp:127.0.0.1:0", "--token-file", str(token_file))
    with process(short_tmp, "--keys", str(key_file), *options) as started:
        assert started.stderr is not None
        url = json.loads(started.stderr.readline())["address"]
        address = parse_address(url)
        assert isinstance(address, TcpAddress)
        with connect(url, token_file=token_file) as client:
            client.ping()
        shown = spk(short_tmp, "status", "--url", url, SPK_HSM_TOKEN=TOKEN)
        assert (shown.returncode, shown.stderr) == (0, "")
        wrong = spk(short_tmp, "status", "--url", url, SPK_HSM_TOKEN="f" * 32)
        assert wrong.returncode == 1
        assert "the token is not the service's" in wrong.stderr


def test_status_and_export_public(
    short_tmp: Path, address: UnixAddress, run: tuple[str, ...]
) -> None:
    with process(short_tmp, *run), ready(address) as client:
        client.derive_card_admin_key(bytes(16), 0)
        public = client.public_keys()
        shown = spk(short_tmp, "status", SPK_HSM=str(address))
        assert "software backend, region 77" in shown.stdout.replace("\n", " ")
        assert "export card 9B key" in shown.stdout
        out = short_tmp / "public"
        for _ in range(2):
            exported = spk(short_tmp, "export-public", str(out), "--url", str(address))
            assert (exported.returncode, exported.stderr) == (0, "")
    key = serialization.load_pem_public_key((out / "receipt-public-key.pem").read_bytes())
    assert isinstance(key, ec.EllipticCurvePublicKey)
    point = key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    assert (point, key_id_of(point)) == (public.receipt_key, public.receipt_key_id)
    ca = x509.load_pem_x509_certificate((out / "issuing-ca.pem").read_bytes())
    assert ca.public_bytes(serialization.Encoding.DER) == public.issuing_certificates[0]
    assert sorted(path.name for path in out.iterdir()) == [
        "audit-public-keys.pem",
        "content-public-keys.pem",
        "issuing-ca.pem",
        "journal-public-keys.pem",
        "receipt-public-key.pem",
    ]


POLICY = """
name = "office"
[clients.station-1]
token_key = "{station}"
[clients.officer]
token_key = "{officer}"
[[rule]]
name = "officers"
clients = ["officer"]
commands = ["*"]
[[rule]]
name = "nine b"
clients = ["station-1"]
commands = ["derive_card_admin_key"]
per_day_max = 1
"""


def test_a_policy_with_named_clients_and_its_audit(
    short_tmp: Path, address: UnixAddress, run: tuple[str, ...]
) -> None:
    keys = {}
    for name in ("station", "officer"):
        made = spk(short_tmp, "policy", "new-token", name, "--token-file", str(short_tmp / name))
        keys[name] = made.stdout.split('"')[1]
    policy = short_tmp / "new.toml"
    policy.write_text(POLICY.format(**keys))
    officer = {"SPK_HSM_CLIENT": "officer", "SPK_HSM_TOKEN": (short_tmp / "officer").read_text()}
    station = {"SPK_HSM_CLIENT": "station-1", "SPK_HSM_TOKEN": (short_tmp / "station").read_text()}
    there = ("--url", str(address))
    with process(short_tmp, *run), ready(address):
        installed = spk(short_tmp, "policy", "install", str(policy), *there)
        assert (installed.stdout, installed.stderr) == ("policy 'office' is in force\n", "")
        nobody = spk(short_tmp, "status", *there)
        assert "the policy knows no such client" in nobody.stderr
        shown = spk(short_tmp, "status", *there, **officer)
        assert "policy 'office'" in shown.stdout.replace("\n", " ")
        exported = spk(short_tmp, "export-public", str(short_tmp / "public"), *there, **officer)
        assert exported.stderr == ""
        refused = spk(short_tmp, "policy", "install", str(policy), *there, **station)
        assert "the policy does not let station-1 install_policy" in refused.stderr
    pem = ("--public-keys", str(short_tmp / "public" / "audit-public-keys.pem"))
    verified = spk(short_tmp, "audit", "verify", str(short_tmp / "audit"), *pem)
    assert "are whole: 1 uses, 1 refused" in verified.stdout, verified.stderr
    listed = spk(short_tmp, "audit", "show", str(short_tmp / "audit"), "--refused")
    assert listed.stdout.endswith("refused station-1 install_policy service not_allowed\n")
    changed = short_tmp / "policy.toml"
    changed.write_text(changed.read_text().replace("per_day_max = 1", "per_day_max = 1000"))
    stopped = spk(short_tmp, "run", *run)
    assert (stopped.returncode, stopped.stdout) == (2, "")
    assert "is not the policy that was in force last" in stopped.stderr


def test_init_writes_keys_in_the_home_and_never_again(short_tmp: Path) -> None:
    first = spk(short_tmp, "init", "--region", "54")
    path = short_tmp / "hsm" / "keys.spk"
    assert (first.returncode, first.stderr) == (0, "")
    assert path.parent.stat().st_mode & 0o777 == 0o700
    before = open_key_file(path, PASSPHRASE)
    assert before.region_code == "54"
    second = spk(short_tmp, "init")
    assert second.returncode == 1
    assert second.stderr.startswith(f"spk: {path} exists and keys are never overwritten")
    assert open_key_file(path, PASSPHRASE) == before


START_FAILURES = [
    ({"SPK_HSM_PASSPHRASE": "wrong horse battery"}, 1, "the passphrase does not open"),
    ({"SPK_HSM_PASSPHRASE": ""}, 2, "the passphrase is empty"),
]


@pytest.mark.parametrize(("environment", "code", "message"), START_FAILURES)
def test_run_fails_in_one_line(
    short_tmp: Path,
    address: UnixAddress,
    run: tuple[str, ...],
    environment: dict[str, str],
    code: int,
    message: str,
) -> None:
    failed = spk(short_tmp, "run", *run, **environment)
    assert failed.returncode == code
    assert message in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert not address.path.exists()


def test_nobody_at_the_keyboard_and_no_passphrase(short_tmp: Path, run: tuple[str, ...]) -> None:
    environment = spk_environment(short_tmp)
    del environment["SPK_HSM_PASSPHRASE"]
    failed = subprocess.run(
        spk_command("run", *run),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert failed.returncode == 2
    assert "set SPK_HSM_PASSPHRASE, give --passphrase-file" in failed.stderr


def test_passphrase_file(short_tmp: Path) -> None:
    file = short_tmp / "passphrase"
    file.write_text("tr0ub4dor & the third\n")
    path = short_tmp / "k.spk"
    made = spk(short_tmp, "init", "--keys", str(path), "--passphrase-file", str(file))
    assert made.returncode == 0, made.stderr
    assert open_key_file(path, "tr0ub4dor & the third").region_code == "00"


def test_a_short_passphrase_locks_no_new_keys(short_tmp: Path) -> None:
    refused = spk(short_tmp, "init", SPK_HSM_PASSPHRASE="12345678901")
    assert refused.returncode == 2
    assert "11 characters, it needs at least 12" in refused.stderr
    assert not (short_tmp / "hsm").exists()


LISTEN_FAILURES = [
    (("--listen", "unix:hsm.sock"), 2, "needs an absolute path"),
    (("--listen", "tcp:0.0.0.0:1"), 2, "not on the loopback interface"),
    (("--listen", "tcp:127.0.0.1:0"), 2, "needs a token"),
    (("--group", "no-such-group"), 1, "there is no group 'no-such-group'"),
]


@pytest.mark.parametrize(("options", "code", "message"), LISTEN_FAILURES)
def test_unusable_listen_options(
    short_tmp: Path, key_file: Path, options: tuple[str, ...], code: int, message: str
) -> None:
    failed = spk(short_tmp, "run", "--keys", str(key_file), *options)
    assert failed.returncode == code
    assert message in failed.stderr


def test_a_file_in_the_sockets_place_is_kept(
    short_tmp: Path, address: UnixAddress, run: tuple[str, ...]
) -> None:
    address.path.write_text("mine")
    failed = spk(short_tmp, "run", *run)
    assert failed.returncode == 1
    assert "is a file, not a socket" in failed.stderr
    assert address.path.read_text() == "mine"


def test_status_of_nobody(short_tmp: Path) -> None:
    failed = spk(short_tmp, "status")
    assert failed.returncode == 1
    assert "is `spk hsm run` running?" in failed.stderr


def test_the_client_says_where_it_goes_and_not_how_it_gets_in() -> None:
    client = HsmClient(TcpAddress("127.0.0.1", 1), Credentials(key=TOKEN.encode()))
    assert repr(client) == "HsmClient('tcp:127.0.0.1:1')"
