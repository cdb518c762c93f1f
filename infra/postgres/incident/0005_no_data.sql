-- Since when there is no data of an alert that goes on as far as anybody knows: fingerprint -> instant.
ALTER TABLE incident ADD COLUMN silent jsonb NOT NULL DEFAULT '{}';
