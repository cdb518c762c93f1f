"""Rules from a TOML file."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from libs.kernel.errors import IncidentScopeError
from services.anomaly_detector.domain.rules import BaselineRule, Kind, Rule, RuleSet

BUILT_IN = "rules.toml"
KINDS = {kind.value for kind in Kind}
Fraction = Annotated[float, Field(gt=0, le=1)]
Factor = Annotated[float, Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
WindowMinutes = Annotated[int, Field(ge=1, le=15)]


class RulesInvalid(IncidentScopeError):
    """The rules cannot be used; the text names the file, the place and what is wrong."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Evaluation(_Table):
    every_seconds: Seconds
    resend_seconds: Seconds
    ends_after_seconds: Seconds
    settle_seconds: Annotated[float, Field(ge=0, le=600)] = 30

    @model_validator(mode="after")
    def _resent_in_time(self) -> _Evaluation:
        if self.ends_after_seconds < 2 * self.resend_seconds:
            raise ValueError(
                "ends_after_seconds must be at least twice resend_seconds, or alerts end between two sends"
            )
        return self


class _Baseline(_Table):
    minutes: Annotated[int, Field(ge=1, le=1440)]
    gap_minutes: Annotated[int, Field(ge=1, le=1440)]
    needed_minutes: Count
    minute_requests: Count
    burst_quantile: Fraction
    season_days: Annotated[list[Annotated[int, Field(ge=1, le=28)]], Field(max_length=4)] = []

    @model_validator(mode="after")
    def _can_be_met(self) -> _Baseline:
        if self.needed_minutes > self.minutes:
            raise ValueError("needed_minutes is more than minutes: no baseline would ever be enough")
        return self


class _Rule(_Table):
    name: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{2,63}$")]
    severity: Literal["info", "warning", "critical"]
    windows_minutes: Annotated[list[WindowMinutes], Field(min_length=1, max_length=4)]
    baseline_factor: Factor
    burst_factor: Factor
    fire_after: Count
    resolve_after: Count
    hold_down_seconds: Annotated[float, Field(ge=0, le=86_400)]
    no_data_seconds: Seconds
    min_sigmas: Annotated[float, Field(ge=0)] = 0.0

    def _made(self, kind: Kind, **more: Any) -> Rule:
        seconds = {"hold_down_seconds", "no_data_seconds", "new_usual_seconds"}
        values = self.model_dump(exclude={"kind", "windows_minutes", *seconds})
        return Rule(
            kind=kind,
            windows_minutes=tuple(sorted(set(self.windows_minutes))),
            hold_down=timedelta(seconds=self.hold_down_seconds),
            no_data_after=timedelta(seconds=self.no_data_seconds),
            **values,
            **more,
        )


class _Rise(_Rule):
    kind: Literal["error_ratio", "latency_p95"]
    min_requests: Count
    limit: Annotated[float, Field(gt=0)]
    warmup_limit: Annotated[float, Field(gt=0)]
    min_errors: Annotated[int, Field(ge=0)] = 0
    min_z: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _fits_its_kind(self) -> _Rise:
        if self.kind == "error_ratio" and max(self.limit, self.warmup_limit) > 1:
            raise ValueError("the limits of an error_ratio are fractions of requests, at most 1")
        if self.kind == "latency_p95" and (self.min_errors or self.min_z):
            raise ValueError("min_errors and min_z belong to error_ratio")
        return self

    def rule(self) -> Rule:
        """Return the rule."""
        return self._made(Kind(self.kind))


class _Drop(_Rule):
    kind: Literal["traffic_drop"]
    windows_minutes: Annotated[list[Annotated[int, Field(ge=2, le=15)]], Field(min_length=1, max_length=1)]
    baseline_factor: Annotated[float, Field(gt=1)]
    least_usual: Annotated[float, Field(gt=0)]
    lull_quantile: Fraction
    needed_minutes: Count
    new_usual_seconds: Seconds

    def rule(self) -> Rule:
        """Return the rule."""
        return self._made(Kind.TRAFFIC_DROP, new_usual_after=timedelta(seconds=self.new_usual_seconds))


class _File(_Table):
    evaluation: _Evaluation
    baseline: _Baseline
    rules: Annotated[list[Annotated[_Rise | _Drop, Field(discriminator="kind")]], Field(min_length=1)]

    @model_validator(mode="after")
    def _fit_together(self) -> _File:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError(f"two rules have the same name: {', '.join(names)}")
        widest = max((w for rule in self.rules if isinstance(rule, _Rise) for w in rule.windows_minutes), default=0)
        if self.baseline.gap_minutes < widest:
            raise ValueError(f"gap_minutes must be at least {widest}, the widest window: it would be its own baseline")
        for rule in self.rules:
            if isinstance(rule, _Drop):
                self._check_drop(rule)
        return self

    def _check_drop(self, rule: _Drop) -> None:
        if rule.needed_minutes > self.baseline.minutes:
            raise ValueError(f"{rule.name}: needed_minutes is more than the baseline's minutes: it could never fire")
        if rule.new_usual_seconds < 60 * (self.baseline.minutes + rule.windows_minutes[0]):
            raise ValueError(f"{rule.name}: new_usual_seconds must outlast the baseline, or a drop is told again")


def load_rules(path: Path | None) -> RuleSet:
    """Return the rules of a file, or the built-in ones; raises RulesInvalid."""
    name = str(path) if path else BUILT_IN
    try:
        written = (
            path.read_text() if path else resources.files("services.anomaly_detector").joinpath(BUILT_IN).read_text()
        )
        file = _File.model_validate(tomllib.loads(written))
    except OSError as exc:
        raise RulesInvalid(f"cannot read the anomaly rules {name}: {exc.strerror}") from exc
    except ValidationError as exc:
        raise RulesInvalid(f"the anomaly rules {name} are wrong: {_problems(exc)}") from exc
    except ValueError as exc:  # not TOML, or not text
        raise RulesInvalid(f"the anomaly rules {name} cannot be read as TOML: {exc}") from exc
    return _rule_set(file)


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{_place(e['loc'])}: {e['msg']}" for e in error.errors())


def _place(loc: tuple[int | str, ...]) -> str:
    """Return where in the file something is wrong, less the rule's kind that the check puts in between."""
    return ".".join(str(p) for n, p in enumerate(loc) if not (n == 2 and loc[0] == "rules" and p in KINDS)) or "file"


def _rule_set(file: _File) -> RuleSet:
    return RuleSet(
        every=timedelta(seconds=file.evaluation.every_seconds),
        settle_after=timedelta(seconds=file.evaluation.settle_seconds),
        resend_every=timedelta(seconds=file.evaluation.resend_seconds),
        ends_after=timedelta(seconds=file.evaluation.ends_after_seconds),
        baseline=BaselineRule(
            **{**file.baseline.model_dump(), "season_days": tuple(sorted(file.baseline.season_days))}
        ),
        rules=tuple(rule.rule() for rule in file.rules),
    )
