"""The commands that make tenants and keys, as an operator runs them."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import pytest

from tests.servers import Servers


def run(stack: Servers | None, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("POSTGRES_", "INCIDENTSCOPE_"))} | more
    if stack is not None:
        environment["POSTGRES_OWNER_URL"] = stack.postgres_url
    whole = [sys.executable, "-m", *command]
    return subprocess.run(whole, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_tenant_gets_an_admin_key_that_is_shown_once_and_can_be_replaced(stack: Servers) -> None:
    tenant = f"c{secrets.token_hex(4)}"
    key = run(stack, "scripts.create_tenant", tenant).stdout.strip()
    listed = run(stack, "scripts.access_keys", "list", tenant).stdout
    key_id = listed.splitlines()[1].split()[0]
    successor = run(stack, "scripts.access_keys", "rotate", tenant, key_id, "--overlap-hours", "1").stdout.strip()
    revoked = run(stack, "scripts.access_keys", "revoke", tenant, key_id)

    assert key.startswith("is_")
    assert successor.startswith("is_")
    assert successor != key
    assert (revoked.returncode, revoked.stdout) == (0, f"access_keys: {key_id} is revoked\n")
    after = run(stack, "scripts.access_keys", "list", tenant).stdout
    assert "revoked" in after
    assert "first admin" in after
    assert not {key, successor} & set(after.split())
    again = run(stack, "scripts.create_tenant", tenant, "--if-missing")
    assert (again.returncode, again.stdout) == (0, f"create_tenant: {tenant} exists already\n")


def test_a_key_from_a_secret_store_is_taken_and_not_shown(stack: Servers) -> None:
    tenant, key = f"c{secrets.token_hex(4)}", f"is_{secrets.token_urlsafe(32)}"
    made = run(stack, "scripts.create_tenant", tenant, "--key-from-env", "MY_KEY", MY_KEY=key)

    assert made.returncode == 0
    assert key not in made.stdout + made.stderr


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("scripts.create_tenant", "No Good"), "cannot be a tenant id"),
        (("scripts.create_tenant", "x", "--key-from-env", "MY_KEY"), "MY_KEY must hold a random key"),
        (("scripts.access_keys", "list", "x", "--postgres-url"), "usage"),
        (("scripts.access_keys", "create", "nobody", "--name", "a", "--role", "admin"), "no tenant 'nobody'"),
        (("scripts.access_keys", "list", "defualt"), "there is no tenant 'defualt'; known: "),
        (("scripts.access_keys", "create", "default", "--name", "a", "--role", "king"), "invalid choice"),
        (("scripts.access_keys", "create", "default", "--name", "a", "--role", "service", "--scope", "all"), "all"),
        (("scripts.access_keys", "revoke", "default", "0000"), "has no key '0000'"),
        (("scripts.soak_outbox", "--kills", "0"), "not a positive number"),
    ],
)
def test_mistakes_are_told_in_a_sentence(stack: Servers, command: tuple[str, ...], why: str) -> None:
    ended = run(stack, *command)

    assert ended.returncode in (1, 2)
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_a_server_the_command_says_what_to_set() -> None:
    assert "set POSTGRES_OWNER_URL" in run(None, "scripts.create_tenant", "acme").stderr


@pytest.mark.parametrize("module", ["create_tenant", "access_keys", "soak_outbox"])
def test_every_command_explains_itself(module: str) -> None:
    assert run(None, f"scripts.{module}", "--help").stdout.startswith("usage: python -m scripts.")
