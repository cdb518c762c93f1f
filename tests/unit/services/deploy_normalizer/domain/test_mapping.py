"""From repository, application, environment and paths to services, and what is said of unusable rules."""

from __future__ import annotations

import pytest

from services.deploy_normalizer.domain.deploy import Provider
from services.deploy_normalizer.domain.mapping import BadRules, Subject, parse_rules

RULES = parse_rules({
    "rules": [
        {"service": "cart", "match": {"repository": "acme/shop", "paths": ["services/cart/*", "libs/money/*"]}},
        {"service": "checkout", "match": {"repository": "acme/shop", "paths": "services/checkout/*"}},
        {"service": "shop-eu", "match": {"repository": "acme/shop", "environment": ["eu-*", "europe"]}},
        {"service": "shop", "match": {"repository": "acme/shop"}},
        {"service": "ledger", "match": {"provider": "argocd", "app": "ledger-?"}},
    ]
})  # fmt: skip


@pytest.mark.parametrize(
    ("subject", "services"),
    [
        (Subject(Provider.GITHUB, "acme/shop", paths=("services/cart/x/y.py",)), ("cart",)),
        (Subject(Provider.GITHUB, "acme/shop", paths=("services/checkout/a", "libs/money/b")), ("cart", "checkout")),
        (Subject(Provider.GITHUB, "acme/shop", paths=("README.md",)), ("shop",)),
        (Subject(Provider.GITHUB, "acme/shop", environment="eu-1"), ("shop-eu",)),
        (Subject(Provider.GITLAB, "acme/shop", environment="us-1"), ("shop",)),
        (Subject(Provider.GITHUB, "acme/Shop"), ()),
        (Subject(Provider.ARGOCD, app="ledger-1"), ("ledger",)),
        (Subject(Provider.GITHUB, app="ledger-1"), ()),
        (Subject(Provider.ARGOCD, app="ledger-10"), ()),
        (Subject(Provider.GENERIC), ()),
    ],
)
def test_the_first_rule_that_matches_names_the_service_and_paths_may_name_several(
    subject: Subject, services: tuple[str, ...]
) -> None:
    assert RULES.services(subject) == services


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "exactly one field, `rules`"),
        ([], "exactly one field, `rules`"),
        ({"rules": {}}, "exactly one field, `rules`"),
        ({"rules": [], "rule": []}, "exactly one field, `rules`"),
        ({"rules": ["cart"]}, r"rules\[0\] must be an object"),
        ({"rules": [{"service": "a", "when": {}}]}, r"rules\[0\] must be an object"),
        ({"rules": [{"service": "a"}, {"service": ""}]}, r"rules\[1\].service"),
        ({"rules": [{"match": {}}]}, r"rules\[0\].service"),
        ({"rules": [{"service": "x" * 256}]}, r"rules\[0\].service"),
        ({"rules": [{"service": "a", "match": []}]}, r"rules\[0\].match must be an object"),
        ({"rules": [{"service": "a", "match": {"repo": "b"}}]}, "unknown field `repo`; known are provider"),
        ({"rules": [{"service": "a", "match": {"app": 7}}]}, r"rules\[0\].match.app"),
        ({"rules": [{"service": "a", "match": {"paths": []}}]}, r"rules\[0\].match.paths"),
        ({"rules": [{"service": "a", "match": {"provider": "gitea"}}]}, "one of github, argocd"),
        ({"rules": [{"service": "a"}] * 10_001}, "more than 10000"),
    ],
)
def test_unusable_rules_are_refused_with_the_place_and_the_reason(content: object, problem: str) -> None:
    with pytest.raises(BadRules, match=problem):
        parse_rules(content)
