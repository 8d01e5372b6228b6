-- What was appended and not shipped yet, in that order. `entry` is JSON; a run's output is in `head` and `tail`, and
-- comes last, so that dropping records does not read it. `refused` means that the log does not take this one.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT,
    attempt INTEGER,
    bytes INTEGER NOT NULL,
    refused INTEGER NOT NULL DEFAULT 0,
    output INTEGER NOT NULL,
    entry TEXT NOT NULL,
    cut INTEGER NOT NULL,
    head BLOB NOT NULL,
    tail BLOB NOT NULL
) STRICT;
CREATE INDEX entries_by_run ON entries (run, attempt) WHERE run IS NOT NULL;
CREATE INDEX entries_to_ship ON entries (id) WHERE refused = 0;
CREATE INDEX entries_with_output ON entries (id) WHERE output > 100;

-- One row: the sums over all entries, so that nothing is ever counted.
CREATE TABLE totals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    entries INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    refused INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (1, 0, 0, 0);
CREATE TRIGGER count_entry AFTER INSERT ON entries BEGIN
    UPDATE totals SET entries = entries + 1, bytes = bytes + new.bytes, refused = refused + new.refused;
END;
CREATE TRIGGER uncount_entry AFTER DELETE ON entries BEGIN
    UPDATE totals SET entries = entries - 1, bytes = bytes - old.bytes, refused = refused - old.refused;
END;
CREATE TRIGGER recount_entry AFTER UPDATE ON entries BEGIN
    UPDATE totals SET bytes = bytes - old.bytes + new.bytes, refused = refused - old.refused + new.refused;
END;
