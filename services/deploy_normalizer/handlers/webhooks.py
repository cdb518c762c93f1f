"""What each sender's webhook does: authentic? readable? about a change? then recorded, and kept even where not read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from libs.kernel.clock import Clock, SystemClock
from libs.kernel.errors import InvalidInput
from services.deploy_normalizer import decode
from services.deploy_normalizer.domain import argocd, generic, github, github_changes, gitlab
from services.deploy_normalizer.domain.deploy import Provider, Report, deploy_id
from services.deploy_normalizer.domain.fields import PROSE_CHARS, BadField, Json
from services.deploy_normalizer.domain.github import GithubRules
from services.deploy_normalizer.domain.github import Ignored as GithubIgnored
from services.deploy_normalizer.domain.mapping import ServiceRules
from services.deploy_normalizer.domain.signature import Verdict, check_authorization, check_github, check_token
from services.deploy_normalizer.domain.standard_webhooks import SignedHeaders, check_standard
from services.deploy_normalizer.domain.tenant_secrets import Secrets
from services.deploy_normalizer.domain.usable import read_usable
from services.deploy_normalizer.handlers.answers import Answer, NotAuthentic, Outcome
from services.deploy_normalizer.ports import DeployStore, Effect, Recorded, Unread

MAX_DELIVERY_CHARS = 128
UNSUPPORTED_EVENT = "unsupported_event"
Headers = Mapping[str, str]
_ADVICE: Mapping[Verdict, str] = {
    Verdict.MISSING: "is missing",
    Verdict.MALFORMED: "does not have the form it must have",
    Verdict.MISMATCH: "does not match; check that both sides have the same secret",
    Verdict.EXPIRED: "was made too long ago or ahead; check the sender's clock",
}
_RECORDED: Mapping[Effect, str] = {
    Effect.RECORDED: "the change is recorded",
    Effect.UNCHANGED: "this says nothing new about the change",
    Effect.DUPLICATE_DELIVERY: "this delivery was acted on before",
}
_IGNORED: Mapping[str, str] = {
    GithubIgnored.PING: "the webhook is set up",
    UNSUPPORTED_EVENT: "this event tells of no change known here; it is kept unread",
    GithubIgnored.NOT_A_DEPLOY_WORKFLOW: "no name of this workflow matches GITHUB_DEPLOY_WORKFLOWS",
    GithubIgnored.PULL_REQUEST: "a run for a pull request changes nothing that runs",
    GithubIgnored.FORK: "a run of a fork changes nothing that runs",
    GithubIgnored.DEPLOYMENTS_TELL: "this repository sends deployments, which tell it better",
    GithubIgnored.REF_DELETED: "a branch or tag was deleted, no code changed",
    GithubIgnored.OTHER_BRANCH: "this is neither a tag nor the repository's default branch",
    GithubIgnored.NOT_PUBLISHED: "the release was neither published nor withdrawn",
}


class Ignored(Protocol):
    """A reason to do nothing."""

    @property
    def value(self) -> str:
        """Return it as a stable label."""
        ...


Found = tuple[Report, ...] | Ignored
Part = tuple[Found, tuple[BadField, ...]]  # what was found, and the fields left aside for it
LEFT_ASIDE = "left_aside"


@dataclass(frozen=True, slots=True)
class Delivery:
    """An authentic webhook: who sent it, its id (empty when the sender has none) and event, and its bytes."""

    tenant: str
    provider: Provider
    id: str
    event: str
    body: bytes


@dataclass(frozen=True, slots=True)
class GithubWebhook:
    """Takes GitHub's deliveries."""

    store: DeployStore
    secrets: Secrets
    rules: GithubRules
    mapping: Callable[[], ServiceRules] = ServiceRules
    content_types = (decode.JSON_TYPE, decode.FORM_TYPE)

    async def receive(self, tenant: str, headers: Headers, body: bytes) -> Answer:
        """Act on a delivery, header names in lower case; raises NotAuthentic, InvalidInput or Unavailable."""
        media = decode.media_type(headers.get("content-type", ""), self.content_types)
        verdict = check_github(self.secrets.of(tenant), body, headers.get("x-hub-signature-256", ""))
        _demand(verdict, "X-Hub-Signature-256", "GITHUB_WEBHOOK_SECRET")
        event, number = _header(headers, "X-GitHub-Event"), _header(headers, "X-GitHub-Delivery")
        rules = replace(self.rules, mapping=self.mapping())

        def read(said: Json) -> Found:
            return github_changes.read_all(event, said, rules)

        def usable() -> Part:
            return read_usable(read, github.opened(decode.json_object(body, media)))

        delivery = Delivery(tenant, Provider.GITHUB, number, event, body)
        found, aside = await _read(self.store, delivery, usable)
        if isinstance(found, tuple) and await self._told_better(tenant, found):
            found = GithubIgnored.DEPLOYMENTS_TELL
        return await _end(self.store, delivery, found, aside)

    async def _told_better(self, tenant: str, reports: Sequence[Report]) -> bool:
        """Tell whether these are of a run whose repository sends deployments; a run that is known goes on."""
        if reports[0].event != "workflow_run" or not self.rules.by_default:
            return False
        known = await self.store.find(tenant, deploy_id(tenant, Provider.GITHUB, reports[0].external_id))
        return known is None and await self.store.tells_deployments(tenant, reports[0].repository)


