"""Settings of the router from the environment, good and bad."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from services.alert_router.__main__ import main
from services.alert_router.settings import AlertRouterSettings


def test_the_defaults_group_by_service_and_tell_within_seconds() -> None:
    route = AlertRouterSettings().route
    assert (route.group_by, route.group_wait, route.group_interval) == (
        ("service",), timedelta(seconds=5), timedelta(seconds=15),
    )  # fmt: skip


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_GROUP_BY", "alertname, service")
    monkeypatch.setenv("ALERT_GROUP_WAIT", "1m30s")
    monkeypatch.setenv("ALERT_SERVICE_LABELS", "app")
    settings = AlertRouterSettings()
    assert settings.route.group_by == ("alertname", "service")
    assert settings.route.group_wait == timedelta(seconds=90)
    assert settings.service_labels == ("app",)
    assert AlertRouterSettings(alert_service_labels="").service_labels == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALERT_GROUP_WAIT", "soon"),
        ("ALERT_GROUP_INTERVAL", "0"),
        ("ALERT_GROUP_BY", "...,service"),
        ("ALERT_GROUP_BY", "a,a"),
        ("ALERT_MAX_BODY_BYTES", "1"),
        ("HEALTH_PORT", "70000"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        AlertRouterSettings()
    assert main() == 2
    assert "alert_router: wrong settings" in capsys.readouterr().err
