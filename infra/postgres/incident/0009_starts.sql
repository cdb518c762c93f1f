-- What began in the future, or before any telemetry that is kept, made pages and analyses fail: see libs/kernel/starts.py.
ALTER TABLE incident NO FORCE ROW LEVEL SECURITY;
ALTER TABLE incident_alert NO FORCE ROW LEVEL SECURITY;
UPDATE incident SET started_at = least(opened_at, greatest(started_at, opened_at - interval '180 days'))
WHERE started_at > opened_at OR started_at < opened_at - interval '180 days';
UPDATE incident_alert SET starts_at = least(updated_at, greatest(starts_at, updated_at - interval '180 days'))
WHERE starts_at > updated_at OR starts_at < updated_at - interval '180 days';
ALTER TABLE incident FORCE ROW LEVEL SECURITY;
ALTER TABLE incident_alert FORCE ROW LEVEL SECURITY;
