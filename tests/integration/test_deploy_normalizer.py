"""The deploy normalizer as users meet it: webhooks in, events and answers out, over real sockets and servers."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from incidentscope.deploy.v1 import deploy_pb2
from incidentscope.deploy.v1 import deploy_service_pb2 as pb
from incidentscope.deploy.v1.deploy_events_pb2 import DeployChanged
from incidentscope.deploy.v1.deploy_service_pb2_grpc import DeployServiceStub

from libs.storage.migrate import migrate_postgres
from scripts.create_topics import create
from services.deploy_normalizer.domain.signature import github_signature
from services.deploy_normalizer.domain.tenant_secrets import derived
from tests.integration.deploy_world import ROOT, Normalizer, wait_until
from tests.unit.services.deploy_normalizer.world import (
    ROOT_SECRET,
    SECRET,
    TOKEN,
    argocd_sync,
    as_bytes,
    deployment_status,
    generic_change,
    gitlab_deployment,
    minutes,
    without,
)

GOOD = as_bytes(deployment_status())
NOW_IDS = iter(range(1, 1_000_000))


@pytest.fixture(scope="module")
def normalizer(stack: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Normalizer]:
    migrate_postgres(stack.postgres_url, ROOT / "infra/postgres")
    create(stack.kafka_bootstrap)
    process = Normalizer(stack.postgres_service_url, stack.kafka_bootstrap, tmp_path_factory.mktemp("deploy"))
    process.start()
    yield process
    assert process.stop() == 0
    logged = process.log_file.read_text()
    assert "Traceback" not in logged
    assert SECRET not in logged
    assert TOKEN not in logged


def a_deploy(state: str, at: str, number: int, service: str) -> bytes:
    body = deployment_status(state, at, number)
    body["deployment"]["payload"]["service"] = service
    return as_bytes(body)


def changes_of(normalizer: Normalizer, service: str) -> list[deploy_pb2.Deploy]:
    data = [event.data for event in normalizer.published()]
    return [d.deploy for d in data if isinstance(d, DeployChanged) and d.deploy.service == service]


def statuses(deploys: list[deploy_pb2.Deploy]) -> list[str]:
    return [deploy_pb2.DeployStatus.Name(d.status).removeprefix("DEPLOY_STATUS_") for d in deploys]


def test_a_deploy_posted_as_github_does_is_announced_and_found(normalizer: Normalizer) -> None:
    number, service = next(NOW_IDS), f"s-{uuid.uuid4().hex[:8]}"
    began = normalizer.github(a_deploy("in_progress", "2026-05-04T12:02:00Z", number, service))
    ended = normalizer.github(a_deploy("success", "2026-05-04T12:05:00Z", number, service))
    assert (began.status_code, ended.status_code) == (200, 200)
    assert began.json()["deploy_id"] == ended.json()["deploy_id"]
    [deploy] = normalizer.list_deploys(services=[service]).deploys
    assert deploy.id == ended.json()["deploy_id"]
    assert (deploy.tenant_id, deploy.environment, deploy.version) == (normalizer.tenant, "production", "v2")
    assert deploy.started_at.ToDatetime(UTC) == minutes(2)
    assert deploy.finished_at.ToDatetime(UTC) == minutes(5)
    assert normalizer.get_deploy(deploy.id).deploy == deploy
    wait_until(lambda: len(changes_of(normalizer, service)) == 2, "both events")
    changes = changes_of(normalizer, service)
    assert statuses(changes) == ["IN_PROGRESS", "SUCCEEDED"]
    assert changes[-1] == deploy


def test_reports_out_of_order_end_where_the_provider_says(normalizer: Normalizer) -> None:
    number, service = next(NOW_IDS), f"s-{uuid.uuid4().hex[:8]}"
    for state, at in (("success", "12:05"), ("in_progress", "12:02"), ("queued", "12:01")):
        normalizer.github(a_deploy(state, f"2026-05-04T{at}:00Z", number, service))
    [deploy] = normalizer.list_deploys(services=[service]).deploys
    assert statuses([deploy]) == ["SUCCEEDED"]
    assert deploy.started_at.ToDatetime(UTC) == minutes(2)


def test_a_replayed_delivery_is_answered_and_announced_once(normalizer: Normalizer) -> None:
    service = f"s-{uuid.uuid4().hex[:8]}"
    body, delivery = a_deploy("success", "2026-05-04T12:05:00Z", next(NOW_IDS), service), str(uuid.uuid4())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: normalizer.github(body, delivery), range(16)))
    assert [a.status_code for a in answers] == [200] * 16
    reasons = sorted(a.json()["reason"] for a in answers)
    assert reasons == ["duplicate_delivery"] * 15 + ["recorded"]
    wait_until(lambda: bool(changes_of(normalizer, service)), "the event")
    assert statuses(changes_of(normalizer, service)) == ["SUCCEEDED"]


def test_argo_cd_is_heard_for_the_tenant_in_the_path(normalizer: Normalizer) -> None:
    service = f"s-{uuid.uuid4().hex[:8]}"
    url = normalizer.url(f"/webhooks/{normalizer.other}/argocd")
    refused = httpx.post(url, json=argocd_sync(service=service), headers={"authorization": f"Bearer {TOKEN}"})
    assert (refused.status_code, refused.json()["reason"]) == (401, "bad_signature")
    headers = {"authorization": f"Bearer {derived(ROOT_SECRET, 'argocd', normalizer.other)}"}
    answer = httpx.post(url, json=argocd_sync(service=service, images=[f"shop/{service}:1.4.2"]), headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (200, "recorded")
    [deploy] = normalizer.list_deploys(normalizer.other, services=[service]).deploys
    assert (deploy.provider, deploy.version) == (deploy_pb2.PROVIDER_ARGOCD, "1.4.2")


def test_a_tenant_never_sees_another_ones_deploys(normalizer: Normalizer) -> None:
    service = f"s-{uuid.uuid4().hex[:8]}"
    body = a_deploy("success", "2026-05-04T12:05:00Z", next(NOW_IDS), service)
    deploy_id = normalizer.github(body, tenant=normalizer.other).json()["deploy_id"]
    assert [d.id for d in normalizer.list_deploys(normalizer.other, services=[service]).deploys] == [deploy_id]
    assert list(normalizer.list_deploys(services=[service]).deploys) == []
    with pytest.raises(grpc.RpcError) as refused:
        normalizer.get_deploy(deploy_id)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


BAD: list[tuple[str, bytes, dict[str, str], int, str]] = [
    ("bad signature", GOOD, {"x_hub_signature_256": "sha256=" + "0" * 64}, 401, "bad_signature"),
    ("no signature", GOOD, {"x_hub_signature_256": ""}, 401, "missing_signature"),
    ("truncated JSON", GOOD[: len(GOOD) // 2], {}, 400, "malformed_json"),
    ("random bytes", random.Random(1).randbytes(2000), {}, 400, "malformed_json"),
    ("10 MiB body", b" " * (10 * 1024 * 1024), {}, 413, "body_too_large"),
    ("wrong content type", GOOD, {"content_type": "text/plain"}, 415, "unsupported_content_type"),
    ("missing field", as_bytes(without(deployment_status(), "deployment.id")), {}, 422, "missing_field"),
    ("NUL in a name", as_bytes(deployment_status() | {"repository": {"name": "a\x00"}}), {}, 422, "bad_field"),
    ("unknown tenant", GOOD, {"tenant": "ghost"}, 404, "unknown_tenant"),
    ("unknown API key", GOOD, {"x_api_key": "guess"}, 401, "unknown_api_key"),
]


@pytest.mark.parametrize(("body", "changes", "status", "reason"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input_gets_a_status_and_a_reason_and_leaves_no_trace(
    normalizer: Normalizer, body: bytes, changes: dict[str, str], status: int, reason: str
) -> None:
    before = len(normalizer.list_deploys(page_size=1000).deploys)
    answer = normalizer.github(body, **changes)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.json()["message"]
    assert len(normalizer.list_deploys(page_size=1000).deploys) == before
    assert normalizer.ready()


def test_a_body_without_a_length_is_bounded_too(normalizer: Normalizer) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(10):
            yield b" " * 1024 * 1024

    headers = {"content-type": "application/json"}
    answer = httpx.post(normalizer.url("/webhooks/github"), content=chunks(), headers=headers, timeout=20)
    assert (answer.status_code, answer.json()["reason"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"page_size": 1001}, grpc.StatusCode.INVALID_ARGUMENT, "page_size"),
        ({"page_token": "forged"}, grpc.StatusCode.INVALID_ARGUMENT, "page_token"),
        ({"end_time": Timestamp(seconds=1)}, grpc.StatusCode.INVALID_ARGUMENT, "end_time"),
        ({"services": [""]}, grpc.StatusCode.INVALID_ARGUMENT, "services"),
        ({"tenant": "ghost"}, grpc.StatusCode.UNAUTHENTICATED, "unknown_tenant"),
    ],
)
def test_a_bad_question_names_its_field(
    normalizer: Normalizer, changes: dict[str, Any], code: grpc.StatusCode, field: str
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        normalizer.list_deploys(**changes)
    assert refused.value.code() is code
    assert field in str(refused.value.details())


def test_the_answer_comes_in_pages(normalizer: Normalizer) -> None:
    service = f"s-{uuid.uuid4().hex[:8]}"
    sent = [
        normalizer.github(a_deploy("success", f"2026-05-04T12:{m}:00Z", next(NOW_IDS), service)).json()["deploy_id"]
        for m in range(10, 15)
    ]
    seen, token = [], ""
    while True:
        page = normalizer.list_deploys(services=[service], page_size=2, page_token=token)
        seen += [d.id for d in page.deploys]
        token = page.next_page_token
        if not token:
            break
    assert sorted(seen) == sorted(sent)


def test_health_reflection_and_metrics_are_offered(normalizer: Normalizer) -> None:
    with normalizer.channel() as channel:
        request = health_pb2.HealthCheckRequest(service="incidentscope.deploy.v1.DeployService")
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert "incidentscope_deploy_normalizer_webhooks_total" in httpx.get(normalizer.url("/metrics")).text


def test_killed_and_sent_everything_again_each_change_is_announced_once(normalizer: Normalizer) -> None:
    service = f"s-{uuid.uuid4().hex[:8]}"
    sent = [(a_deploy("success", "2026-05-04T12:05:00Z", next(NOW_IDS), service), str(uuid.uuid4())) for _ in range(20)]
    for body, delivery in sent[:15]:
        assert normalizer.github(body, delivery).status_code == 200
    normalizer.kill()
    normalizer.start()
    reasons = [normalizer.github(body, delivery).json()["reason"] for body, delivery in sent]
    assert reasons == ["duplicate_delivery"] * 15 + ["recorded"] * 5
    wait_until(lambda: len(changes_of(normalizer, service)) >= 20, "all events")
    assert len({d.id for d in changes_of(normalizer, service)}) == len(changes_of(normalizer, service)) == 20


def test_an_unusable_setting_ends_the_start_with_a_sentence() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "services.deploy_normalizer"],
        cwd=ROOT,
        env={"GITHUB_WEBHOOK_SECRETS": "hunter2", "PATH": "", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert "github_webhook_secrets" in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_gitlab_and_generic_senders_are_heard_and_a_rollback_is_told_from_a_new_version(normalizer: Normalizer) -> None:
    service = f"s-{uuid.uuid4().hex[:8]}"
    for minute, version in ((0, "v1"), (10, "v2"), (20, "v1")):
        change = generic_change(
            id=f"{service}/{minute}", service=service, version=version, started_at=minutes(minute).isoformat(),
            time=minutes(minute + 1).isoformat(),
        )  # fmt: skip
        body = as_bytes(change)
        sent = {"content-type": "application/json", "x-signature-256": github_signature(SECRET, body)}
        assert httpx.post(normalizer.url("/webhooks/generic"), content=body, headers=sent).status_code == 200
    body = as_bytes(gitlab_deployment(deployment_id=next(NOW_IDS), ref=service))
    sent = {"content-type": "application/json", "x-gitlab-token": TOKEN, "x-gitlab-event": "Deployment Hook"}
    assert httpx.post(normalizer.url("/webhooks/gitlab"), content=body, headers=sent).json()["reason"] == "recorded"
    back, second, first = normalizer.list_deploys(services=[service]).deploys
    movements = [deploy_pb2.DeployMovement.Name(d.movement) for d in (first, second, back)]
    assert movements == ["DEPLOY_MOVEMENT_NEW", "DEPLOY_MOVEMENT_NEW", "DEPLOY_MOVEMENT_ROLLBACK"]
    assert (back.source_deploy_id, back.previous_deploy_id) == (first.id, second.id)
    assert list(normalizer.list_deploys(services=[service], environments=["staging"]).deploys) == []


def test_a_watcher_sees_a_deploy_as_it_is_posted_and_nothing_of_another_tenant(normalizer: Normalizer) -> None:
    service = f"s-{uuid.uuid4().hex[:8]}"
    bodies = [a_deploy(s, f"2026-05-04T12:0{n}:00Z", 900_001, service) for n, s in ((1, "in_progress"), (5, "success"))]
    with normalizer.channel() as channel:
        stream: Any = DeployServiceStub(channel).WatchDeploys(
            pb.WatchDeploysRequest(services=[service]), metadata=normalizer.metadata(), timeout=30
        )
        stream.initial_metadata()
        normalizer.github(bodies[0], tenant=normalizer.other)
        for body in bodies:
            normalizer.github(body)
        seen = [next(stream).deploy, next(stream).deploy]
        stream.cancel()
    assert statuses(seen) == ["IN_PROGRESS", "SUCCEEDED"]
    assert {d.tenant_id for d in seen} == {normalizer.tenant}


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("GENERIC_WEBHOOK_SECRETS", '{"ghost": ["secret"]}', "webhook secrets of generic: there is no tenant 'ghost'"),
        ("WEBHOOK_TENANT", "ghost", "WEBHOOK_TENANT: there is no tenant 'ghost'"),
        ("DEPLOY_SERVICE_RULES_FILE", "no/such/rules.yaml", "no/such/rules.yaml cannot be used"),
    ],
)
def test_secrets_of_nobody_and_rules_that_are_not_there_end_the_start(
    stack: Any, tmp_path: Path, variable: str, value: str, said: str
) -> None:
    tenants = tmp_path / "tenants.json"
    tenants.write_text('{"tenants": [{"id": "acme"}]}')
    environment = os.environ | {
        "KAFKA_BOOTSTRAP": stack.kafka_bootstrap, "POSTGRES_URL": stack.postgres_service_url, "HOST": "127.0.0.1",
        "HEALTH_PORT": "0", "DEPLOY_GRPC_PORT": "0", "INCIDENTSCOPE_TENANTS_FILE": str(tenants), variable: value,
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", "services.deploy_normalizer"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert said in ended.stdout + ended.stderr
