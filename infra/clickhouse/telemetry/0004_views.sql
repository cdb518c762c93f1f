-- The tables of the OpenTelemetry Collector's ClickHouse exporter, as Grafana's data source and ClickStack expect them.
-- TenantId comes last, for those who filter by it.

CREATE VIEW IF NOT EXISTS otel_logs AS
SELECT
    Timestamp, toDateTime(Timestamp) AS TimestampTime, TraceId, SpanId, TraceFlags, SeverityText, SeverityNumber,
    ServiceName, Body, ResourceSchemaUrl, ResourceAttributes, ScopeSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes,
    LogAttributes, EventName, TenantId
FROM logs_raw;

CREATE VIEW IF NOT EXISTS otel_traces AS
SELECT
    Timestamp, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, ResourceAttributes,
    ScopeName, ScopeVersion, SpanAttributes, Duration, StatusCode, StatusMessage,
    Events.Timestamp AS `Events.Timestamp`, Events.Name AS `Events.Name`, Events.Attributes AS `Events.Attributes`,
    Links.TraceId AS `Links.TraceId`, Links.SpanId AS `Links.SpanId`, Links.TraceState AS `Links.TraceState`,
    Links.Attributes AS `Links.Attributes`, TenantId
FROM spans_raw;

CREATE VIEW IF NOT EXISTS otel_traces_trace_id_ts AS
SELECT TraceId, toDateTime(min(Start)) AS Start, toDateTime(max(End)) AS End, TenantId
FROM trace_id_ranges
GROUP BY TenantId, TraceId;

CREATE VIEW IF NOT EXISTS otel_metrics_gauge AS
SELECT
    ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, ScopeSchemaUrl,
    ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, TimeUnix, Value, Flags,
    Exemplars.FilteredAttributes AS `Exemplars.FilteredAttributes`, Exemplars.TimeUnix AS `Exemplars.TimeUnix`,
    Exemplars.Value AS `Exemplars.Value`, Exemplars.SpanId AS `Exemplars.SpanId`, Exemplars.TraceId AS `Exemplars.TraceId`,
    TenantId
FROM metrics_timeseries
WHERE MetricType = 'gauge';

CREATE VIEW IF NOT EXISTS otel_metrics_sum AS
SELECT
    ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, ScopeSchemaUrl,
    ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, TimeUnix, Value, Flags,
    Exemplars.FilteredAttributes AS `Exemplars.FilteredAttributes`, Exemplars.TimeUnix AS `Exemplars.TimeUnix`,
    Exemplars.Value AS `Exemplars.Value`, Exemplars.SpanId AS `Exemplars.SpanId`, Exemplars.TraceId AS `Exemplars.TraceId`,
    AggregationTemporality, IsMonotonic, TenantId
FROM metrics_timeseries
WHERE MetricType = 'sum';

CREATE VIEW IF NOT EXISTS otel_metrics_histogram AS
SELECT
    ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, ScopeSchemaUrl,
    ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, TimeUnix,
    Count, Sum, BucketCounts, ExplicitBounds,
    Exemplars.FilteredAttributes AS `Exemplars.FilteredAttributes`, Exemplars.TimeUnix AS `Exemplars.TimeUnix`,
    Exemplars.Value AS `Exemplars.Value`, Exemplars.SpanId AS `Exemplars.SpanId`, Exemplars.TraceId AS `Exemplars.TraceId`,
    Flags, Min, Max, AggregationTemporality, TenantId
FROM metrics_timeseries
WHERE MetricType = 'histogram';

CREATE VIEW IF NOT EXISTS otel_metrics_exponential_histogram AS
SELECT
    ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, ScopeSchemaUrl,
    ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, TimeUnix,
    Count, Sum, Scale, ZeroCount, PositiveOffset, PositiveBucketCounts, NegativeOffset, NegativeBucketCounts,
    Exemplars.FilteredAttributes AS `Exemplars.FilteredAttributes`, Exemplars.TimeUnix AS `Exemplars.TimeUnix`,
    Exemplars.Value AS `Exemplars.Value`, Exemplars.SpanId AS `Exemplars.SpanId`, Exemplars.TraceId AS `Exemplars.TraceId`,
    Flags, Min, Max, AggregationTemporality, TenantId
FROM metrics_timeseries
WHERE MetricType = 'exponential_histogram';

CREATE VIEW IF NOT EXISTS otel_metrics_summary AS
SELECT
    ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, ScopeSchemaUrl,
    ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, TimeUnix,
    Count, Sum, ValueAtQuantiles.Quantile AS `ValueAtQuantiles.Quantile`, ValueAtQuantiles.Value AS `ValueAtQuantiles.Value`,
    Flags, TenantId
FROM metrics_timeseries
WHERE MetricType = 'summary';
