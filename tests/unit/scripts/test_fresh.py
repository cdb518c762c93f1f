import os
import sys
from pathlib import Path

import pytest

from scripts import fresh
from scripts.fresh import PEOPLE, Failed, Figures, commands, copy_settings, environment, run

ROOT = Path(__file__).resolve().parents[3]


def test_the_commands_are_the_ones_the_readme_tells() -> None:
    assert commands((ROOT / "README.md").read_text()) == ["make setup", "make demo"]


def test_a_readme_without_its_two_commands_is_a_failure() -> None:
    with pytest.raises(Failed, match="'Two commands' has 1 commands"):
        commands("## Two commands\n\n```\nmake setup # first\n```\n\n## Next\n\n```\nmake demo\n```\n")


def test_a_new_login_knows_the_hosts_networks_and_nothing_else_of_it() -> None:
    host = {
        "PIP_INDEX_URL": "https://index.example/simple", "https_proxy": "http://proxy.example", "SSL_CERT_FILE": "/ca",
        "DEMO_CAUSE": "none", "INCIDENTSCOPE_PORT_OFFSET": "1000", "HOME": "/home/ana", "PATH": "/opt/jdk/bin",
        "JAVA_HOME": "/opt/jdk", "PYTHONPATH": "/src", "CLOUD_TOKEN": "secret", "INCIDENTSCOPE_CACHE": "/cache",
    }  # fmt: skip

    login = environment(PEOPLE[0], host)

    passed = {"PIP_INDEX_URL", "https_proxy", "SSL_CERT_FILE", "DEMO_CAUSE", "INCIDENTSCOPE_PORT_OFFSET"}
    assert {name: login[name] for name in passed} == {name: host[name] for name in passed}
    assert set(login) - passed == {"HOME", "USER", "LOGNAME", "LANG", "TERM", "PATH"}
    assert login["HOME"] == "/home/visitor"
    assert "/opt" not in login["PATH"]


def test_settings_for_package_indexes_are_copied_to_where_pip_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, root, wheels = tmp_path / "home", tmp_path / "root", tmp_path / "wheels"
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".config" / "pip" / "pip.conf").write_text("[global]\ntimeout = 9\n")
    (tmp_path / "ca.pem").write_text("certificate")
    wheels.mkdir()
    (wheels / "a.whl").touch()
    monkeypatch.setenv("HOME", str(home))
    host = {"PIP_CERT": str(tmp_path / "ca.pem"), "PIP_FIND_LINKS": str(wheels), "OTHER": str(tmp_path / "ca.pem")}

    copy_settings(root, PEOPLE[0], host)

    assert (root / "home/visitor/.config/pip/pip.conf").read_text() == "[global]\ntimeout = 9\n"
    assert (root / str(tmp_path).lstrip("/") / "ca.pem").read_text() == "certificate"
    assert (root / str(wheels).lstrip("/") / "a.whl").exists()


def test_a_command_that_fails_is_told_with_its_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failed, match="visitor: make demo: exit code 3; last line: no room"):
        run(["sh", "-c", "echo begun; echo no room; exit 3"], 10, "visitor: make demo")

    assert capsys.readouterr().out == "  | begun\n  | no room\n"


def test_a_command_that_hangs_is_ended_at_its_limit() -> None:
    program = "print('waiting', flush=True); import time; time.sleep(60)"

    with pytest.raises(Failed, match=r"did not end in 1 s; last line: waiting"):
        run([sys.executable, "-c", program], 1, "make demo")


def test_a_command_sees_only_what_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    run(["/usr/bin/env"], 10, "env", {"A": "1"})

    assert capsys.readouterr().out == "  | A=1\n"


def test_figures_read_as_the_last_line_has_them() -> None:
    assert str(Figures(34, 131, 1071)) == "setup_s=34 demo_s=131 venv_mb=1071"


@pytest.mark.parametrize(
    ("user", "path", "reason"),
    [
        (1000, "/usr/bin:/bin", "root is needed to make and enter a Debian root: run it with sudo"),
        (0, "/nowhere", "there is no mmdebstrap here: on Debian, `apt-get install mmdebstrap`"),
    ],
)
def test_a_machine_that_cannot_do_it_is_told_what_it_lacks(
    user: int, path: str, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("PATH", path)
    monkeypatch.setattr(sys, "argv", ["fresh"])

    assert fresh.main() == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"fresh: failed {reason}"
