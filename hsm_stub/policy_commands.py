"""`spk hsm policy`: look at the policy of the keys, check one, put one into force."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from hsm_stub.client.client import connect
from hsm_stub.home import default_keys, default_url, policy_file
from hsm_stub.policy import TRIAL_POLICY, Policy, Rule, read_policy

app = cyclopts.App(name="policy", help="Say who may use which key, how often and when.")


@app.command
def show() -> None:
    """Print the policy beside the key file, or that of a trial where there is none."""
    path = policy_file(default_keys(os.environ))
    print(path.read_text("utf-8") if path.exists() else TRIAL_POLICY, end="")


@app.command
def check(file: Path, /) -> None:
    """Read a policy and say in words what it allows."""
    policy = _read(file)
    print(f"policy {policy.name!r}, times in {policy.time_zone}")
    for rule in policy.rule:
        print(f"  {', '.join(rule.clients)}: {', '.join(rule.commands)}, {_limits(rule)}")


@app.command
def install(
    file: Path,
    /,
    *,
    url: Annotated[str | None, Parameter(help="As of spk hsm run.")] = None,
    token_file: Annotated[Path | None, Parameter(help="As of spk hsm status.")] = None,
) -> None:
    """Put a policy into force in the running service, at once."""
    policy = _read(file)
    with connect(url or default_url(os.environ), token_file=token_file) as client:
        client.install_policy(file.read_text("utf-8"))
    print(f"policy {policy.name!r} is in force")


@app.command
def new_token(
    name: str,
    /,
    *,
    token_file: Annotated[Path, Parameter(help="Where to write the token; only you may read it.")],
) -> None:
    """Make a client's token, and print what the policy must say of the client."""
    from hsm_stub.client.handshake import token_key
    from hsm_stub.errors import ServiceError
    from hsm_stub.private_file import write_private

    token = secrets.token_hex(32)
    try:
        write_private(token_file, token + "\n", new=True)
    except OSError as error:
        raise ServiceError(f"{token_file} cannot be written: {error.strerror}") from None
    print(f'[clients.{name}]\ntoken_key = "{token_key(token.encode()).hex()}"')


def _read(file: Path) -> Policy:
    from hsm_stub.errors import PolicyError

    try:
        return read_policy(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the policy {file} cannot be read: {error}") from None


def _limits(rule: Rule) -> str:
    parts = [f"keys {', '.join(rule.keys)}", rule.when()]
    if rule.per_day_max is not None:
        parts.append(f"{rule.per_day_max} a day")
    if rule.total_max is not None:
        parts.append(f"{rule.total_max} in all")
    if rule.approvals:
        parts.append(f"{rule.approvals} others approve")
    return "; ".join(parts)
