-- Samplers that leave the tracestate alone put a span's adjusted count in an attribute, `sampling.adjusted_count` or
-- `SampleRate` (Honeycomb's, where 0 says nothing). The tracestate comes first; what is no count is passed over.

ALTER TABLE service_half_edges_mv MODIFY QUERY
SELECT
    TenantId,
    toDateTime(toStartOfMinute(Timestamp)) AS Minute,
    tupleElement(Call, 1) AS TraceId,
    tupleElement(Call, 2) AS ClientSpanId,
    if(IsClient, 'client', 'server') AS Side,
    SpanId,
    ParentSpanId,
    Timestamp,
    ServiceName,
    arrayFirst(v -> v != '', PeerNames) AS PeerName,
    multiIf(DbSystem != '', 'database', IsMessaging, 'messaging_system', RpcSystem != '', 'rpc', HttpMethod != '', 'http', '') AS ConnectionType,
    Duration,
    IsError,
    IngestedAt,
    Weight
FROM
(
    WITH
        arrayFirst(v -> v != '', [
            SpanAttributes['server.address'], SpanAttributes['net.peer.name'], SpanAttributes['network.peer.address'],
            SpanAttributes['net.peer.ip'], SpanAttributes['net.sock.peer.addr']
        ]) AS Address,
        extract(TraceState, '(?:^|,)[ \\t]*ot=([^,]*)') AS Sampling,
        extract(Sampling, '(?:^|;)th:([0-9a-f]{1,14})(?:;|$)') AS Threshold,
        extract(Sampling, '(?:^|;)p:([0-9]{1,2})(?:;|$)') AS Probability,
        toFloat64OrNull(arrayFirst(v -> v != '', [
            SpanAttributes['sampling.adjusted_count'],
            if(SpanAttributes['SampleRate'] = '0', '', SpanAttributes['SampleRate'])
        ])) AS Attribute,
        ifNull(Attribute, nan) AS Counted
    SELECT
        TenantId, Timestamp, SpanId, ParentSpanId, ServiceName, Duration, IngestedAt,
        StatusCode = 'Error' AS IsError,
        SpanKind IN ('Client', 'Producer') AS IsClient,
        SpanAttributes['messaging.system'] != '' OR SpanKind IN ('Producer', 'Consumer') AS IsMessaging,
        arrayFirst(v -> v != '', [SpanAttributes['db.system.name'], SpanAttributes['db.system']]) AS DbSystem,
        arrayFirst(v -> v != '', [SpanAttributes['rpc.system.name'], SpanAttributes['rpc.system']]) AS RpcSystem,
        arrayFirst(v -> v != '', [SpanAttributes['http.request.method'], SpanAttributes['http.method']]) AS HttpMethod,
        multiIf(
            NOT IsClient,
            [SpanAttributes['peer.service']],
            DbSystem != '',
            [SpanAttributes['peer.service'], SpanAttributes['db.namespace'], SpanAttributes['db.name'], Address, DbSystem],
            IsMessaging,
            [
                SpanAttributes['peer.service'], SpanAttributes['messaging.destination.name'],
                SpanAttributes['messaging.destination'], Address, SpanAttributes['messaging.system']
            ],
            [
                SpanAttributes['peer.service'], Address, SpanAttributes['http.host'],
                domain(SpanAttributes['url.full']), domain(SpanAttributes['http.url']), SpanAttributes['rpc.service']
            ]
        ) AS PeerNames,
        multiIf(
            Threshold != '',
            exp2(56) / (exp2(56) - reinterpretAsUInt64(reverse(unhex(rightPad(Threshold, 14, '0'))))),
            Probability = '63', 0.,
            Probability != '', exp2(toUInt8OrZero(Probability)),
            Counted >= 0 AND Counted <= exp2(56), Counted,
            1.
        ) AS Weight,
        arrayJoin(arrayDistinct(multiIf(
            IsClient, [(TraceId, SpanId)],
            SpanKind = 'Consumer', arrayConcat([(TraceId, ParentSpanId)], arrayZip(Links.TraceId, Links.SpanId)),
            [(TraceId, ParentSpanId)]
        ))) AS Call
    FROM spans_raw
    WHERE SpanKind IN ('Client', 'Producer', 'Server', 'Consumer')
)
WHERE tupleElement(Call, 1) != '' AND tupleElement(Call, 2) != '';
