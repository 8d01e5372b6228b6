-- Records of skipped slots are told apart by lane, incarnation and epoch too, all of which are in the id of the run that
-- the first slot would have had. Former records get the id that says that it is not known.
CREATE TABLE skips_by_run (
    job TEXT NOT NULL,
    from_slot INTEGER NOT NULL,
    reason TEXT NOT NULL,
    first_run TEXT NOT NULL,
    to_slot INTEGER NOT NULL,
    count INTEGER,
    node TEXT NOT NULL,
    decided INTEGER NOT NULL,
    PRIMARY KEY (job, from_slot, reason, first_run)
) STRICT, WITHOUT ROWID;
INSERT INTO skips_by_run (job, from_slot, reason, first_run, to_slot, count, node, decided)
    SELECT job, from_slot, reason, '0000000000000-0000000000000000', to_slot, count, node, decided FROM skips;
DROP TABLE skips;
ALTER TABLE skips_by_run RENAME TO skips;
