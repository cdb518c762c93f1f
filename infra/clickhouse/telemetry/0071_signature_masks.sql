-- The same masks as 0070, each step a query around the one before: written as aliases, their planning cost every insert
-- of logs a fifth of a second. The inner queries are `libs.kernel.log_masks.sql("logs_raw")`, held equal by a test.

ALTER TABLE log_signatures_1m_mv MODIFY QUERY
SELECT
    TenantId,
    toDateTime(toStartOfMinute(Timestamp)) AS Minute,
    ServiceName,
    SeverityNumber,
    cityHash64(LineSignature) AS SignatureHash,
    any(LineSignature) AS Signature,
    any(substringUTF8(Body, 1, 2048)) AS Example,
    count() AS Count,
    min(Timestamp) AS FirstSeen,
    max(Timestamp) AS LastSeen
FROM (
SELECT
    *,
    LogAttributes['exception.type'] AS ExceptionType,
    if(ExceptionType = '' OR position(Masked, ExceptionType) > 0, Masked, concat(ExceptionType, ': ', Masked)) AS LineSignature
FROM (
SELECT *, if(position(Step6, '#') > 0, replaceRegexpAll(Step6, '#QzQ', '#'), Step6) AS Masked FROM (
SELECT *, if(position(Step5, '_') > 0, replaceRegexpAll(Step5, '_-?(?:<\\*>|0x[0-9a-fA-F]+\\b|[0-9a-fA-F]{8,}\\b|[a-z0-9]*[0-9]+[a-z]+[0-9]+[a-z]+[a-z0-9]*\\b|\\d+(?:[.,:]\\d+)*)', '_<*>'), Step5) AS Step6 FROM (
SELECT *, if(Json, replaceRegexpAll(Step4, '\\B/[\\w.@%+$~-]+(?:/[\\w.@%+$~-]+)*/?(?::\\d+)?|\\b(?:[a-z][a-z0-9+.-]*://[^ \\t\\r,;)\\]>\\"\']+|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\\d{1,2}|\\d{1,2}[ /-](?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec))\\b(?:[ /,-]+\\d{4})?(?:[ T:,]+\\d{2}:\\d{2}(?::\\d{2}(?:[.,]\\d+)?)?)?(?: [-+]\\d{4})?(?: \\d{4})?\\b|eyJ[\\w-]+(?:\\.[\\w-]*){0,2}|[A-Za-z]:\\\\[^ \\t\\r\\"\',;]+|(?:(?:[a-z0-9-]+\\.)+[a-z]{2,}:\\d{4,5}|(?:[a-z0-9-]+\\.){2,}[a-z]{2,}:\\d{1,3})\\b|[\\w.+-]+@(?:[\\w-]+\\.)+[\\w-]+|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|\\d{4}-\\d{2}-\\d{2}(?:[T ]\\d{2}:\\d{2}(?::\\d{2}(?:[.,]\\d+)?)?(?:Z|[+-]\\d{2}:?\\d{2})?)?|\\d{1,3}(?:\\.\\d{1,3}){3}(?::\\d{1,5})?\\b|(?:[0-9a-fA-F]{1,4}::?){2,7}[0-9a-fA-F]{1,4}\\b|\\d+(?:[.,]\\d+)*(?:[mhd]| ?(?:(?:n|u|µ|m)?s|[kKMGTP]i?B|B|min|(?:milli|micro|nano)?sec(?:ond)?s?|minutes?|hours?|days?|bytes?))\\b|0x[0-9a-fA-F]+\\b|[0-9a-fA-F]{8,}\\b|[a-z0-9]*[0-9]+[a-z]+[0-9]+[a-z]+[a-z0-9]*\\b|\\d+(?:[.,:]\\d+)*)', '<*>'), Step4) AS Step5 FROM (
SELECT *, if(NOT Json, replaceRegexpAll(Step3, '\\B(?:"[^"]*"|\'[^\']*\')|\\B/[\\w.@%+$~-]+(?:/[\\w.@%+$~-]+)*/?(?::\\d+)?|\\b(?:[a-z][a-z0-9+.-]*://[^ \\t\\r,;)\\]>\\"\']+|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\\d{1,2}|\\d{1,2}[ /-](?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec))\\b(?:[ /,-]+\\d{4})?(?:[ T:,]+\\d{2}:\\d{2}(?::\\d{2}(?:[.,]\\d+)?)?)?(?: [-+]\\d{4})?(?: \\d{4})?\\b|eyJ[\\w-]+(?:\\.[\\w-]*){0,2}|[A-Za-z]:\\\\[^ \\t\\r\\"\',;]+|(?:(?:[a-z0-9-]+\\.)+[a-z]{2,}:\\d{4,5}|(?:[a-z0-9-]+\\.){2,}[a-z]{2,}:\\d{1,3})\\b|[\\w.+-]+@(?:[\\w-]+\\.)+[\\w-]+|[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|\\d{4}-\\d{2}-\\d{2}(?:[T ]\\d{2}:\\d{2}(?::\\d{2}(?:[.,]\\d+)?)?(?:Z|[+-]\\d{2}:?\\d{2})?)?|\\d{1,3}(?:\\.\\d{1,3}){3}(?::\\d{1,5})?\\b|(?:[0-9a-fA-F]{1,4}::?){2,7}[0-9a-fA-F]{1,4}\\b|\\d+(?:[.,]\\d+)*(?:[mhd]| ?(?:(?:n|u|µ|m)?s|[kKMGTP]i?B|B|min|(?:milli|micro|nano)?sec(?:ond)?s?|minutes?|hours?|days?|bytes?))\\b|0x[0-9a-fA-F]+\\b|[0-9a-fA-F]{8,}\\b|[a-z0-9]*[0-9]+[a-z]+[0-9]+[a-z]+[a-z0-9]*\\b|\\d+(?:[.,:]\\d+)*)', '<*>'), Step3) AS Step4 FROM (
SELECT *, replaceRegexpAll(Step2, '((?i:\\b\\w*id\\b)["\']?[=:] ?)["\']?[\\w.-]*\\d[\\w.-]*["\']?', '\\1<*>') AS Step3 FROM (
SELECT *, if(position(Step1, ' HTTP/') > 0 AND NOT Json, replaceRegexpAll(Step1, '"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE) [^"]*"', '\\1 <*>'), Step1) AS Step2 FROM (
SELECT *, if(position(Line, '#') > 0, replaceRegexpAll(Line, '([A-Za-z_$])#(\\d)', '\\1#QzQ\\2'), Line) AS Step1 FROM (
SELECT *, startsWith(Line, '{') AS Json FROM (
SELECT *, substringUTF8(substringIndex(Body, '\n', 1), 1, 512) AS Line FROM logs_raw))))))))))
GROUP BY TenantId, Minute, ServiceName, SeverityNumber, SignatureHash;
