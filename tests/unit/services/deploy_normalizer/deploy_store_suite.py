"""What every DeployStore must do: run against the one in memory (unit) and PostgreSQL (integration)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from libs.kernel.timewindow import TimeWindow
from services.deploy_normalizer.domain.deploy import Deploy, Kind, Movement, Status
from services.deploy_normalizer.domain.query import DeployFilter, DeployQuery, place_of
from services.deploy_normalizer.ports import DeployStore, Effect
from tests.unit.services.deploy_normalizer.world import minutes, report

HOUR = TimeWindow(minutes(0), minutes(60))
EVERYTHING = DeployQuery((), HOUR)


async def records_a_report_once(store: DeployStore) -> None:
    """The same report again changes nothing."""
    first = await store.record("acme", report(Status.PENDING), "d-1")
    again = await store.record("acme", report(Status.PENDING), "d-2")
    assert (first.effect, again.effect) == (Effect.RECORDED, Effect.UNCHANGED)
    assert first.deploy == again.deploy
    assert first.deploy is not None
    assert await store.find("acme", first.deploy.id) == first.deploy


async def acts_on_a_delivery_once(store: DeployStore) -> None:
    """A replayed delivery has no effect, whatever it carries; each tenant's deliveries count for themselves."""
    await store.record("acme", report(Status.PENDING), "d-1")
    replayed = await store.record("acme", report(Status.FAILED, minutes(9)), "d-1")
    elsewhere = await store.record("other", report(Status.PENDING), "d-1")
    assert (replayed.effect, replayed.deploy) == (Effect.DUPLICATE_DELIVERY, None)
    assert elsewhere.effect is Effect.RECORDED
    assert [d.status for d in await store.touching("acme", EVERYTHING, 9)] == [Status.PENDING]


async def takes_every_delivery_without_an_id(store: DeployStore) -> None:
    """A provider without delivery ids is not guarded by them."""
    await store.record("acme", report(Status.PENDING), "")
    moved = await store.record("acme", report(Status.SUCCEEDED, minutes(5)), "")
    assert moved.effect is Effect.RECORDED


async def a_late_report_does_not_turn_back_a_deploy(store: DeployStore) -> None:
    """What happened earlier but arrives later adds what it knows and keeps the status."""
    await store.record("acme", report(Status.SUCCEEDED, minutes(5)), "d-1")
    late = await store.record("acme", report(Status.IN_PROGRESS, minutes(2), began_at=minutes(2)), "d-2")
    assert late.deploy is not None
    assert (late.effect, late.deploy.status, late.deploy.started_at) == (
        Effect.RECORDED,
        Status.SUCCEEDED,
        minutes(2),
    )


async def reports_that_arrive_at_once_all_count(store: DeployStore) -> None:
    """Reports of one deploy that race each other end in the same deploy as in order."""
    said = [report(Status.IN_PROGRESS, minutes(n), began_at=minutes(n)) for n in range(1, 8)]
    said += [report(Status.SUCCEEDED, minutes(9), url="https://example.com/end")]
    await asyncio.gather(*(store.record("acme", r, f"d-{n}") for n, r in enumerate(said)))
    [deploy] = await store.touching("acme", EVERYTHING, 9)
    assert (deploy.status, deploy.started_at, deploy.finished_at) == (Status.SUCCEEDED, minutes(1), minutes(9))
    assert deploy.url == "https://example.com/end"


async def keeps_tenants_apart(store: DeployStore) -> None:
    """The same provider id in two tenants is two deploys, each seen by its own tenant only."""
    ours = await store.record("acme", report(Status.PENDING), "d-1")
    theirs = await store.record("other", report(Status.FAILED), "d-2")
    assert ours.deploy is not None
    assert theirs.deploy is not None
    assert ours.deploy.id != theirs.deploy.id
    assert await store.find("other", ours.deploy.id) is None
    assert await store.touching("other", EVERYTHING, 9) == [theirs.deploy]