@dataclass(frozen=True, slots=True)
class GitlabWebhook:
    """Takes GitLab's deliveries, each with its secret token or a Standard Webhooks signature.

    A signature decides where there is one and `signing` knows a secret; a token does not make up for a bad one.
    """

    store: DeployStore
    tokens: Secrets
    signing: Secrets
    mapping: Callable[[], ServiceRules] = ServiceRules
    clock: Clock = field(default_factory=SystemClock)
    content_types = (decode.JSON_TYPE,)

    async def receive(self, tenant: str, headers: Headers, body: bytes) -> Answer:
        """Act on a delivery, header names in lower case; raises NotAuthentic, InvalidInput or Unavailable."""
        media = decode.media_type(headers.get("content-type", ""), self.content_types)
        number = self._authenticate(tenant, headers, body)
        event = headers.get("x-gitlab-event", "")[:MAX_DELIVERY_CHARS]

        def read(said: Json) -> Found:
            found = gitlab.read(said, self.mapping())
            return found if isinstance(found, gitlab.Ignored) else (found,)

        def usable() -> Part:
            return read_usable(read, decode.json_object(body, media))

        return await _act(self.store, Delivery(tenant, Provider.GITLAB, number, event, body), usable)

    def _authenticate(self, tenant: str, headers: Headers, body: bytes) -> str:
        """Return the delivery's id, empty when it has none; raises NotAuthentic or InvalidInput."""
        signing, tokens = self.signing.of(tenant), self.tokens.of(tenant)
        if signing and (headers.get("webhook-signature") or not tokens):
            verdict = check_standard(signing, body, _signed(headers), self.clock.now())
            _demand(verdict, "webhook-signature", "GITLAB_SIGNING_SECRET")
            return _header(headers, "webhook-id")
        _demand(check_token(tokens, headers.get("x-gitlab-token", "")), "X-Gitlab-Token", "GITLAB_WEBHOOK_TOKEN")
        return _header(headers, "Idempotency-Key") if headers.get("idempotency-key") else ""


@dataclass(frozen=True, slots=True)
class GenericWebhook:
    """Takes the JSON of domain/generic.py, signed over its raw bytes or as Standard Webhooks says."""

    store: DeployStore
    secrets: Secrets
    mapping: Callable[[], ServiceRules] = ServiceRules
    clock: Clock = field(default_factory=SystemClock)
    content_types = (decode.JSON_TYPE,)

    async def receive(self, tenant: str, headers: Headers, body: bytes) -> Answer:
        """Act on a delivery, header names in lower case; raises NotAuthentic, InvalidInput or Unavailable."""
        media = decode.media_type(headers.get("content-type", ""), self.content_types)
        number = self._authenticate(tenant, headers, body)

        def whole() -> Part:
            return generic.read(decode.json_object(body, media), self.mapping()), ()

        return await _act(self.store, Delivery(tenant, Provider.GENERIC, number, "change", body), whole)

    def _authenticate(self, tenant: str, headers: Headers, body: bytes) -> str:
        """Return the delivery's id, a digest of the body where only the body is signed; raises NotAuthentic."""
        secrets, variable = self.secrets.of(tenant), "GENERIC_WEBHOOK_SECRET"
        if headers.get("webhook-signature"):
            verdict = check_standard(secrets, body, _signed(headers), self.clock.now())
            _demand(verdict, "webhook-signature", variable)
            return _header(headers, "webhook-id")
        _demand(check_github(secrets, body, headers.get("x-signature-256", "")), "X-Signature-256", variable)
        return _digest(body)


