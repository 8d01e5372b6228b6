//! Many jobs (fault 11).

use std::ffi::OsStr;
use std::fmt::Write as _;

use e2e::EtcdOptions;

use crate::world::{EACH_SECOND, World, job};

#[test]
fn a_job_goes_on_among_twenty_thousand_others_and_while_they_are_edited() {
    let arguments = vec!["--max-txn-ops=10000".to_owned()];
    let world = World::with_etcd(EtcdOptions { arguments, ..EtcdOptions::default() });
    let put_all = |command: &str| {
        for block in 0..10 {
            // etcdctl reads comparisons, operations, and other operations, with empty lines between them.
            let mut transaction = "\n".to_owned();
            for n in 0..2_000 {
                let name = format!("other-{block}-{n}");
                let value = job(&name, "0 0 1 1 *", command);
                writeln!(transaction, "put /cron/jobs/{name} '{value}'").unwrap();
            }
            transaction.push_str("\n\n");
            world.ctl(&[OsStr::new("txn")], transaction.as_bytes());
        }
    };
    put_all("true");
    world.put_job("noted", EACH_SECOND, &world.note_slot("noted"));
    let _worker = world.worker("w1");
    world.until_more("noted", 3);
    put_all("false");
    world.put_job("new", EACH_SECOND, &world.note_slot("new"));
    world.until_lines("new", 3);
    world.until_more("noted", 3);
    world.assert_each_once("noted", &world.lines("noted"));
}