async def knows_which_repositories_send_deployments(store: DeployStore) -> None:
    """Deployments tell, runs of workflows do not; each tenant has repositories of its own."""
    run = report(Status.SUCCEEDED, event="workflow_run", external_id="workflow_run/1/1", repository="acme/runs")
    await store.record("acme", run, "d-1")
    await store.record("acme", report(Status.SUCCEEDED), "d-2")
    asked = [("acme", "acme/checkout"), ("acme", "acme/runs"), ("other", "acme/checkout")]
    assert [await store.tells_deployments(*names) for names in asked] == [True, False, False]


async def finds_nothing_where_nothing_is(store: DeployStore) -> None:
    """An unknown id is None, an empty window an empty list."""
    assert await store.find("acme", "0" * 32) is None
    assert await store.touching("acme", EVERYTHING, 9) == []


async def deploys_at(store: DeployStore, times: Sequence[tuple[str, float, float | None]]) -> None:
    """Record deploys of a service from a minute to a minute; those without an end are under way."""
    for number, (service, start, end) in enumerate(times):
        base = report(
            Status.IN_PROGRESS, minutes(start), external_id=str(number), service=service,
            requested_at=minutes(start), began_at=minutes(start),
        )  # fmt: skip
        await store.record("acme", base, f"s-{number}")
        if end is not None:
            ended = report(
                Status.SUCCEEDED, minutes(end), external_id=str(number), service=service, requested_at=minutes(start)
            )  # fmt: skip
            await store.record("acme", ended, f"e-{number}")


def starts(deploys: Sequence[Deploy]) -> list[float]:
    """Return the starts in minutes after noon."""
    return [(d.started_at - minutes(0)).total_seconds() / 60 for d in deploys]


async def answers_what_touched_a_window(store: DeployStore) -> None:
    """From before the window to into it counts; ended before its start or begun at its end does not."""
    await deploys_at(
        store, [("a", -90, -80), ("a", -30, 0), ("a", -20, 90), ("a", 5, 8), ("a", 59, None), ("a", 60, 61)]
    )
    assert starts(await store.touching("acme", EVERYTHING, 9)) == [59, 5, -20, -30]


async def answers_for_the_services_asked_for(store: DeployStore) -> None:
    """Some services, or all when none is named."""
    await deploys_at(store, [("a", 1, 2), ("b", 3, 4), ("c", 5, 6)])
    assert starts(await store.touching("acme", DeployQuery(("a", "c", "ghost"), HOUR), 9)) == [5, 1]
    assert starts(await store.touching("acme", DeployQuery(("ghost",), HOUR), 9)) == []
    assert starts(await store.touching("acme", EVERYTHING, 9)) == [5, 3, 1]


async def continues_behind_a_place(store: DeployStore) -> None:
    """Pages hold every deploy once, also those that started in the same instant."""
    await deploys_at(store, [("a", 1, 2)] * 5 + [("a", 2, 3)])
    seen: list[Deploy] = []
    query = EVERYTHING
    while page := await store.touching("acme", query, 2):
        seen += page
        query = DeployQuery((), HOUR, place_of(page[-1]))
    assert starts(seen) == [2, 1, 1, 1, 1, 1]
    assert len({d.id for d in seen}) == 6


async def answers_for_environments_kinds_and_statuses(store: DeployStore) -> None:
    """Each filter narrows the answer; together they all hold."""
    said = [
        (Kind.DEPLOY, "production", Status.SUCCEEDED), (Kind.DEPLOY, "staging", Status.FAILED),
        (Kind.RELEASE, "production", Status.SUCCEEDED),
    ]  # fmt: skip
    for number, (kind, environment, status) in enumerate(said):
        one = report(
            status, minutes(number), external_id=str(number), requested_at=minutes(number), kind=kind,
            environment=environment,
        )  # fmt: skip
        await store.record("acme", one, "")

    async def asked(*only: Any) -> list[float]:
        return starts(await store.touching("acme", DeployQuery((), HOUR, None, DeployFilter(*only)), 9))

    assert await asked(("production",)) == [2, 0]
    assert await asked((), (Kind.DEPLOY,)) == [1, 0]
    assert await asked((), (), (Status.FAILED, Status.PENDING)) == [1]
    assert await asked(("production",), (Kind.DEPLOY,), (Status.SUCCEEDED,)) == [0]
    assert await asked(("moon",)) == []


