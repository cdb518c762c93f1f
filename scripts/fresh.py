"""The README's two commands in a bare Debian root, as somebody with a new machine would run them: `make fresh`.

Makes a root from packages with mmdebstrap (no compiler, Java, Docker or git in it), puts a clean checkout of HEAD
there, and runs the commands as an ordinary user, then as root, each in mount and process namespaces of its own, so that
nothing is left running or mounted. Needs root. The network is the host's; so are apt's sources, the settings of pip and
proxies (from the environment and pip's files) and the trusted certificates. DEMO_CAUSE, DEMO_SEED and
INCIDENTSCOPE_PORT_OFFSET are passed on. The last line begins `fresh: ok` or `fresh: failed`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
INCLUDED = ("python3", "python3-venv", "make", "ca-certificates")
NOT_THERE = ("gcc", "cc", "java", "docker", "git")
USER, UID = "visitor", 4711
LIMIT_SECONDS = {"root": 900, "command": 1200}
PASSED_ON = re.compile(
    r"PIP_\w+|(https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|DEMO_(CAUSE|SEED)"
    r"|INCIDENTSCOPE_(PORT_OFFSET|MAVEN_REPO)",
    re.IGNORECASE,
)
HOST_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
PIP_FILES = (".config/pip/pip.conf", ".pip/pip.conf")
SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources")
ENTER = """
set -e
login=$PATH PATH=$PATH:/usr/sbin:/sbin root=$1 ids=$2
shift 2
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
enter=$(command -v chroot)
PATH=$login exec "$enter" --userspec="$ids" "$root" "$@"
"""


class Failed(Exception):  # the text is one sentence for the person who meets it
    """The commands did not work, or could not be tried."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who runs the commands in the root."""

    name: str
    ids: str
    home: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run came to: whole seconds and MiB."""

    setup_s: int
    demo_s: int
    venv_mb: int

    def __str__(self) -> str:
        return f"setup_s={self.setup_s} demo_s={self.demo_s} venv_mb={self.venv_mb}"


PEOPLE = (Person(USER, f"{UID}:{UID}", f"/home/{USER}"), Person("root", "0:0", "/root"))


def commands(readme: str) -> list[str]:
    """Return the commands of the README's section "Two commands"; raises Failed when there are not two."""
    found = re.search(r"^## Two commands$.*?^```\w*\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    lines = [line.partition("#")[0].strip() for line in found[1].splitlines()] if found else []
    named = [line for line in lines if line]
    if len(named) != 2:
        raise Failed(f"the README's section 'Two commands' has {len(named)} commands")
    return named


def environment(person: Person, host: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a new login, with the host's settings for networks and package indexes."""
    passed = {name: value for name, value in host.items() if PASSED_ON.fullmatch(name)}
    login = {"HOME": person.home, "USER": person.name, "LOGNAME": person.name, "LANG": "C.UTF-8", "TERM": "dumb"}
    return {
        **passed,
        **login,
        "PATH": "/usr/local/bin:/usr/bin:/bin" + (":/usr/sbin:/sbin" if person.ids == "0:0" else ""),
    }


def check_host() -> None:
    """Raise Failed when this machine cannot make the root."""
    if os.geteuid() != 0:
        raise Failed("root is needed to make and enter a Debian root: run it with sudo")
    for program, package in {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "git": "git"}.items():
        if shutil.which(program) is None:
            raise Failed(f"there is no {program} here: on Debian, `apt-get install {package}`")


def make_root(root: Path, suite: str) -> None:
    """Make the bare root; raises Failed."""
    say(f"making a bare Debian root ({suite}: minbase, {', '.join(INCLUDED)})")
    codename = re.search(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    sources = [file for file in SOURCES if Path(file).exists()] if codename and codename[1] == suite else []
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(INCLUDED)}",
        suite,
        str(root),
        *sources,
    ]
    run(command, LIMIT_SECONDS["root"], "mmdebstrap")
    surplus = [name for name in NOT_THERE if shutil.which(name, path=f"{root}/usr/bin:{root}/usr/local/bin")]
    if surplus:
        raise Failed(f"the root is not bare: it has {', '.join(surplus)}")
    run(["chroot", str(root), "useradd", "--create-home", "--uid", str(UID), USER], 60, "useradd")


def copy_settings(root: Path, person: Person, host: Mapping[str, str]) -> None:
    """Copy what the host knows about networks, certificates and package indexes into the root."""
    named = [host[name] for name in host if PASSED_ON.fullmatch(name)]
    for file in (Path(text) for text in {*HOST_FILES, *named}):
        inside = root / str(file).lstrip("/")
        if file.is_file():
            copy(file, inside)
        elif file.is_absolute() and file.is_dir() and not inside.exists():
            shutil.copytree(file, inside)
    for name in PIP_FILES:
        if (Path.home() / name).is_file():
            copy(Path.home() / name, root / person.home.lstrip("/") / name)


def copy(file: Path, to: Path) -> None:
    """Copy a file, readable by everybody, replacing what is there."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.unlink(missing_ok=True)
    to.write_bytes(file.read_bytes())


def check_out(folder: Path, person: Person) -> None:
    """Put a clean checkout of HEAD into the folder; raises Failed."""
    folder.mkdir()
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        run(["git", "-C", str(ROOT), "archive", "-o", archive.name, "HEAD"], 60, "git archive")
        run(["tar", "-x", "-f", archive.name, "-C", str(folder)], 60, "tar")
    run(["chown", "-R", person.ids, str(folder.parent)], 60, "chown")


def try_commands(root: Path, person: Person) -> Figures:
    """Run the two commands as this person; raises Failed."""
    inside = f"{person.home}/incidentscope"
    checkout = root / inside.lstrip("/")
    copy_settings(root, person, os.environ)
    check_out(checkout, person)
    seconds = []
    for command in commands((checkout / "README.md").read_text()):
        say(f"{person.name}: {command}")
        started = time.monotonic()
        inner = ["sh", "-c", f"cd {inside} && {command}"]
        enter = ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "/bin/sh", "-c", ENTER, "sh"]
        login = environment(person, os.environ)
        run([*enter, str(root), person.ids, *inner], LIMIT_SECONDS["command"], f"{person.name}: {command}", login)
        seconds.append(round(time.monotonic() - started))
    du = subprocess.run(["du", "-sm", str(checkout / ".venv")], capture_output=True, text=True, check=True)
    shutil.rmtree(root / person.home.lstrip("/"))  # the next one needs the room, and starts without its caches
    return Figures(seconds[0], seconds[1], int(du.stdout.split()[0]))


def run(command: Sequence[str], limit_seconds: float, what: str, variables: Mapping[str, str] | None = None) -> None:
    """Run a program, showing what it prints; raises Failed when it fails or takes longer than the limit."""
    last = "no output"
    with subprocess.Popen(
        command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace",
    ) as program:  # fmt: skip
        late = threading.Timer(limit_seconds, program.kill)
        late.start()
        try:
            for line in program.stdout or ():
                print(f"  | {line}", end="", flush=True)
                last = line.strip() or last
        except BaseException:
            program.kill()
            time.sleep(1)  # what it started in its namespace ends with it, a moment later
            raise
        finally:
            over = not late.is_alive()
            late.cancel()
    if over:
        raise Failed(f"{what}: did not end in {limit_seconds:.0f} s; last line: {last}")
    if program.returncode != 0:
        raise Failed(f"{what}: exit code {program.returncode}; last line: {last}")


def say(text: str) -> None:
    """Print a line of our own."""
    print(f"fresh: {text}", flush=True)


def try_all(suite: str, people: Sequence[Person]) -> Figures:
    """Try the commands as each person in one new root, which is deleted afterwards; raises Failed."""
    check_host()
    commands((ROOT / "README.md").read_text())
    with tempfile.TemporaryDirectory(prefix="fresh-") as folder:
        Path(folder).chmod(0o755)  # apt fetches as a user of its own
        root = Path(folder, "root")
        make_root(root, suite)
        figures = {}
        for person in people:
            figures[person] = try_commands(root, person)
            say(f"as {person.name}: {figures[person]}")
    return figures[people[0]]


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Failed(f"stopped by signal {number}")


def main() -> int:
    """Run the command; 0 when the two commands worked for everybody."""
    parser = argparse.ArgumentParser(
        prog="make fresh", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--user-only", action="store_true", help="leave out the run as root")
    parser.add_argument("--suite", default="bookworm", help="the Debian release (bookworm)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        figures = try_all(options.suite, PEOPLE[:1] if options.user_only else PEOPLE)
    except (Failed, OSError, subprocess.SubprocessError) as exc:
        say(f"failed {exc}")
        return 1
    except KeyboardInterrupt:
        say("failed interrupted")
        return 130
    say(f"ok {figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
