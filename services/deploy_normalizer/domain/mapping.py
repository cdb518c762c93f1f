"""Which service a change is of: rules from repository, application, environment and touched paths.

Rules are tried in order. The first that matches and names no paths ends the search; a rule with paths adds its
service and the search goes on, so that one push to a repository of many services counts for each it touches. Globs
know `*` (any text, `/` included), `?` and `[...]`; letters count as they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from libs.kernel.errors import IncidentScopeError
from services.deploy_normalizer.domain.deploy import Provider
from services.deploy_normalizer.domain.fields import NAME_CHARS

MATCHERS = ("provider", "repository", "app", "environment")
PATHS = "paths"
MAX_RULES = 10_000


class BadRules(IncidentScopeError):
    """The rules cannot be used; the message says which one, and why."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a change; empty is unknown. A matcher on something unknown does not match."""

    provider: Provider
    repository: str = ""
    app: str = ""
    environment: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """Every glob given must match; of several in a list, one. An empty tuple asks for nothing."""

    service: str
    provider: tuple[str, ...] = ()
    repository: tuple[str, ...] = ()
    app: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def matches(self, subject: Subject) -> bool:
        """Tell whether a change is one this rule speaks of."""
        if not all(_any(getattr(self, name), getattr(subject, name)) for name in MATCHERS):
            return False
        return not self.paths or any(_any(self.paths, path) for path in subject.paths)


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """An ordered list of rules."""

    rules: tuple[Rule, ...] = ()

    def services(self, subject: Subject) -> tuple[str, ...]:
        """Return the services of a change, each once, in the rules' order; none when no rule speaks of it."""
        found: dict[str, None] = {}
        for rule in self.rules:
            if not rule.matches(subject):
                continue
            if rule.paths:
                found[rule.service] = None
            else:
                return tuple(found) or (rule.service,)
        return tuple(found)


NO_RULES = ServiceRules()


def parse_rules(content: object) -> ServiceRules:
    """Return the rules of a parsed document, `{"rules": [{"service": ..., "match": {...}}]}`; raises BadRules."""
    if not isinstance(content, Mapping) or set(content) != {"rules"} or not isinstance(content["rules"], list):
        raise BadRules("the document must have exactly one field, `rules`, a list")
    if len(content["rules"]) > MAX_RULES:
        raise BadRules(f"there are more than {MAX_RULES} rules")
    return ServiceRules(tuple(_rule(f"rules[{n}]", rule) for n, rule in enumerate(content["rules"])))


def _rule(where: str, rule: object) -> Rule:
    if not isinstance(rule, Mapping) or not set(rule) <= {"service", "match"}:
        raise BadRules(f"{where} must be an object with the fields `service` and `match`")
    service, match = rule.get("service"), rule.get("match", {})
    if not _name(service):
        raise BadRules(f"{where}.service must be text of 1 to {NAME_CHARS} characters")
    if not isinstance(match, Mapping):
        raise BadRules(f"{where}.match must be an object")
    unknown = sorted(str(name) for name in match if name not in (*MATCHERS, PATHS))
    if unknown:
        raise BadRules(f"{where}.match has the unknown field `{unknown[0]}`; known are {', '.join((*MATCHERS, PATHS))}")
    return Rule(str(service), **{str(name): _globs(f"{where}.match.{name}", value) for name, value in match.items()})


def _globs(where: str, value: object) -> tuple[str, ...]:
    globs = value if isinstance(value, list) else [value]
    if not globs or not all(_name(glob) for glob in globs):
        raise BadRules(f"{where} must be a text of 1 to {NAME_CHARS} characters, or a list of such")
    known = [provider.value for provider in Provider]
    if where.endswith(".provider") and not set(globs) <= set(known):
        raise BadRules(f"{where} must be one of {', '.join(known)}")
    return tuple(globs)


def _name(value: object) -> bool:
    return isinstance(value, str) and len(value.strip()) > 0 and len(value) <= NAME_CHARS and "\x00" not in value


def _any(globs: tuple[str, ...], text: str) -> bool:
    return not globs or (text != "" and any(fnmatchcase(text, glob) for glob in globs))
