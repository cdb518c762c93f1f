"""What a webhook does: authentic? readable? about a deploy? then recorded. And the look-up of deploys, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from libs.kernel.errors import IncidentScopeError, InvalidInput
from services.deploy_normalizer import decode
from services.deploy_normalizer.domain import argocd, github
from services.deploy_normalizer.domain.deploy import Deploy, Report
from services.deploy_normalizer.domain.github import GithubRules, Ignored
from services.deploy_normalizer.domain.query import DeployQuery, page_token, place_of
from services.deploy_normalizer.domain.signature import Secrets, Verdict, check_bearer, check_github
from services.deploy_normalizer.ports import DeployStore, Effect

MAX_DELIVERY_CHARS = 128
_ADVICE: Mapping[Verdict, str] = {
    Verdict.MISSING: "is missing",
    Verdict.MALFORMED: "does not have the form it must have",
    Verdict.MISMATCH: "does not match; check that both sides have the same secret",
    Verdict.EXPIRED: "was made too long ago or ahead; check the sender's clock",
}


class Outcome(StrEnum):
    """How a webhook ended, in broad terms; the reason says more."""

    ACCEPTED = "accepted"
    IGNORED = "ignored"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told. `reason` is a stable label, `message` one sentence for a person."""

    outcome: Outcome
    reason: str
    message: str
    deploy_id: str = ""


class NotAuthentic(IncidentScopeError):
    """The webhook cannot be trusted; `verdict` says why."""

    def __init__(self, verdict: Verdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


_RECORDED: Mapping[Effect, str] = {
    Effect.RECORDED: "the deploy is recorded",
    Effect.UNCHANGED: "this says nothing new about the deploy",
    Effect.DUPLICATE_DELIVERY: "this delivery was acted on before",
}
_IGNORED: Mapping[Ignored, str] = {
    Ignored.PING: "the webhook is set up",
    Ignored.UNSUPPORTED_EVENT: "this event tells of no deploy; send deployment, deployment_status or workflow_run",
    Ignored.NOT_A_DEPLOY_WORKFLOW: "no name of this workflow matches GITHUB_DEPLOY_WORKFLOWS",
}


@dataclass(frozen=True, slots=True)
class GithubWebhook:
    """Takes GitHub's deliveries."""

    store: DeployStore
    secrets: Secrets
    rules: GithubRules
    content_types = (decode.JSON_TYPE, decode.FORM_TYPE)

    async def receive(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Act on a delivery, header names in lower case; raises NotAuthentic, InvalidInput or Unavailable."""
        media = decode.media_type(headers.get("content-type", ""), self.content_types)
        verdict = check_github(self.secrets.of(tenant), body, headers.get("x-hub-signature-256", ""))
        _demand(verdict, "X-Hub-Signature-256", "GITHUB_WEBHOOK_SECRET")
        event = _header(headers, "X-GitHub-Event")
        report = github.read(event, decode.json_object(body, media), self.rules)
        if isinstance(report, Ignored):
            outcome = Outcome.ACCEPTED if report is Ignored.PING else Outcome.IGNORED
            return Answer(outcome, report.value, _IGNORED[report])
        return await _record(self.store, tenant, report, _header(headers, "X-GitHub-Delivery"))


@dataclass(frozen=True, slots=True)
class ArgocdWebhook:
    """Takes Argo CD's notifications. They bear no delivery id; repeating one changes nothing."""

    store: DeployStore
    tokens: Secrets
    content_types = (decode.JSON_TYPE,)

    async def receive(self, tenant: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Act on a notification, header names in lower case; raises NotAuthentic, InvalidInput or Unavailable."""
        media = decode.media_type(headers.get("content-type", ""), self.content_types)
        verdict = check_bearer(self.tokens.of(tenant), headers.get("authorization", ""))
        _demand(verdict, "Authorization: Bearer <token>", "ARGOCD_WEBHOOK_TOKEN")
        return await _record(self.store, tenant, argocd.read(decode.json_object(body, media)), "")


@dataclass(frozen=True, slots=True)
class DeployLookup:
    """Answers what changed."""

    store: DeployStore

    async def page(self, tenant: str, query: DeployQuery, size: int) -> tuple[list[Deploy], str]:
        """Return up to `size` deploys, newest first, and the token of the next page or an empty text."""
        found = await self.store.touching(tenant, query, size + 1)
        page, more = found[:size], len(found) > size
        return page, page_token(query, place_of(page[-1])) if more else ""

    async def find(self, tenant: str, deploy_id: str) -> Deploy | None:
        """Return one deploy of the tenant, or None."""
        return await self.store.find(tenant, deploy_id)


async def _record(store: DeployStore, tenant: str, report: Report, delivery: str) -> Answer:
    recorded = await store.record(tenant, report, delivery)
    deploy_id = recorded.deploy.id if recorded.deploy else ""
    return Answer(Outcome.ACCEPTED, recorded.effect.value, _RECORDED[recorded.effect], deploy_id)


def _demand(verdict: Verdict, header: str, variable: str) -> None:
    if verdict is Verdict.NOT_CONFIGURED:
        raise NotAuthentic(verdict, f"no secret is configured, so nothing can be verified; set {variable}")
    if verdict is not Verdict.AUTHENTIC:
        raise NotAuthentic(verdict, f"the header `{header}` {_ADVICE[verdict]}")


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name.lower(), "").strip()
    if not value:
        raise InvalidInput("missing_header", f"the header {name} is missing")
    if len(value) > MAX_DELIVERY_CHARS or not value.isprintable():
        raise InvalidInput("bad_header", f"the header {name} is not usable")
    return value
