"""Metric points of the five types to rows of `metrics_timeseries`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import nan
from typing import Any, Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from libs.otlp.batch import INGEST_COLUMNS, MAX_TEXT_BYTES, SPAN_ID_BYTES, TRACE_ID_BYTES
from libs.otlp.native import (
    BOOL,
    FLOAT64,
    INT32,
    MAP,
    NANOSECONDS,
    STRING,
    UINT32,
    UINT64,
    Column,
    array_of,
)
from libs.otlp.values import Cuts, attributes, identifier, kept_time, nanoseconds, string
from libs.otlp.walk import Row, Scope, Signal

TABLE = "metrics_timeseries"

SHARED_COLUMNS = (
    Column("TenantId", STRING),
    Column("MetricType", STRING),
    Column("ResourceAttributes", MAP),
    Column("ResourceSchemaUrl", STRING),
    Column("ScopeName", STRING),
    Column("ScopeVersion", STRING),
    Column("ScopeAttributes", MAP),
    Column("ScopeDroppedAttrCount", UINT32),
    Column("ScopeSchemaUrl", STRING),
    Column("ServiceName", STRING),
    Column("MetricName", STRING),
    Column("MetricDescription", STRING),
    Column("MetricUnit", STRING),
    Column("Attributes", MAP),
    Column("StartTimeUnix", NANOSECONDS),
    Column("TimeUnix", NANOSECONDS),
    Column("Flags", UINT32),
)

_NONE: Final[tuple[Any, ...]] = ()

# The columns some types leave empty, each with its empty value
TYPED_COLUMNS: Final[tuple[tuple[Column, Any], ...]] = (
    (Column("Value", FLOAT64), 0.0),
    (Column("AggregationTemporality", INT32), 0),
    (Column("IsMonotonic", BOOL), False),
    (Column("Count", UINT64), 0),
    (Column("Sum", FLOAT64), 0.0),
    (Column("Min", FLOAT64), 0.0),
    (Column("Max", FLOAT64), 0.0),
    (Column("BucketCounts", array_of(UINT64)), _NONE),
    (Column("ExplicitBounds", array_of(FLOAT64)), _NONE),
    (Column("Scale", INT32), 0),
    (Column("ZeroCount", UINT64), 0),
    (Column("PositiveOffset", INT32), 0),
    (Column("PositiveBucketCounts", array_of(UINT64)), _NONE),
    (Column("NegativeOffset", INT32), 0),
    (Column("NegativeBucketCounts", array_of(UINT64)), _NONE),
    (Column("ValueAtQuantiles.Quantile", array_of(FLOAT64)), _NONE),
    (Column("ValueAtQuantiles.Value", array_of(FLOAT64)), _NONE),
    (Column("Exemplars.FilteredAttributes", array_of(MAP)), _NONE),
    (Column("Exemplars.TimeUnix", array_of(NANOSECONDS)), _NONE),
    (Column("Exemplars.Value", array_of(FLOAT64)), _NONE),
    (Column("Exemplars.SpanId", array_of(STRING)), _NONE),
    (Column("Exemplars.TraceId", array_of(STRING)), _NONE),
)

COLUMNS = (*SHARED_COLUMNS, *(column for column, _ in TYPED_COLUMNS), *INGEST_COLUMNS)

Values = dict[str, Any]


def _value(point: Any) -> float:
    """Return what was measured: not a number where a point says nothing, as 0 would be read as a value."""
    kind = point.WhichOneof("value")
    return float(getattr(point, kind)) if kind else nan


def _exemplars(point: Any, cuts: Cuts) -> Values:
    if not point.exemplars:
        return {}
    return {
        "Exemplars.FilteredAttributes": [attributes(e.filtered_attributes, cuts) for e in point.exemplars],
        "Exemplars.TimeUnix": [nanoseconds(e.time_unix_nano) for e in point.exemplars],
        "Exemplars.Value": [_value(e) for e in point.exemplars],
        "Exemplars.SpanId": [identifier(e.span_id, SPAN_ID_BYTES) for e in point.exemplars],
        "Exemplars.TraceId": [identifier(e.trace_id, TRACE_ID_BYTES) for e in point.exemplars],
    }


def _gauge(_: Any, point: Any, cuts: Cuts) -> Values:
    return {"Value": _value(point), **_exemplars(point, cuts)}


def _sum(data: Any, point: Any, cuts: Cuts) -> Values:
    return {
        "Value": _value(point),
        "AggregationTemporality": data.aggregation_temporality,
        "IsMonotonic": data.is_monotonic,
        **_exemplars(point, cuts),
    }


def _distribution(data: Any, point: Any, cuts: Cuts) -> Values:
    return {
        "AggregationTemporality": data.aggregation_temporality,
        "Count": point.count,
        "Sum": point.sum,
        "Min": point.min,
        "Max": point.max,
        **_exemplars(point, cuts),
    }


def _histogram(data: Any, point: Any, cuts: Cuts) -> Values:
    buckets = {"BucketCounts": point.bucket_counts, "ExplicitBounds": point.explicit_bounds}
    return _distribution(data, point, cuts) | buckets


def _exponential_histogram(data: Any, point: Any, cuts: Cuts) -> Values:
    return _distribution(data, point, cuts) | {
        "Scale": point.scale,
        "ZeroCount": point.zero_count,
        "PositiveOffset": point.positive.offset,
        "PositiveBucketCounts": point.positive.bucket_counts,
        "NegativeOffset": point.negative.offset,
        "NegativeBucketCounts": point.negative.bucket_counts,
    }


def _summary(_: Any, point: Any, _cuts: Cuts) -> Values:
    return {
        "Count": point.count,
        "Sum": point.sum,
        "ValueAtQuantiles.Quantile": [q.quantile for q in point.quantile_values],
        "ValueAtQuantiles.Value": [q.value for q in point.quantile_values],
    }


Typed = Callable[[Any, Any, Cuts], Values]

_TYPES: Final[dict[str, Typed]] = {
    "gauge": _gauge,
    "sum": _sum,
    "histogram": _histogram,
    "exponential_histogram": _exponential_histogram,
    "summary": _summary,
}


def rows(metric: Any, scope: Scope, index: int) -> list[Row]:
    """Return one row per data point, none for a metric without data.

    A point without a time gets the time it was received.
    """
    kind = metric.WhichOneof("data")
    if kind not in _TYPES:
        return []
    data = getattr(metric, kind)
    cuts = Cuts(scope.cut)
    about = (
        scope.message.tenant, kind, scope.resource, scope.resource_schema_url,
        scope.name, scope.version, scope.attributes, scope.dropped_attributes, scope.schema_url,
        scope.service, string(metric.name, cuts), string(metric.description, cuts, MAX_TEXT_BYTES),
        string(metric.unit, cuts),
    )  # fmt: skip
    row = partial(_row, about, scope, cuts.count, _TYPES[kind], data)
    return [row(point, index + i) for i, point in enumerate(data.data_points)]


def _row(about: Row, scope: Scope, cut: int, typed: Typed, data: Any, point: Any, index: int) -> Row:
    cuts = Cuts(cut)
    when = _when(point, scope, cuts)
    values = _typed(typed(data, point, cuts))
    return *about, *when, *values, *scope.place(index, cuts.count)


def _when(point: Any, scope: Scope, cuts: Cuts) -> Row:
    return (
        attributes(point.attributes, cuts),
        nanoseconds(point.start_time_unix_nano),
        kept_time(point.time_unix_nano or scope.received_ns, scope.received_ns),
        point.flags,
    )


def _typed(values: Values) -> list[Any]:
    return [values.get(column.name, empty) for column, empty in TYPED_COLUMNS]


def count(metric: Any) -> int:
    """Return how many data points a metric has."""
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind in _TYPES else 0


METRICS = Signal(ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics", COLUMNS, rows, count)
