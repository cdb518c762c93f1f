"""One good and some bad requests for every rpc of the incident service, so that tests cover what the contract has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from incidentscope.correlation.v1 import correlation_pb2 as correlation
from incidentscope.incident.v1 import communication_pb2 as outside
from incidentscope.incident.v1 import incident_pb2 as pb
from incidentscope.incident.v1 import incident_service_pb2 as rpc
from incidentscope.incident.v1 import response_pb2 as work

from tests.integration.incident_world import instant

SERVICE = rpc.DESCRIPTOR.services_by_name["IncidentService"]
METHODS = {m.name: m for m in SERVICE.methods}
SOME_ID = "0190c5a0-0000-7000-8000-000000000000"
OTHER_ID = "0190c5a0-0000-7000-8000-000000000001"
FUTURE = instant(datetime.now(UTC) + timedelta(days=1))
IMPOSSIBLE = Timestamp(seconds=2**60)
TITLE = pb.Incident(title="better title")


def mask(*paths: str) -> FieldMask:
    """Return a field mask."""
    return FieldMask(paths=paths)


NEEDED: dict[str, dict[str, Any]] = {
    "OpenIncident": {"title": "x"},
    "UpdateIncident": {"incident": TITLE, "update_mask": mask("title")},
    "ReopenIncident": {"reason": "it is back"},
    "MergeIncident": {"into_id": OTHER_ID},
    "AssignRole": {"role": pb.INCIDENT_ROLE_COMMANDER, "person": "ann"},
    "RecordEntry": {
        "kind": pb.TIMELINE_KIND_PAGE,
        "text": "ann was called",
        "source": "pager",
        "url": "https://p.example/1",
    },
    "AddLink": {"url": "https://grafana.example/d/1"},
    "AddNote": {"text": "hi"},
    "CreateTask": {"title": "look"},
    "UpdateTask": {"task_id": SOME_ID, "task": work.Task(owner="bob"), "update_mask": mask("owner")},
    "UpdatePostmortem": {"postmortem": work.Postmortem(cause="a deploy"), "update_mask": mask("cause")},
    "UpdateTemplate": {"template": outside.MessageTemplate(channel=outside.CHANNEL_SLACK, body="{{ message }}")},
    "RenderMessage": {"channel": outside.CHANNEL_SLACK},
    "PostStatusUpdate": {"message": "we are looking"},
    "GiveHypothesisFeedback": {
        "analysis_version": 1,
        "rank": 1,
        "verdict": correlation.FEEDBACK_VERDICT_CONFIRMED,
        "real_service": "",
        "real_cause": "",
    },
}


def good(method: str, incident_id: str, **more: Any) -> Any:
    """Return a request that is right in itself, with the fields an rpc needs."""
    made = getattr(rpc, METHODS[method].input_type.name)
    usual = {"id": incident_id, "actor": "eve"}
    fields = {n: v for n, v in usual.items() if n in made.DESCRIPTOR.fields_by_name}
    return made(**(fields | NEEDED.get(method, {}) | more))


def bad(method: str, says: str, /, **wrong: Any) -> tuple[str, Message, str]:
    """Return a request that is wrong in some fields, and what the refusal says."""
    return method, good(method, SOME_ID, **wrong), says


def _listing(method: str, most: int = 500) -> list[tuple[str, Message, str]]:
    return [
        bad(method, "page_size", page_size=-1),
        bad(method, "page_size", page_size=most + 1),
        bad(method, "page_token", page_token="!!"),
        bad(method, "page_token", page_token="aaaa"),
    ]


def _without(field: str, *methods: str) -> list[tuple[str, Message, str]]:
    return [bad(method, f"{field} is required", **{field: ""}) for method in methods]


_OF_ONE = [n for n, m in METHODS.items() if "id" in m.input_type.fields_by_name and n != "ListTasks"]
_BY_SOMEBODY = [n for n, m in METHODS.items() if "actor" in m.input_type.fields_by_name]
_VERSIONED = [n for n, m in METHODS.items() if "expected_version" in m.input_type.fields_by_name]
LONG = "x" * 10_001
REAL = correlation.FEEDBACK_VERDICT_REAL_CAUSE
BAD_REQUESTS: list[tuple[str, Message, str]] = [
    *_without("id", *_OF_ONE),
    *(bad(method, "id is not a UUID", id="42") for method in [*_OF_ONE, "ListTasks"]),
    *_without("actor", *_BY_SOMEBODY),
    *(bad(method, "actor has 201 characters", actor="a" * 201) for method in _BY_SOMEBODY),
    *(bad(method, "expected_version", expected_version=-1) for method in _VERSIONED),
    *(entry for method in ("ListIncidents", "ListTasks", "ListPostmortems") for entry in _listing(method)),
    *_listing("ListTimeline", 1000),
    bad("OpenIncident", "title is required", title=" \t"),
    bad("OpenIncident", "title has 201 characters", title="x" * 201),
    bad("OpenIncident", "title contains a NUL", title="a\x00b"),
    bad("OpenIncident", "severity 77", severity=77),
    bad("OpenIncident", "services[1] is required", services=["ok", ""]),
    bad("OpenIncident", "services has 101 names", services=["s"] * 101),
    bad("OpenIncident", "started_at lies in the future", started_at=FUTURE),
    bad("OpenIncident", "started_at", started_at=IMPOSSIBLE),
    bad("OpenIncident", "started_at lies more than 180 days back", started_at=Timestamp(seconds=-62135596800)),
    bad("GetIncident", "read_mask names 'nothing'", read_mask=mask("nothing")),
    bad("ListIncidents", "read_mask names 'nothing'", read_mask=mask("title", "nothing")),
    bad("ListIncidents", "statuses contains 0", statuses=[0]),
    bad("ListIncidents", "statuses contains 9", statuses=[9]),
    bad("ListIncidents", "there are 1 (OPEN), 2 (ACKNOWLEDGED)", statuses=[9]),
    bad("ListIncidents", "severities contains 4, which is not known: there are 0 (UNSPECIFIED)", severities=[4]),
    bad("ListIncidents", "services[0] is required", services=[" "]),
    bad("ListIncidents", "q has 201 characters", q="x" * 201),
    bad("ListIncidents", "q has 11 words", q="w " * 11),
    bad("ListIncidents", "q contains a NUL", q="a\x00b"),
    bad("ListIncidents", "since is not a valid timestamp", since=IMPOSSIBLE),
    bad("ListIncidents", "until is not a valid timestamp", until=IMPOSSIBLE),
    bad("ListIncidents", "until must lie after since", since=FUTURE, until=FUTURE),
    bad("ListIncidents", "last cannot be combined", since=FUTURE, last=Duration(seconds=60)),
    bad("ListIncidents", "last must be more than nothing", last=Duration(seconds=-60)),
    bad("ListIncidents", "last must be more than nothing and at most 3660 days", last=Duration(seconds=2**40)),
    bad("ListIncidents", "sort 9 is not known: there are 1 (OPENED), 2 (UPDATED), 3 (SEVERITY)", sort=9),
    bad("ListIncidents", "order 9 is not known: there are 1 (DESC), 2 (ASC)", order=9),
    bad("WatchIncidents", "statuses contains 9", statuses=[9]),
    bad("WatchIncidents", "severities contains 9", severities=[9]),
    bad("WatchIncidents", "services has 101 names", services=["s"] * 101),
    bad("UpdateIncident", "update_mask is required", update_mask=mask()),
    bad("UpdateIncident", "update_mask cannot name 'status'", update_mask=mask("status")),
    bad("UpdateIncident", "title is required", incident=pb.Incident()),
    bad("UpdateIncident", "priority 9", incident=pb.Incident(priority=9), update_mask=mask("priority")),  # type: ignore[arg-type]
    bad(
        "UpdateIncident", "bridge_url", incident=pb.Incident(bridge_url="javascript:x"), update_mask=mask("bridge_url")
    ),
    bad("UpdateIncident", "summary has", incident=pb.Incident(summary=LONG), update_mask=mask("summary")),
    bad("MitigateIncident", "mitigation has 10001", mitigation=LONG),
    bad("ResolveIncident", "resolution has 10001", resolution=LONG),
    bad("ReopenIncident", "reason is required", reason=""),
    bad("MergeIncident", "into_id is required", into_id=""),
    bad("AssignRole", "role is required", role=0),
    bad("AssignRole", "role 9", role=9),
    bad("RecordEntry", "kind is required", kind=0),
    bad("RecordEntry", "kind 3 is not known", kind=pb.TIMELINE_KIND_NOTE),
    bad("RecordEntry", "source is required", source=""),
    bad("RecordEntry", "url must be an http", url="ftp://x"),
    bad("RecordEntry", "occurred_at lies in the future", occurred_at=FUTURE),
    bad("AddNote", "text is required", text=""),
    bad("AddNote", "text has 10001 characters", text=LONG),
    bad("AddLink", "url is required", url=""),
    bad("AddLink", "url must be an http", url="https://"),
    bad("AddLink", "url must be an http", url="https://a b.example"),
    bad("CreateTask", "title is required", title=""),
    bad("CreateTask", "kind 9", kind=9),
    bad("CreateTask", "due_at", due_at=IMPOSSIBLE),
    bad("UpdateTask", "task_id is not a UUID", task_id="x"),
    bad("UpdateTask", "update_mask cannot name 'kind'", update_mask=mask("kind")),
    bad("UpdateTask", "status is required", update_mask=mask("status")),
    bad("ListTasks", "statuses contains 7", statuses=[7]),
    bad("ListTasks", "kind 7", kind=7),
    bad("ListPostmortems", "statuses contains 7", statuses=[7]),
    bad("UpdatePostmortem", "update_mask cannot name 'status'", update_mask=mask("status")),
    bad("UpdatePostmortem", "cause has 50001", postmortem=work.Postmortem(cause="x" * 50_001)),
    bad("UpdateTemplate", "channel is required", template=outside.MessageTemplate(body="x")),
    bad("UpdateTemplate", "cannot be rendered", template=outside.MessageTemplate(channel=1, body="{% if %}")),  # type: ignore[arg-type]
    bad("UpdateTemplate", "cannot be rendered", template=outside.MessageTemplate(channel=1, body="{{ nope }}")),  # type: ignore[arg-type]
    bad("RenderMessage", "channel is required", channel=0),
    bad("RenderMessage", "message has 10001", message=LONG),
    bad("PostStatusUpdate", "message is required", message=""),
    bad("PostStatusUpdate", "status 9", status=9),
    *_listing("ListHypothesisVersions", 200),
    bad("ListSimilarIncidents", "page_size", page_size=21),
    bad("GetHypotheses", "version must not be negative", version=-1),
    bad("GiveHypothesisFeedback", "verdict is required", verdict=0),
    bad("GiveHypothesisFeedback", "verdict 9 is not known", verdict=9),
    bad("GiveHypothesisFeedback", "analysis_version is required", analysis_version=0),
    bad("GiveHypothesisFeedback", "analysis_version must not be negative", analysis_version=-1),
    bad("GiveHypothesisFeedback", "rank is required", rank=0),
    bad("GiveHypothesisFeedback", "rank must not be negative", rank=-2),
    bad("GiveHypothesisFeedback", "real_cause is required", verdict=REAL, real_cause=" \n", real_service="db"),
    bad("GiveHypothesisFeedback", "real_cause has 2001 characters", verdict=REAL, real_cause="x" * 2001),
    bad("GiveHypothesisFeedback", "real_service has 201", verdict=REAL, real_cause="x", real_service="s" * 201),
    bad("GiveHypothesisFeedback", "real_cause contains a NUL", verdict=REAL, real_cause="a\x00"),
    bad("GiveHypothesisFeedback", "belong to the verdict of a real cause", real_cause="x"),
    bad("GiveHypothesisFeedback", "note has 10001 characters", note=LONG),
]
NEVER_WRONG = frozenset({"ListTemplates", "GetStatusPage", "GetHypothesisCalibration"})  # their requests have no fields
