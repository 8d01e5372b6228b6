-- The tree. Keys have an index of their own, so that a comparison never reads past large values.
CREATE TABLE kv (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    leased INTEGER NOT NULL,
    value BLOB NOT NULL
) STRICT;
CREATE INDEX kv_leased ON kv (leased) WHERE leased > 0;

-- One row: the revision of the last transaction that wrote to the tree.
CREATE TABLE tree (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO tree VALUES (1, 0);

-- Ended attempts. `began` is the start, or the slot where no start is known: what the log is sorted by. The output
-- comes last, so that a listing without it does not read it.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    job TEXT NOT NULL,
    began INTEGER NOT NULL,
    node TEXT NOT NULL,
    session TEXT NOT NULL,
    slot INTEGER NOT NULL,
    claimed INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    exit_status INTEGER,
    signal INTEGER,
    message TEXT NOT NULL,
    command TEXT NOT NULL,
    cut INTEGER NOT NULL,
    head BLOB NOT NULL,
    tail BLOB NOT NULL,
    UNIQUE (run, attempt)
) STRICT;
-- The outcome is in it because succeeded runs and others are kept apart.
CREATE INDEX runs_by_job ON runs (job, began, run, attempt, outcome);
CREATE INDEX runs_by_start ON runs (began, run, attempt);

-- How many records a job has, so that whether one is too many is known without counting.
CREATE TABLE run_counts (
    job TEXT NOT NULL,
    succeeded INTEGER NOT NULL,
    records INTEGER NOT NULL,
    PRIMARY KEY (job, succeeded)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER count_run AFTER INSERT ON runs BEGIN
    INSERT INTO run_counts VALUES (new.job, new.outcome = 'Succeeded', 1)
    ON CONFLICT DO UPDATE SET records = records + 1;
END;
CREATE TRIGGER uncount_run AFTER DELETE ON runs BEGIN
    UPDATE run_counts SET records = records - 1 WHERE job = old.job AND succeeded = (old.outcome = 'Succeeded');
END;

CREATE TABLE skips (
    job TEXT NOT NULL,
    from_slot INTEGER NOT NULL,
    reason TEXT NOT NULL,
    to_slot INTEGER NOT NULL,
    count INTEGER,
    node TEXT NOT NULL,
    decided INTEGER NOT NULL,
    PRIMARY KEY (job, from_slot, reason)
) STRICT, WITHOUT ROWID;
