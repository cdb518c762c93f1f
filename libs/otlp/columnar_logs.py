"""Log records to rows of `logs_raw` through the compiled walk; `logs.py` says what the columns mean."""

from __future__ import annotations

from typing import Final

import numpy as np

from libs.otlp.columnar import ColumnarDecoder, Shape
from libs.otlp.columns import Parts, Tables, numbers, or_else
from libs.otlp.compiled import Ints
from libs.otlp.layout import Attributes, Keep, Rows, resources
from libs.otlp.logs import LOGS

RECORD = Rows(
    "records",
    {
        "time_unix_nano": Keep("time"),
        "observed_time_unix_nano": Keep("observed"),
        "severity_number": Keep("severity_number"),
        "severity_text": Keep("severity_text"),
        "body": Keep("body"),
        "attributes": Attributes("record_attributes"),
        "flags": Keep("flags"),
        "trace_id": Keep("trace_id"),
        "span_id": Keep("span_id"),
        "event_name": Keep("event_name"),
    },
)


def observed(tables: Tables) -> Ints:
    """Return when each record was observed."""
    return or_else(tables.shredder.column("records", "observed"), tables.received)


def times(tables: Tables) -> Ints:
    """Return the time of each record."""
    return or_else(tables.shredder.column("records", "time"), lambda: observed(tables))


def columns(tables: Tables, time: Ints) -> dict[str, Parts]:
    """Return the columns that come from log records, given their times."""
    column = tables.shredder.column
    severity = column("records", "severity_number").astype(np.int32)
    return {
        "Timestamp": numbers(time, "<i8"),
        "ObservedTimestamp": numbers(observed(tables), "<i8"),
        "TraceId": tables.ids("records", "trace_id"),
        "SpanId": tables.ids("records", "span_id"),
        "TraceFlags": numbers(column("records", "flags") & 0xFF, "u1"),
        "SeverityText": tables.texts("records", "severity_text"),
        "SeverityNumber": numbers(np.where((severity >= 0) & (severity <= 24), severity, 0), "u1"),
        "Body": tables.texts("records", "body"),
        "LogAttributes": tables.maps("records", "record_attributes"),
        "EventName": tables.texts("records", "event_name"),
    }


SHAPE: Final = Shape(
    resources("resource_logs", "scope_logs", {"log_records": RECORD}),
    (),
    lambda shredder: shredder.column("records", "owner"),
    columns,
    times,
)

decode_logs: Final = ColumnarDecoder(LOGS, SHAPE)
