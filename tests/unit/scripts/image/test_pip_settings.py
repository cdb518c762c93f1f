"""Package index settings for the build: which are handed on."""

from __future__ import annotations

from pathlib import Path

from scripts.image import pip_settings

LISTED = """:env:.default-timeout='180'
:env:.find-links='/opt/wheels https://wheels.test/'
:env:.index-url='https://user:word@index.test/simple'
global.disable-pip-version-check='1'
global.index-url='https://other.test/simple'
global.trusted-host='index.test\\nother.test'
"""


def test_what_pip_is_told_here_it_is_told_in_the_build(tmp_path: Path) -> None:
    lines = sorted(LISTED.splitlines(), key=lambda line: line.startswith(":env:"))  # as pip lists them: variables last

    found = pip_settings.parse("\n".join(lines), {})

    assert found.options == {
        "index-url": "https://user:word@index.test/simple",
        "trusted-host": "index.test\n  other.test",
        "find-links": "https://wheels.test/",
        "timeout": "180",
    }
    assert found.certificates is None
    assert "cert" not in found.text()


def test_certificates_are_read_from_where_the_build_finds_them(tmp_path: Path) -> None:
    mine = tmp_path / "ca.crt"
    mine.touch()

    found = pip_settings.parse(f"global.cert='{mine}'\n", {"SSL_CERT_FILE": "/not/there"})

    assert found.certificates == mine
    assert found.text() == "[global]\ncert = /run/secrets/ca\n"
    assert pip_settings.parse("", {"SSL_CERT_FILE": str(mine)}).certificates == mine
    assert pip_settings.parse("global.cert='/not/there'\n", {}).certificates is None


def test_the_settings_of_this_machine_can_be_read() -> None:
    assert pip_settings.read().text().startswith("[global]\n")
