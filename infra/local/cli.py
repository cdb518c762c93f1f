"""The command line of the local stack."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from infra.local import logs, ports, processes, state, status, supervisor
from infra.local.errors import LocalStackError
from infra.local.part import HOME_VARIABLE
from infra.local.stack import START_SECONDS, Stack, default_home


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; exit code 2 with one sentence when it cannot be done."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        ports.offset_in(os.environ)  # a mistake is told by every command, not by `up` alone
        return command(options)
    except LocalStackError as exc:
        print(f"local: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("local: interrupted; what was started keeps running, `down` stops it", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `logs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local",
        description="Run Kafka, PostgreSQL, ClickHouse and every service on this machine, without Docker.",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for add in (_add_up, _add_down, _add_status, _add_logs, _add_env, _add_supervise):
        add(commands)
    return parser


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(
    commands: Commands, name: str, what: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what, description=what)
    parser.add_argument("--home", type=Path, help=f"data folder (default {HOME_VARIABLE}, else .local/)")
    parser.set_defaults(command=run)
    return parser


def _add_up(commands: Commands) -> None:
    parser = _command(commands, "up", "start what is missing and wait until all is ready", _up)
    parser.add_argument("--only", type=_names, metavar="A,B", help="only these parts")
    parser.add_argument("--infra-only", action="store_true", help="only Kafka, PostgreSQL and ClickHouse")
    parser.add_argument("--port-offset", type=int, help=f"added to every default port (or {ports.OFFSET_VARIABLE})")
    parser.add_argument(
        "--port", action="append", default=[], metavar="NAME=NUMBER",
        help=f"another port for one of {', '.join(ports.DEFAULTS)} (or KAFKA_PORT and so on); remembered",
    )  # fmt: skip
    parser.add_argument(
        "--timeout",
        type=float,
        default=START_SECONDS,
        metavar="SECONDS",
        help="for each part to get ready (default %(default).0f)",
    )
    parser.add_argument("--print-env", action="store_true", help="then print what `env` prints, progress on stderr")


def _add_down(commands: Commands) -> None:
    parser = _command(commands, "down", "stop everything; data stays", _down)
    parser.add_argument("--wipe", action="store_true", help="delete the data, logs and secrets too")


def _add_status(commands: Commands) -> None:
    parser = _command(
        commands, "status", "what runs, on which port, how much memory; exit code 0 when all is ready", _status
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def _add_logs(commands: Commands) -> None:
    parser = _command(commands, "logs", "the last lines each part logged", _logs)
    parser.add_argument("part", nargs="?", help="only this part, or `supervisor`")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until interrupted")
    parser.add_argument("-n", "--lines", type=int, default=10, help="how many lines (default %(default)s)")


def _add_env(commands: Commands) -> None:
    _command(
        commands, "env", 'export lines that point programs at the stack: eval "$(python -m infra.local env)"', _env
    )


def _add_supervise(commands: Commands) -> None:
    _command(commands, "supervise", "start parts again that die, until `down`; `up` runs this by itself", _supervise)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _home(options: argparse.Namespace) -> Path:
    return options.home.absolute() if options.home else default_home(os.environ)


def _up(options: argparse.Namespace) -> int:
    home, begun = _home(options), time.monotonic()
    out = sys.stderr if options.print_env else sys.stdout

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.1f} s] {text}", file=out, flush=True)

    given = dict(ports.parse_assignment(text) for text in options.port)
    chosen = ports.choose(os.environ, state.load(home).ports, options.port_offset, given)
    stack = Stack(home, chosen, say=say)
    supervisor.quit_running(stack.home)
    try:
        stack.up(options.only, options.infra_only, options.timeout)
    finally:
        if any(map(processes.alive, state.load(stack.home).processes.values())):  # also of a start that failed half way
            supervisor.launch(stack.home)
    say(f"all is ready; console {stack.addresses['CONSOLE_URL']}, data in {stack.home}")
    return _print_env(stack) if options.print_env else 0


def _down(options: argparse.Namespace) -> int:
    stack = Stack(_home(options), say=lambda text: print(text, flush=True))
    stopped = stack.down(options.wipe)
    print(f"{len(stopped)} parts stopped" + (", data deleted" if options.wipe else f", data stays in {stack.home}"))
    return 0


def _status(options: argparse.Namespace) -> int:
    seen = status.report(Stack(_existing(_home(options))))
    print(json.dumps(seen.as_json(), indent=2) if options.json else status.render(seen))
    return 0 if seen.all_ready else 1


def _logs(options: argparse.Namespace) -> int:
    stack = Stack(_existing(_home(options)))
    if options.part == supervisor.NAME:
        files = {supervisor.NAME: stack.log_of(supervisor.NAME)}
    else:
        parts = stack.select([options.part] if options.part else None)
        files = {part.name: stack.log_of(part.name) for part in parts}
    for line in logs.last_lines(files, options.lines):
        print(line)
    if options.follow:
        for line in logs.follow(files):
            print(line, flush=True)
    return 0


def _env(options: argparse.Namespace) -> int:
    return _print_env(Stack(_existing(_home(options))))


def _supervise(options: argparse.Namespace) -> int:
    supervisor.run(_existing(_home(options)))
    return 0


def _print_env(stack: Stack) -> int:
    for name, value in stack.addresses.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _existing(home: Path) -> Path:
    if not (home / "state.json").exists():
        raise LocalStackError(f"nothing was started from {home} yet: run `python -m infra.local up` first")
    return home
