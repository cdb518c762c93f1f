"""`deploys.events` as those who watch hear of it."""

from __future__ import annotations

import asyncio

from google.protobuf.message import Message
from incidentscope.deploy.v1.deploy_events_pb2 import DeployChanged
from incidentscope.deploy.v1.deploy_pb2 import Deploy as DeployMessage
from incidentscope.incident.v1.incident_events_pb2 import IncidentOpened

from libs.messaging import cloudevents, topics
from libs.messaging.cloudevents import CloudEvent
from services.deploy_normalizer.adapters.live_kafka import LiveKafka
from services.deploy_normalizer.adapters.messages import deploy_changed, from_message, to_message
from services.deploy_normalizer.domain.deploy import Deploy, Status, combine
from services.deploy_normalizer.handlers.live import LiveDeploys
from tests.unit.libs.messaging.from_broker import FromBroker
from tests.unit.services.deploy_normalizer.world import minutes, report

TOPIC = topics.DEPLOYS_EVENTS.name


class Heard(LiveDeploys):
    """Keeps what is announced."""

    def __init__(self) -> None:
        super().__init__()
        self.deploys: list[Deploy] = []

    def announce(self, deploy: Deploy) -> None:
        """Keep a change."""
        self.deploys.append(deploy)


def hear(*events: CloudEvent) -> list[Deploy]:
    async def body() -> list[Deploy]:
        live = Heard()
        tail = LiveKafka("nowhere", live, asyncio.get_running_loop())
        for event in events:
            headers, value = cloudevents.encode(event)
            tail._take(FromBroker(TOPIC, value, headers))
        tail._take(FromBroker(TOPIC, b"\xff"))
        await asyncio.sleep(0)
        return live.deploys

    return asyncio.run(body())


def event(data: Message) -> CloudEvent:
    return CloudEvent("1", "test", minutes(1), "s", "acme", data)


def test_a_change_is_announced_as_it_was_stored() -> None:
    deploy = combine("acme", [report(Status.SUCCEEDED, minutes(5))])

    assert hear(deploy_changed(deploy, minutes(6))) == [from_message(to_message(deploy))]


def test_what_is_no_change_or_says_what_this_version_does_not_know_is_passed_over() -> None:
    unknown = DeployMessage(id="d", tenant_id="acme", status=99)  # type: ignore[arg-type]

    assert hear(event(IncidentOpened()), event(DeployChanged(deploy=unknown))) == []


def test_a_loop_that_has_ended_is_told_nothing() -> None:
    loop = asyncio.new_event_loop()
    loop.close()

    LiveKafka("nowhere", LiveDeploys(), loop).set_connected(False)
