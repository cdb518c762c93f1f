"""Spans to rows of `spans_raw` through the compiled walk; `spans.py` says what the columns mean."""

from __future__ import annotations

from typing import Final

import numpy as np

from libs.otlp.batch import MAX_TEXT_BYTES, OLDEST_NANOSECONDS
from libs.otlp.columnar import ColumnarDecoder, Shape
from libs.otlp.columns import SIZE, Parts, Tables, numbers, offsets, or_else
from libs.otlp.compiled import Ints
from libs.otlp.layout import Attributes, Inside, Keep, Rows, resources
from libs.otlp.spans import KINDS, SPANS, STATUS_CODES

EVENT = Rows(
    "events",
    {"time_unix_nano": Keep("time"), "name": Keep("name"), "attributes": Attributes("event_attributes")},
)

LINK = Rows(
    "links",
    {
        "trace_id": Keep("trace_id"),
        "span_id": Keep("span_id"),
        "trace_state": Keep("trace_state"),
        "attributes": Attributes("link_attributes"),
    },
)

SPAN = Rows(
    "spans",
    {
        "trace_id": Keep("trace_id"),
        "span_id": Keep("span_id"),
        "trace_state": Keep("trace_state"),
        "parent_span_id": Keep("parent_span_id"),
        "name": Keep("name"),
        "kind": Keep("kind"),
        "start_time_unix_nano": Keep("start"),
        "end_time_unix_nano": Keep("end"),
        "attributes": Attributes("span_attributes"),
        "events": EVENT,
        "links": LINK,
        "status": Inside("status", {"message": Keep("status_message", MAX_TEXT_BYTES), "code": Keep("status_code")}),
    },
)


def times(tables: Tables) -> Ints:
    """Return the time of each span: its start, else its end."""
    column = tables.shredder.column
    given = or_else(column("spans", "start"), lambda: column("spans", "end"))
    return or_else(given, tables.received)


def doubtful(tables: Tables) -> Ints:
    """Return the spans that may be none, see `spans.is_span`."""
    column = tables.shredder.column
    timeless = np.flatnonzero(column("spans", "start") == 0)
    timeless = timeless[column("spans", "end")[timeless] == 0]
    ids = column("spans", "trace_id")[timeless], column("spans", "span_id")[timeless]
    found: Ints = timeless[(ids[0] & SIZE == 0) | (ids[1] & SIZE == 0)]
    return found


def columns(tables: Tables, time: Ints) -> dict[str, Parts]:
    """Return the columns that come from spans, given their times."""
    column = tables.shredder.column
    start, end = column("spans", "start"), column("spans", "end")
    return {
        "Timestamp": numbers(time, "<i8"),
        "TraceId": tables.ids("spans", "trace_id"),
        "SpanId": tables.ids("spans", "span_id"),
        "ParentSpanId": tables.ids("spans", "parent_span_id"),
        "TraceState": tables.texts("spans", "trace_state"),
        "SpanName": tables.texts("spans", "name"),
        "SpanKind": tables.named(column("spans", "kind"), KINDS),
        "SpanAttributes": tables.maps("spans", "span_attributes"),
        "Duration": numbers(np.where(start != 0, np.maximum(end - start, 0), 0), "<u8"),
        "StatusCode": tables.named(column("spans", "status_code"), STATUS_CODES),
        "StatusMessage": tables.texts("spans", "status_message"),
        **_events(tables),
        **_links(tables),
    }


def _events(tables: Tables) -> dict[str, Parts]:
    ends = offsets(tables.shredder.column("spans", "events"))
    return {
        "Events.Timestamp": [ends, *numbers(tables.shredder.column("events", "time"), "<i8")],
        "Events.Name": [ends, *tables.texts("events", "name")],
        "Events.Attributes": [ends, *tables.maps("events", "event_attributes")],
    }


def _links(tables: Tables) -> dict[str, Parts]:
    ends = offsets(tables.shredder.column("spans", "links"))
    return {
        "Links.TraceId": [ends, *tables.ids("links", "trace_id")],
        "Links.SpanId": [ends, *tables.ids("links", "span_id")],
        "Links.TraceState": [ends, *tables.texts("links", "trace_state")],
        "Links.Attributes": [ends, *tables.maps("links", "link_attributes")],
    }


SHAPE: Final = Shape(
    resources("resource_spans", "scope_spans", {"spans": SPAN}),
    (*KINDS, *STATUS_CODES),
    lambda shredder: shredder.column("spans", "owner"),
    columns,
    times,
    fill=lambda span: setattr(span, "start_time_unix_nano", OLDEST_NANOSECONDS),
    doubtful=doubtful,
)

decode_spans: Final = ColumnarDecoder(SPANS, SHAPE)
