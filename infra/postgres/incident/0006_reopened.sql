-- When an incident was opened again last: its causes are analysed anew, over a window that starts there.
ALTER TABLE incident ADD COLUMN reopened_at timestamptz;
