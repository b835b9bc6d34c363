"""`spk hsm`: make keys, run the key service, look at it, export what is public."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter

from hsm_stub.client.client import connect
from hsm_stub.home import default_keys, default_url
from hsm_stub.rotation_commands import register

app = cyclopts.App(name="hsm", help="Make keys and run the key service.")
app.command("hsm_stub.policy_commands:app", name="policy")
app.command("hsm_stub.audit_commands:app", name="audit")
app.command("hsm_stub.ceremony.commands:app", name="ceremony")
register(app)

Keys = Annotated[Path | None, Parameter(help="Key file; default: hsm/keys.spk in SPK_HOME.")]
PassphraseFile = Annotated[
    Path | None, Parameter(help="File with the passphrase; else SPK_HSM_PASSPHRASE or asked for.")
]
Url = Annotated[
    str | None,
    Parameter(
        help="unix:/path or tcp:127.0.0.1:PORT; default: SPK_HSM, else hsm.sock in SPK_HOME."
    ),
]
TokenFile = Annotated[
    Path | None, Parameter(help="File with the shared token for tcp; else SPK_HSM_TOKEN.")
]


@app.command
def init(
    *,
    keys: Keys = None,
    region: Annotated[str, Parameter(help="Region's two digits; 00 is a trial.")] = "00",
    pki_url: Annotated[
        str, Parameter(help="Where anybody may ask about certificates: http://HOST/pki.")
    ] = "",
    backend: Annotated[
        Literal["software", "pkcs11"], Parameter(help="Where the keys shall be.")
    ] = "software",
    module: Annotated[str, Parameter(help="The token's library, for --backend pkcs11.")] = "",
    token: Annotated[str, Parameter(help="The token's label, for --backend pkcs11.")] = "",
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make new keys in an encrypted file or in a token; existing ones are never overwritten.

    A token must be initialized already; its user PIN is the passphrase. The keys are made in it and
    never leave it.
    """
    if backend == "pkcs11":
        _init_token(keys, module, token, region, pki_url, passphrase_file)
        return
    from hsm_stub.key_material import new_key_material
    from hsm_stub.keystore import create_key_file, refuse_existing
    from hsm_stub.passphrase import choose_passphrase

    path = keys or default_keys(os.environ)
    refuse_existing(path)
    passphrase = choose_passphrase(os.environ, passphrase_file)
    create_key_file(
        path, new_key_material(region, time.time_ns() // 1_000_000, pki_url), passphrase
    )
    print(f"keys of region {region} written to {path}; without the passphrase they are lost")


def _init_token(
    keys: Path | None,
    module: str,
    token: str,
    region: str,
    pki_url: str,
    passphrase_file: Path | None,
) -> None:
    from hsm_stub.backends.pkcs11 import new_token_keys
    from hsm_stub.errors import TokenError
    from hsm_stub.home import home
    from hsm_stub.passphrase import read_passphrase

    if not module or not token:
        raise TokenError("--backend pkcs11 needs --module /path/to/library.so and --token LABEL")
    path = keys or home(os.environ) / "hsm" / "keys.p11"
    pin = read_passphrase(os.environ, passphrase_file)
    now_ms = time.time_ns() // 1_000_000
    new_token_keys(path, module, token, pin, region, now_ms, pki_url).close()
    print(f"keys of region {region} made in the token {token!r}, {path} says which")


@app.command
def run(
    *,
    keys: Keys = None,
    listen: Url = None,
    group: Annotated[str | None, Parameter(help="Group that may use the unix socket too.")] = None,
    token_file: TokenFile = None,
    passphrase_file: PassphraseFile = None,
    verbose: Annotated[bool, Parameter(help="Log the frequent commands too.")] = False,
    accept_policy: Annotated[
        bool, Parameter(help="Start with a policy file that was changed by hand; once.")
    ] = False,
) -> None:
    """Serve the keys until SIGTERM or Ctrl-C; log lines go to stderr."""
    from hsm_stub.launch import RunOptions, run_service

    options = RunOptions(
        keys=keys or default_keys(os.environ),
        url=listen or default_url(os.environ),
        group=group,
        token_file=token_file,
        passphrase_file=passphrase_file,
        verbose=verbose,
        accept_policy=accept_policy,
    )
    run_service(options, os.environ)


@app.command
def status(*, url: Url = None, token_file: TokenFile = None) -> None:
    """Show how the service is and how often each key was used since its start."""
    from rich.console import Console
    from rich.table import Table

    address = url or default_url(os.environ)
    with connect(address, token_file=token_file) as client:
        answer = client.status()
    console = Console()
    console.print(
        f"key service at {address}: {answer.backend} backend, region {answer.region_code}, "
        f"up {answer.uptime_ms // 1000} s, {answer.connections} connections, "
        f"receipt key {answer.receipt_key_id.hex()}, policy {answer.policy!r}",
        highlight=False,
    )
    console.print(
        f"audit: {answer.audit_records} records, the last is {answer.audit_head.hex()}",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("key", "purpose", "uses since start")
    for use in answer.key_uses:
        table.add_row(use.key, use.purpose, str(use.uses))
    console.print(table if answer.key_uses else "no key was used since the start")


@app.command
def approvals(*, url: Url = None, token_file: TokenFile = None) -> None:
    """List what other clients asked for and you may approve."""
    with connect(url or default_url(os.environ), token_file=token_file) as client:
        pending = client.approvals()
    for one in pending:
        facts = " ".join(f"{name}={value}" for name, value in one.facts.items())
        print(
            f"{one.approval_id.hex()}  {one.client}: {one.command} with the {one.key} key {facts} "
            f"({one.approvals_missing} approvals missing)"
        )
    if not pending:
        print("nothing waits for approval")


@app.command
def approve(approval: str, /, *, url: Url = None, token_file: TokenFile = None) -> None:
    """Approve what another client asked for; APPROVAL is the number that it was told."""
    from hsm_stub.errors import ServiceError

    try:
        approval_id = bytes.fromhex(approval)
    except ValueError:
        raise ServiceError(f"{approval!r} is no approval's number: 32 digits 0-9 a-f") from None
    with connect(url or default_url(os.environ), token_file=token_file) as client:
        client.approve(approval_id)
    print("approved; the one who asked may ask again now")


@app.command
def export_public(out_dir: Path, /, *, url: Url = None, token_file: TokenFile = None) -> None:
    """Write what verifiers need to OUT_DIR: every public key, and the issuing CAs' certificates."""
    from hsm_stub.public_files import write_public_files

    with connect(url or default_url(os.environ), token_file=token_file) as client:
        answer = client.public_keys()
    for path in write_public_files(out_dir, answer):
        print(path)