async def finds_words(store: DeployStore) -> None:
    """Each word is somewhere in what a deploy says of itself, in any case, and means itself."""
    for number, (version, actor) in enumerate((("v2.31.0", "Mara"), ("v2_31", "bo"), ("100%", "mara"))):
        one = report(
            Status.SUCCEEDED, minutes(number), external_id=str(number), requested_at=minutes(number), version=version,
            actor=actor, service="checkout",
        )  # fmt: skip
        await store.record("acme", one, "")

    async def asked(*words: str) -> list[float]:
        return starts(await store.touching("acme", DeployQuery((), HOUR, None, DeployFilter(words=words)), 9))

    assert await asked("MARA") == [2, 0]
    assert await asked("mara", "v2.31", "check") == [0]
    assert await asked("2_3") == [1]
    assert await asked("0%") == [2]
    assert await asked("production") == [2, 1, 0]
    assert await asked("\\") == await asked("mara", "bo") == []


async def roll_out(store: DeployStore, minute: int, revision: str, environment: str = "production") -> Deploy:
    """Record a deploy that took a minute and return it."""
    said = report(
        Status.SUCCEEDED, minutes(minute + 1), external_id=f"{environment}/{minute}", requested_at=minutes(minute),
        revision=revision, environment=environment,
    )  # fmt: skip
    deploy = (await store.record("acme", said, "")).deploy
    assert deploy is not None
    return deploy


async def tells_where_a_revision_was_before(store: DeployStore) -> None:
    """From test to production, on to the next, and back."""
    test = await roll_out(store, 0, "a", "test")
    first = await roll_out(store, 5, "a")
    second = await roll_out(store, 10, "b")
    back = await roll_out(store, 15, "a")
    assert [d.movement for d in (test, first, second, back)] == [
        Movement.NEW, Movement.PROMOTION, Movement.NEW, Movement.ROLLBACK,
    ]  # fmt: skip
    assert (first.source_id, first.previous_id) == (test.id, "")
    assert (back.source_id, back.previous_id) == (first.id, second.id)


async def a_deploy_reported_late_changes_what_later_ones_follow_from(store: DeployStore) -> None:
    """The later deploy is judged anew, kept so, and a repeated report of it is nothing new."""
    first = await roll_out(store, 0, "a")
    last = await roll_out(store, 20, "a")
    assert (last.movement, last.previous_id) == (Movement.REDEPLOY, first.id)
    between = await roll_out(store, 10, "b")
    judged = await store.find("acme", last.id)
    assert judged is not None
    assert (judged.movement, judged.source_id, judged.previous_id) == (Movement.ROLLBACK, first.id, between.id)
    assert (await roll_out(store, 20, "a")) == judged


async def deploys_that_arrive_at_once_follow_from_each_other_as_in_order(store: DeployStore) -> None:
    """Whatever order they are kept in, each ends with the movement it has among all."""
    revisions = ["a", "b", "a", "a", "c", "b"]
    arrivals = [(minute * 5, revision) for minute, revision in enumerate(revisions)]
    await asyncio.gather(*(roll_out(store, minute, revision) for minute, revision in reversed(arrivals)))
    kept = (await store.touching("acme", EVERYTHING, 9))[::-1]
    assert [d.movement for d in kept] == [
        Movement.NEW, Movement.NEW, Movement.ROLLBACK, Movement.REDEPLOY, Movement.NEW, Movement.ROLLBACK,
    ]  # fmt: skip
    assert [d.previous_id for d in kept[1:]] == [d.id for d in kept[:-1]]


LAWS: list[Callable[[DeployStore], Awaitable[None]]] = [
    records_a_report_once,
    acts_on_a_delivery_once,
    takes_every_delivery_without_an_id,
    a_late_report_does_not_turn_back_a_deploy,
    reports_that_arrive_at_once_all_count,
    keeps_tenants_apart,
    knows_which_repositories_send_deployments,
    finds_nothing_where_nothing_is,
    answers_what_touched_a_window,
    answers_for_the_services_asked_for,
    continues_behind_a_place,
    answers_for_environments_kinds_and_statuses,
    finds_words,
    tells_where_a_revision_was_before,
    a_deploy_reported_late_changes_what_later_ones_follow_from,
    deploys_that_arrive_at_once_follow_from_each_other_as_in_order,
]
