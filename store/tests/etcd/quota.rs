//! An etcd that has reached its quota.

use e2e::{Etcd as Server, EtcdOptions};
use model::Lane;
use model::run::{Outcome, Revision};
use store::{Tree, TreeError, protocol};

use crate::conformance::world::{claim_now, job, put_job, register, slot, status};
use crate::mirror::put;
use crate::open::{in_words, tree};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_etcd_refuses_puts_lets_runs_be_given_back_and_says_what_to_do() {
    let arguments = vec!["--quota-backend-bytes=2000000".to_owned()];
    let server = Server::start_with(EtcdOptions { arguments, ..EtcdOptions::default() });
    let tree = tree(&server.endpoint());
    let (job, session) = (job("a"), register(&tree, "n/1").await);
    put_job(&tree, &job).await;
    let claimed = claim_now(&tree, &job, &session, slot(1)).await;
    let large = "x".repeat(100_000);
    let why = loop {
        match tree.commit(put("large", &large)).await {
            Ok(_) => {}
            Err(why) => break why,
        }
    };
    assert!(matches!(why, TreeError::NoSpace(_)), "{why:?}");
    let why = in_words(&why);
    assert!(why.contains("alarm disarm"), "{why}");

    let mut counted = status(&tree, &job.name).await;
    counted.add_run(model::values::RecentRun {
        run: claimed.run.clone(),
        slot: slot(1),
        outcome: Outcome::Succeeded,
        ended: slot(1).0,
        unknown: model::Unknown::default(),
    });
    let finish =
        protocol::finish(&Lane::from(&job.name), &claimed.run, claimed.token, Revision::NONE, &counted);
    assert!(matches!(tree.commit(finish).await, Err(TreeError::NoSpace(_))));
    let release = protocol::release(&Lane::from(&job.name), &claimed.run, claimed.token);
    assert!(tree.commit(release).await.expect("a deletion passes").succeeded);

    server.ctl(&["del", "/cron/jobs/large"]);
    let revision = server.ctl(&["get", "/cron/jobs/a", "--write-out=fields"]);
    let revision =
        revision.lines().find_map(|line| line.strip_prefix("\"Revision\" : ")).expect("a revision");
    server.ctl(&["compact", "--physical", revision]);
    server.ctl(&["defrag"]);
    server.ctl(&["alarm", "disarm"]);
    tree.commit(put("small", "1")).await.expect("there is room again");
}