@dataclass(frozen=True, slots=True)
class ArgocdWebhook:
    """Takes Argo CD's notifications. They bear no delivery id; repeating one changes nothing."""

    store: DeployStore
    tokens: Secrets
    mapping: Callable[[], ServiceRules] = ServiceRules
    content_types = (decode.JSON_TYPE,)

    async def receive(self, tenant: str, headers: Headers, body: bytes) -> Answer:
        """Act on a notification, header names in lower case; raises NotAuthentic, InvalidInput or Unavailable."""
        media = decode.media_type(headers.get("content-type", ""), self.content_types)
        verdict = check_authorization(self.tokens.of(tenant), headers.get("authorization", ""))
        _demand(verdict, "Authorization: Bearer <token>", "ARGOCD_WEBHOOK_TOKEN")

        def read(said: Json) -> Found:
            return (argocd.read(said, self.mapping()),)

        def usable() -> Part:
            return read_usable(read, decode.json_object(body, media))

        return await _act(self.store, Delivery(tenant, Provider.ARGOCD, "", "sync", body), usable)


async def _act(store: DeployStore, delivery: Delivery, read: Callable[[], Part]) -> Answer:
    """Record what an authentic delivery reports."""
    return await _end(store, delivery, *await _read(store, delivery, read))


async def _read(store: DeployStore, delivery: Delivery, read: Callable[[], Part]) -> Part:
    """Return what an authentic delivery reports; one that cannot be read is kept as it came. Raises InvalidInput."""
    try:
        return read()
    except InvalidInput as exc:
        await store.keep_unread(delivery.tenant, _unread(delivery, exc.reason, str(exc)))
        raise


async def _end(store: DeployStore, delivery: Delivery, found: Found, aside: Sequence[BadField]) -> Answer:
    """Record what was found, or answer why it is ignored; a delivery of which not all was used is kept besides."""
    if isinstance(found, tuple):
        answer = await _record(store, delivery, found)
        return await _tell(store, delivery, answer, aside) if aside else answer
    reason = found.value
    if reason == UNSUPPORTED_EVENT:
        await store.keep_unread(delivery.tenant, _unread(delivery, reason, _IGNORED[reason]))
    outcome = Outcome.ACCEPTED if reason == GithubIgnored.PING else Outcome.IGNORED
    return Answer(outcome, reason, _IGNORED[reason])


async def _tell(store: DeployStore, delivery: Delivery, answer: Answer, aside: Sequence[BadField]) -> Answer:
    """Keep a delivery of which not all could be used, and say so in its answer."""
    problem = "; ".join(str(bad) for bad in aside)
    await store.keep_unread(delivery.tenant, _unread(delivery, LEFT_ASIDE, problem))
    return replace(answer, message=f"{answer.message}; left aside: {problem}"[:PROSE_CHARS])


async def _record(store: DeployStore, delivery: Delivery, reports: Sequence[Report]) -> Answer:
    """Record the reports one by one, each with an id of its own, so that a delivery cut short can be sent again."""
    done: list[Recorded] = []
    for place, report in enumerate(reports):
        number = f"{delivery.id}#{place}" if delivery.id and place else delivery.id
        done.append(await store.record(delivery.tenant, report, number))
    effects = [recorded.effect for recorded in done]
    effect = next(effect for effect in Effect if effect in effects)
    deploys = [recorded.deploy for recorded in done if recorded.deploy is not None]
    return Answer(Outcome.ACCEPTED, effect.value, _RECORDED[effect], deploys[0].id if deploys else "")


def _unread(delivery: Delivery, reason: str, problem: str) -> Unread:
    number = delivery.id or _digest(delivery.body)
    event = delivery.event.replace("\x00", "")
    # PostgreSQL's text holds no NUL, and a problem may quote the sender.
    problem = problem.replace("\x00", "").encode("utf-8", "replace").decode()[:PROSE_CHARS]
    return Unread(delivery.provider, number, event, reason, problem, delivery.body)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _signed(headers: Headers) -> SignedHeaders:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return SignedHeaders(*(headers.get(name, "") for name in names))


def _demand(verdict: Verdict, header: str, variable: str) -> None:
    if verdict is Verdict.NOT_CONFIGURED:
        raise NotAuthentic(verdict, f"no secret is configured, so nothing can be verified; set {variable}")
    if verdict is not Verdict.AUTHENTIC:
        raise NotAuthentic(verdict, f"the header `{header}` {_ADVICE[verdict]}")


def _header(headers: Headers, name: str) -> str:
    value = headers.get(name.lower(), "").strip()
    if not value:
        raise InvalidInput("missing_header", f"the header {name} is missing")
    if len(value) > MAX_DELIVERY_CHARS or not value.isprintable():
        raise InvalidInput("bad_header", f"the header {name} is not usable")
    return value
