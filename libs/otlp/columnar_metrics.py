"""Metric points to rows of `metrics_timeseries` through the compiled walk; `metrics.py` says what the columns mean."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from libs.otlp.batch import MAX_TEXT_BYTES
from libs.otlp.columnar import ColumnarDecoder, Shape
from libs.otlp.columns import Blobs, Parts, Tables, numbers, offsets, or_else
from libs.otlp.compiled import Ints
from libs.otlp.layout import Attributes, Inside, Keep, Rows, resources
from libs.otlp.metrics import METRICS
from libs.otlp.shredder import Shredder
from libs.otlp.wire import NO_VALUE

TYPES: Final = {5: "gauge", 7: "sum", 9: "histogram", 10: "exponential_histogram", 11: "summary"}  # by field number
SUM: Final = 7  # the last type whose points are single values

_VALUE: Final = {"as_double": Keep("value"), "as_int": Keep("value")}  # of a oneof the last counts

_EXEMPLARS: Final = Rows(
    "exemplars",
    {
        "filtered_attributes": Attributes("exemplar_attributes"),
        "time_unix_nano": Keep("time"),
        "span_id": Keep("span_id"),
        "trace_id": Keep("trace_id"),
        **_VALUE,
    },
)

_POINT: Final = {
    "attributes": Attributes("point_attributes"),
    "start_time_unix_nano": Keep("start"),
    "time_unix_nano": Keep("time"),
    "flags": Keep("flags"),
}

_DISTRIBUTION: Final = {
    **_POINT,
    "count": Keep("count"),
    "sum": Keep("sum"),
    "min": Keep("min"),
    "max": Keep("max"),
    "exemplars": _EXEMPLARS,
}

_NUMBER_POINT: Final = Rows("points", {**_POINT, **_VALUE, "exemplars": _EXEMPLARS})

_HISTOGRAM_POINT: Final = Rows(
    "points", {**_DISTRIBUTION, "bucket_counts": Keep("bucket_counts"), "explicit_bounds": Keep("explicit_bounds")}
)


def _buckets(side: str) -> Inside:
    return Inside(side, {"offset": Keep(f"{side}_offset"), "bucket_counts": Keep(f"{side}_bucket_counts")})


_EXPONENTIAL_POINT: Final = Rows(
    "points",
    {
        **_DISTRIBUTION,
        "scale": Keep("scale"),
        "zero_count": Keep("zero_count"),
        "positive": _buckets("positive"),
        "negative": _buckets("negative"),
    },
)

_SUMMARY_POINT: Final = Rows(
    "points",
    {
        **_POINT,
        "count": Keep("count"),
        "sum": Keep("sum"),
        "quantile_values": Rows("quantiles", {"quantile": Keep("quantile"), "value": Keep("value")}),
    },
)


def _data(points: Rows, **fields: Any) -> Inside:
    return Inside("type", {"data_points": points, **fields})


_TEMPORALITY: Final = Keep("temporality")

METRIC: Final = Rows(
    "metrics",
    {
        "name": Keep("name"),
        "description": Keep("description", MAX_TEXT_BYTES),
        "unit": Keep("unit"),
        "gauge": _data(_NUMBER_POINT),
        "sum": _data(_NUMBER_POINT, aggregation_temporality=_TEMPORALITY, is_monotonic=Keep("is_monotonic")),
        "histogram": _data(_HISTOGRAM_POINT, aggregation_temporality=_TEMPORALITY),
        "exponential_histogram": _data(_EXPONENTIAL_POINT, aggregation_temporality=_TEMPORALITY),
        "summary": _data(_SUMMARY_POINT),
    },
)


def scopes(shredder: Shredder) -> Ints:
    """Return the scope of each point."""
    return shredder.column("metrics", "owner")[shredder.column("points", "owner")]


def times(tables: Tables) -> Ints:
    """Return the time of each point."""
    return or_else(tables.shredder.column("points", "time"), tables.received)


def columns(tables: Tables, time: Ints) -> dict[str, Parts]:
    """Return the columns that come from metrics and their points, given the times of those."""
    column = tables.shredder.column
    metric = column("points", "owner")
    names = tuple(TYPES.get(number, "") for number in range(max(TYPES) + 1))
    return {
        "MetricType": tables.named(column("metrics", "type")[metric], names),
        "MetricName": tables.strings(column("metrics", "name")[metric]),
        "MetricDescription": tables.strings(column("metrics", "description")[metric]),
        "MetricUnit": tables.strings(column("metrics", "unit")[metric]),
        "AggregationTemporality": numbers(column("metrics", "temporality")[metric], "<i4"),
        "IsMonotonic": numbers(column("metrics", "is_monotonic")[metric] != 0, "u1"),
        "Attributes": tables.maps("points", "point_attributes"),
        "StartTimeUnix": numbers(column("points", "start"), "<i8"),
        "TimeUnix": numbers(time, "<i8"),
        "Flags": numbers(column("points", "flags"), "<u4"),
        **_values(tables),
        **_exemplars(tables),
    }


def _values(tables: Tables) -> dict[str, Parts]:
    column = tables.shredder.column
    metric, values = column("points", "owner"), column("points", "value") ^ NO_VALUE
    quantiles = offsets(column("points", "quantiles"))
    return {
        "Value": numbers(np.where(column("metrics", "type")[metric] <= SUM, values, 0), "<i8"),  # the bits of a float
        "Count": numbers(column("points", "count"), "<i8"),
        "Sum": numbers(column("points", "sum"), "<i8"),
        "Min": numbers(column("points", "min"), "<i8"),
        "Max": numbers(column("points", "max"), "<i8"),
        "BucketCounts": _words(tables, "bucket_counts"),
        "ExplicitBounds": _words(tables, "explicit_bounds"),
        "Scale": _zigzag(column("points", "scale")),
        "ZeroCount": numbers(column("points", "zero_count"), "<i8"),
        "PositiveOffset": _zigzag(column("points", "positive_offset")),
        "PositiveBucketCounts": _words(tables, "positive_bucket_counts"),
        "NegativeOffset": _zigzag(column("points", "negative_offset")),
        "NegativeBucketCounts": _words(tables, "negative_bucket_counts"),
        "ValueAtQuantiles.Quantile": [quantiles, *numbers(column("quantiles", "quantile"), "<i8")],
        "ValueAtQuantiles.Value": [quantiles, *numbers(column("quantiles", "value"), "<i8")],
    }


def _exemplars(tables: Tables) -> dict[str, Parts]:
    column = tables.shredder.column
    ends = offsets(column("points", "exemplars"))
    return {
        "Exemplars.FilteredAttributes": [ends, *tables.maps("exemplars", "exemplar_attributes")],
        "Exemplars.TimeUnix": [ends, *numbers(column("exemplars", "time"), "<i8")],
        "Exemplars.Value": [ends, *numbers(column("exemplars", "value") ^ NO_VALUE, "<i8")],
        "Exemplars.SpanId": [ends, *tables.ids("exemplars", "span_id")],
        "Exemplars.TraceId": [ends, *tables.ids("exemplars", "trace_id")],
    }


def _words(tables: Tables, slot: str) -> Parts:
    refs = tables.shredder.column("points", slot)
    return [offsets((refs & 0xFFFFFFFF) >> 3), Blobs(tables.shredder.data, refs)]


def _zigzag(raw: Ints) -> Parts:
    unsigned = raw & 0xFFFFFFFF
    return numbers((unsigned >> 1) ^ -(unsigned & 1), "<i4")


_KEPT: Final = resources("resource_metrics", "scope_metrics", {"metrics": METRIC})

SHAPE: Final = Shape(
    _KEPT, tuple(TYPES.values()), scopes, columns, times, fill=lambda metric: metric.gauge.data_points.add()
)

decode_metrics: Final = ColumnarDecoder(METRICS, SHAPE)
