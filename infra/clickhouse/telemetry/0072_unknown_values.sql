-- What is not known is NULL: a percentile of histograms without buckets (count and sum only), one that falls beyond all
-- bounds there are, the growth of a sum that is not a number. Such a sum takes neither count nor buckets along.

ALTER TABLE metric_series_1m_mv MODIFY QUERY
WITH
    AggregationTemporality = 1 AS IsDelta,
    if(MetricType = 'sum', Value, Sum) AS Measured,
    if(isFinite(Measured), Measured, nan) AS Total,
    toFloat64(Count) AS Points,
    exp2(greatest(Scale - 3, 0)) AS Folded,
    exp2(least(Scale, 3)) AS PerDoubling,
    arrayMap(i -> floor((PositiveOffset + i - 1) / Folded), arrayEnumerate(PositiveBucketCounts)) AS Indexes,
    multiIf(
        MetricType = 'histogram' AND notEmpty(ExplicitBounds) AND length(BucketCounts) = length(ExplicitBounds) + 1,
        (
            arrayConcat(ExplicitBounds, [inf]),
            arrayConcat([if(ExplicitBounds[1] < 0, ExplicitBounds[1], 0.)], ExplicitBounds),
            arrayMap(c -> toFloat64(c), BucketCounts)
        ),
        MetricType = 'exponential_histogram',
        (
            arrayConcat([0.], arrayMap(i -> exp2((i + 1) / PerDoubling), Indexes)),
            arrayConcat([0.], arrayMap(i -> exp2(i / PerDoubling), Indexes)),
            arrayConcat([toFloat64(ZeroCount)], arrayMap(c -> toFloat64(c), PositiveBucketCounts))
        ),
        (CAST([], 'Array(Float64)'), CAST([], 'Array(Float64)'), CAST([], 'Array(Float64)'))
    ) AS Buckets
SELECT
    TenantId,
    toDateTime(toStartOfMinute(TimeUnix)) AS Minute,
    ServiceName,
    MetricName,
    SeriesId,
    AggregationTemporality,
    any(MetricUnit) AS MetricUnit,
    any(Attributes) AS Attributes,
    sumIf(Total, IsDelta AND isFinite(Total)) AS DeltaValue,
    sumIf(Points, IsDelta) AS DeltaCount,
    sumMapStateIf(Buckets.1, Buckets.3, arrayMap(c -> 1., Buckets.1), Buckets.2, IsDelta) AS DeltaBuckets,
    argMaxState(StartTimeUnix, TimeUnix) AS LastStart,
    argMaxState(Total, TimeUnix) AS LastValue,
    argMaxState(Points, TimeUnix) AS LastCount,
    argMaxState(Buckets, TimeUnix) AS LastBuckets
FROM metrics_timeseries
WHERE bitAnd(Flags, 1) = 0
    AND ((MetricType = 'sum' AND IsMonotonic AND isFinite(Value)) OR MetricType IN ('histogram', 'exponential_histogram'))
GROUP BY TenantId, Minute, ServiceName, MetricName, SeriesId, AggregationTemporality;

-- As before, but Increase is NULL where it is not known.
CREATE OR REPLACE VIEW metric_increase_1m AS
SELECT
    TenantId, Minute, ServiceName, MetricName, SeriesId, MetricUnit, Attributes,
    if(isFinite(Growth), Growth, NULL) AS Increase,
    multiIf(IsDelta, DeltaCount, Anew, Points, Points - Before.3) AS Count,
    multiIf(
        IsDelta,
        (Grown.1, arrayMap((ends, ones) -> ends / ones, Grown.4, Grown.3), Grown.2),
        Anew,
        Last,
        (
            arrayConcat(Last.1, Before.4.1),
            arrayConcat(Last.2, Before.4.2),
            arrayConcat(Last.3, arrayMap(c -> -c, Before.4.3))
        )
    ) AS Buckets
FROM
(
    SELECT
        *,
        AggregationTemporality = 1 AS IsDelta,
        lagInFrame((Start, Value, Points, Last)) OVER Past AS Before,
        row_number() OVER Past > 1 AS Known,
        if(Known, Start > Before.1 OR Value < Before.2 OR Points < Before.3, Start >= Minute - INTERVAL 2 MINUTE) AS Anew,
        multiIf(IsDelta, DeltaValue, Anew, Value, Value - Before.2) AS Growth
    FROM
    (
        SELECT
            TenantId, Minute, ServiceName, MetricName, SeriesId, AggregationTemporality,
            any(MetricUnit) AS MetricUnit, any(Attributes) AS Attributes,
            sum(DeltaValue) AS DeltaValue, sum(DeltaCount) AS DeltaCount, sumMapMerge(DeltaBuckets) AS Grown,
            argMaxMerge(LastStart) AS Start, argMaxMerge(LastValue) AS Value, argMaxMerge(LastCount) AS Points,
            argMaxMerge(LastBuckets) AS Last
        FROM metric_series_1m
        WHERE TenantId = {tenant:String} AND match(MetricName, concat('^(', {metric:String}, ')$'))
            AND Minute >= toDateTime({first:String}, 'UTC') - INTERVAL 10 MINUTE
            AND Minute <= toDateTime({last:String}, 'UTC')
        GROUP BY TenantId, Minute, ServiceName, MetricName, SeriesId, AggregationTemporality
    )
    WINDOW Past AS (
        PARTITION BY TenantId, MetricName, SeriesId, AggregationTemporality ORDER BY Minute ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )
)
WHERE Minute >= toDateTime({first:String}, 'UTC') AND (IsDelta OR Known OR Anew);

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
                        isInfinite(Grown.1[at]), if(at = 1, nan, low),
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
    if(isFinite(Ns[1]), Ns[1] / 1e6, NULL) AS P50Ms, if(isFinite(Ns[2]), Ns[2] / 1e6, NULL) AS P95Ms,
    if(isFinite(Ns[3]), Ns[3] / 1e6, NULL) AS P99Ms
FROM traced INNER JOIN timed USING (Minute, ServiceName)
UNION ALL
SELECT Wanted, Minute, ServiceName, 'metrics', Requests, Errors,
    if(isFinite(Ms[1]), Ms[1], NULL), if(isFinite(Ms[2]), Ms[2], NULL), if(isFinite(Ms[3]), Ms[3], NULL)
FROM summed
WHERE (Minute, ServiceName) NOT IN (SELECT Minute, ServiceName FROM traced);
