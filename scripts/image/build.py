"""Building the image with buildah, in a storage of its own that goes away with its folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from scripts.image import compose, pip_settings, tools
from scripts.image.tools import Say, SmokeFailed

DOCKERFILE = compose.ROOT / "infra" / "docker" / "Dockerfile"
BASE = "docker.io/library/python:3.11-slim"
RELEASE = "bookworm"  # the Debian whose Python is 3.11
PULL_SECONDS, BASE_SECONDS, BUILD_SECONDS = 90.0, 600.0, 900.0
MB = 1_000_000
# No usrmerge: it needs the whole of Perl to rearrange what is laid out as it wants already.
_NO_USRMERGE = r"""mkdir -p "$1/etc/apt/preferences.d"
printf 'Package: usrmerge\nPin: release *\nPin-Priority: -1\n' > "$1/etc/apt/preferences.d/no-usrmerge" """
IN_BASE = "python3-minimal,python3-venv,ca-certificates,passwd,libstdc++6"  # as in python:3.11-slim
BOOTSTRAP = (
    "--variant=essential", "--components=main", f"--include={IN_BASE}",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", f"--setup-hook={_NO_USRMERGE}",
    *(f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in ("doc", "man", "info", "locale")),
    "--customize-hook=ln -s python3 $1/usr/bin/python",
)  # fmt: skip


# crun refuses mixed cgroups; without limits of their own, containers ask for more than an inner root may give
RUN_HERE = ("--runtime", "runc", "--network", "host", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")


@dataclass(frozen=True, slots=True)
class Storage:
    """Where buildah and podman keep images and containers, apart from those of the user."""

    folder: Path

    def command(self, program: str) -> list[str]:
        """Return the beginning of a command that uses it."""
        places = ["--root", str(self.folder / "images"), "--runroot", str(self.folder / "run")]
        return [program, *places, "--storage-driver", "overlay"]

    def buildah(self, *arguments: str, seconds: float, advice: str = "") -> str:
        """Run buildah and return what it printed; raises SmokeFailed."""
        return tools.run([*self.command("buildah"), *arguments], seconds, advice=advice)


def bootstrap(cache: Path, mirror: str, say: Say) -> Path:
    """Return an archive of a small Debian with Python 3.11, made unless it is cached; raises SmokeFailed."""
    wanted = [*BOOTSTRAP, RELEASE]
    archive = cache / f"base-{hashlib.blake2b(json.dumps(wanted).encode(), digest_size=6).hexdigest()}.tar"
    if archive.exists():
        return archive
    say(f"making a base of Debian's packages in place of {BASE} (about half a minute)")
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(".unfinished.tar")
    advice = "Is a mirror of Debian reachable? Name another with --mirror."
    tools.run(["mmdebstrap", *wanted, str(unfinished), *([mirror] if mirror else [])], BASE_SECONDS, advice=advice)
    unfinished.rename(archive)
    return archive


def provide_base(storage: Storage, cache: Path, mirror: str, pull: bool, say: Say) -> str:
    """Make the image that the Dockerfile starts from and return what it is; raises SmokeFailed."""
    if pull:
        try:
            say(f"pulling {BASE}")
            storage.buildah("pull", "--quiet", BASE, seconds=PULL_SECONDS)
        except SmokeFailed:
            say("it cannot be pulled")
        else:
            return BASE
    archive = bootstrap(cache, mirror, say)
    container = storage.buildah("from", "scratch", seconds=BASE_SECONDS)
    storage.buildah("add", "--quiet", container, str(archive), "/", seconds=BASE_SECONDS)
    storage.buildah("config", "--cmd", "python3", container, seconds=BASE_SECONDS)
    storage.buildah("commit", "--quiet", "--rm", container, BASE, seconds=BASE_SECONDS)
    return f"Debian {RELEASE} from its packages"


def build(storage: Storage) -> None:
    """Build the Dockerfile as it is, with this machine's package index settings; raises SmokeFailed."""
    settings, secrets = pip_settings.read(), storage.folder / "secrets"
    secrets.mkdir(mode=0o700)
    (secrets / "pip").write_text(settings.text())
    given = ["--secret", f"id=pip,src={secrets / 'pip'}"]
    if settings.certificates:
        given += ["--secret", f"id=ca,src={settings.certificates}"]
    try:
        storage.buildah(
            "bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker", *given,
            "--tag", compose.IMAGE, "--file", str(DOCKERFILE), str(compose.ROOT), seconds=BUILD_SECONDS,
            advice="Is a package index reachable from here? pip's own settings are used.",
        )  # fmt: skip
    finally:
        shutil.rmtree(secrets)


def size_mb(storage: Storage) -> int:
    """Return what the image takes unpacked, base included, in MB; raises SmokeFailed."""
    listed = tools.run([*storage.command("podman"), "image", "inspect", compose.IMAGE], 60.0)
    return round(int(json.loads(listed)[0]["Size"]) / MB)


def parts_mb(storage: Storage) -> str:
    """Return what takes the room in the image, in MB; raises SmokeFailed."""
    command = [*storage.command("podman"), "run", "--rm", *RUN_HERE, "--entrypoint", "du", compose.IMAGE]
    printed = tools.run([*command, "-s", "--block-size=MB", "/opt/venv", "/app"], 60.0)
    sizes = {folder: size.removesuffix("MB") for size, folder in (line.split() for line in printed.splitlines())}
    return f"packages {sizes['/opt/venv']}, the suite {sizes['/app']}, the rest is the base"
