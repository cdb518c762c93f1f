"""Which environment an outage is in, and which deploys can have to do with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from services.correlation_engine.domain.model import Change

PRODUCTION = "production"
LABELS = ("deployment_environment_name", "deployment_environment", "environment", "env", "stage")
LEAST_SHARE = 0.1  # of what fails, or else of all, that an environment must have for the outage to be in it too
_WORDS: Mapping[str, Sequence[str]] = {
    PRODUCTION: ("production", "prod", "prd", "live"),
    "staging": ("staging", "stage", "stg", "preprod", "preproduction", "preprd", "nonprod", "nonproduction"),
    "testing": ("testing", "test", "tst", "qa", "uat", "acceptance", "acc", "integration", "e2e", "ci"),
    "development": ("development", "develop", "dev", "sandbox", "local", "localhost"),
    "preview": ("preview", "previews", "review", "reviews", "ephemeral"),
    "demo": ("demo", "training"),
    "pages": ("pages", "docs"),
}
_STAGES = {word: stage for stage, words in _WORDS.items() for word in words}
_TOKEN = re.compile(r"[a-z0-9]+")
_BEFORE_PRODUCTION = re.compile(r"\b(pre|non)[-_ ]+(?=pro?d)")


def of_labels(alerts: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the environments that the labels of alerts name, each once."""
    named = (next((labels[name] for name in LABELS if labels.get(name, "").strip()), "") for labels in alerts)
    return tuple(dict.fromkeys(name.strip() for name in named if name.strip()))


def of_records(seen: Iterable[tuple[str, int, int]]) -> tuple[str, ...]:
    """Return the environments an outage is in, from how many records, and failed ones, each has; most first."""
    known = [row for row in seen if row[0]]
    failed = Counter({name: failures for name, _, failures in known if failures})
    weights = failed or Counter({name: records for name, records, _ in known})
    return tuple(name for name, weight in weights.most_common() if weight >= LEAST_SHARE * weights.total())


def suspects(changes: Iterable[Change], environments: Sequence[str]) -> tuple[Change, ...]:
    """Return the deploys that can have to do with an outage in these environments; without any, all.

    One to an environment that is not known may. So may one whose name and the outage's are of two vocabularies, as a
    namespace and a stage are, unless its service has another deploy to the environment itself.
    """
    found = list(changes)
    here = frozenset(c for c in found if any(same(c.environment, e) for e in environments))
    placed = {c.service for c in here}
    return tuple(
        c
        for c in found
        if c in here or not c.environment or not environments or (c.service not in placed and _may(c, environments))
    )


def _may(change: Change, environments: Sequence[str]) -> bool:
    """Tell whether a deploy's environment and the outage's are named in two vocabularies, so that they may be one."""
    stage, others = stage_of(change.environment), [stage_of(e) for e in environments]
    return stage == PRODUCTION and "" in others if stage else any(others)


def same(one: str, other: str) -> bool:
    """Tell whether two names are of one environment: `prod` and `production-eu` may be, `prod-eu` and `prod-us` not."""
    mine, theirs = _tokens(one), _tokens(other)
    if not mine or not theirs or stage_of(one) != stage_of(other):
        return False
    return mine <= theirs or theirs <= mine


def stage_of(name: str) -> str:
    """Return the stage a name tells, empty when it tells none; what is not production alone is not production."""
    stages = [_STAGES[word] for word in _words(name) if word in _STAGES]
    return next((stage for stage in stages if stage != PRODUCTION), stages[0] if stages else "")


def _tokens(name: str) -> frozenset[str]:
    return frozenset(_STAGES.get(word, word) for word in _words(name))


def _words(name: str) -> list[str]:
    return _TOKEN.findall(_BEFORE_PRODUCTION.sub(r"\1", name.lower()))
