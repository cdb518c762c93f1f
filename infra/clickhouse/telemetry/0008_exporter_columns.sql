-- The exporter's newest traces table also lists its attributes as `key=value`, for full-text search.

CREATE OR REPLACE VIEW otel_traces AS
SELECT
    Timestamp, TraceId, SpanId, ParentSpanId, TraceState, SpanName, SpanKind, ServiceName, ResourceAttributes,
    ScopeName, ScopeVersion, SpanAttributes, Duration, StatusCode, StatusMessage,
    Events.Timestamp AS `Events.Timestamp`, Events.Name AS `Events.Name`, Events.Attributes AS `Events.Attributes`,
    Links.TraceId AS `Links.TraceId`, Links.SpanId AS `Links.SpanId`, Links.TraceState AS `Links.TraceState`,
    Links.Attributes AS `Links.Attributes`,
    arrayMap(k -> concat(k, '=', ResourceAttributes[k]), mapKeys(ResourceAttributes)) AS ResourceAttributeItems,
    arrayMap(k -> concat(k, '=', SpanAttributes[k]), mapKeys(SpanAttributes)) AS SpanAttributeItems,
    TenantId
FROM spans_raw;
