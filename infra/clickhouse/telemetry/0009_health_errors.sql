-- A proxy or an older SDK may name a failure by its HTTP status alone, without error.type.

CREATE OR REPLACE VIEW service_health_1m AS
WITH
    {tenant:String} AS Wanted,
    toDateTime({first:String}, 'UTC') AS FirstMinute,
    toDateTime({last:String}, 'UTC') AS LastMinute,
    ['http.server.request.duration', 'rpc.server.call.duration'] AS NewNames,
    traced AS
    (
        SELECT Minute, ServiceName, sum(Total) AS Requests, sum(Errors) AS Errors
        FROM error_rate_1m
        WHERE TenantId = Wanted AND Minute >= FirstMinute AND Minute <= LastMinute
            AND SpanKind IN ('Server', 'Consumer') AND ServiceName != ''
        GROUP BY Minute, ServiceName
    ),
    timed AS
    (
        SELECT Minute, ServiceName, quantilesDDMerge(0.01, 0.5, 0.95, 0.99)(Latency) AS Ns
        FROM latency_p95_1m
        WHERE TenantId = Wanted AND Minute >= FirstMinute AND Minute <= LastMinute
            AND SpanKind IN ('Server', 'Consumer') AND ServiceName != ''
        GROUP BY Minute, ServiceName
    ),
    measured AS
    (
        SELECT *, max(has(NewNames, MetricName)) OVER (PARTITION BY Minute, ServiceName, startsWith(MetricName, 'rpc')) AS HasNew
        FROM metric_increase_1m(
            tenant = {tenant:String}, metric = '(http|rpc)\\.server\\.(request\\.|call\\.)?duration',
            first = {first:String}, last = {last:String}
        )
        WHERE Count > 0 AND ServiceName != ''
    ),
    summed AS
    (
        SELECT
            Minute,
            ServiceName,
            sum(Count) AS Requests,
            sumIf(
                Count,
                Attributes['error.type'] != '' OR toUInt16OrZero(Attributes['http.response.status_code']) >= 500
                OR toUInt16OrZero(Attributes['http.status_code']) >= 500
                OR Attributes['rpc.grpc.status_code'] IN ('2', '4', '12', '13', '14', '15')
            ) AS Errors,
            sumMap(
                arrayMap(b -> b * Unit, Buckets.1), Buckets.3, arrayMap(c -> 1., Buckets.1), arrayMap(b -> b * Unit, Buckets.2)
            ) AS Grown,
            arrayCumSum(Grown.2) AS Cumulated,
            arrayMap(
                q -> (arrayFirstIndex(c -> c >= q * Cumulated[-1], Cumulated) AS at,
                    Grown.4[at] / Grown.3[at] AS low,
                    if(
                        isInfinite(Grown.1[at]), low,
                        low + (Grown.1[at] - low) * (q * Cumulated[-1] - if(at > 1, Cumulated[at - 1], 0)) / Grown.2[at]
                    )).3,
                [0.5, 0.95, 0.99]
            ) AS Ms
        FROM (SELECT *, multiIf(MetricUnit = 's', 1000., MetricUnit = 'us', 0.001, 1.) AS Unit FROM measured)
        WHERE has(NewNames, MetricName) = HasNew
        GROUP BY Minute, ServiceName
    )
SELECT
    Wanted AS TenantId, Minute, ServiceName, 'spans' AS Source, toFloat64(Requests) AS Requests, toFloat64(Errors) AS Errors,
    Ns[1] / 1e6 AS P50Ms, Ns[2] / 1e6 AS P95Ms, Ns[3] / 1e6 AS P99Ms
FROM traced INNER JOIN timed USING (Minute, ServiceName)
UNION ALL
SELECT Wanted, Minute, ServiceName, 'metrics', Requests, Errors, Ms[1], Ms[2], Ms[3]
FROM summed
WHERE (Minute, ServiceName) NOT IN (SELECT Minute, ServiceName FROM traced);
