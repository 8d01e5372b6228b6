//! Endpoints, certificates, users: what opens the door, and what people are told where it stays shut.

use e2e::{Etcd as Server, EtcdOptions};
use model::keys::Folder;
use store::etcd::{Etcd, EtcdConfig, Tls};
use store::{Follow, Tree};
use tokio::time::timeout;

use crate::conformance::world::{claim_now, finish, job, put_job, register, slot};
use crate::mirror::{PATIENCE, put};
use crate::open::{config, in_words};
use crate::secrets::Authority;

/// Asserts that nothing passes, and that the reason has these words.
async fn shut(config: EtcdConfig, words: &[&str]) {
    let tree = Etcd::new(config).expect("a usable configuration");
    let asked = timeout(PATIENCE, tree.commit(put("a", "1"))).await.expect("no request hangs");
    let why = in_words(&asked.expect_err("the door is shut"));
    for word in words {
        assert!(why.contains(word), "{word:?} is not in: {why}");
    }
}

async fn open(config: EtcdConfig) -> Etcd {
    let tree = Etcd::new(config).expect("a usable configuration");
    tree.commit(put("a", "1")).await.expect("the door is open");
    tree
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_endpoint_is_named_with_what_may_be_wrong() {
    let nobody = format!("http://127.0.0.1:{}", e2e::free_port());
    shut(config(&nobody), &[&nobody, "nobody listens there"]).await;
    shut(config("http://no-such-host.invalid:2379"), &["no-such-host.invalid", "the name is not known"])
        .await;

    // Somebody who speaks HTTP/1 and no gRPC.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt;
            // The client may be gone already.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    shut(config(&format!("http://{address}")), &[&address.to_string()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_client_certificates_opens_to_those_who_have_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(&folder.path().join("one"));
    let stranger = Authority::new(&folder.path().join("two"));
    let arguments = vec![
        format!("--cert-file={}", authority.path("server.pem")),
        format!("--key-file={}", authority.path("server.key")),
        format!("--trusted-ca-file={}", authority.path("ca.pem")),
        "--client-cert-auth".to_owned(),
    ];
    let server = Server::start_with(EtcdOptions { arguments, tls: true });
    let with = |ca: &Authority, client: Option<&Authority>| EtcdConfig {
        tls: Some(Tls {
            ca: ca.read("ca.pem"),
            identity: client.map(|client| (client.read("client.pem"), client.read("client.key"))),
        }),
        ..config(&server.endpoint())
    };
    let tree = open(with(&authority, Some(&authority))).await;
    let mut from = tree.follow(&[Folder::Jobs]);
    assert!(matches!(timeout(PATIENCE, from.recv()).await, Ok(Some(Follow::Page(_)))));

    shut(with(&stranger, Some(&authority)), &["--etcd-cacert"]).await;
    shut(with(&authority, None), &["--etcd-cert"]).await;
    shut(with(&authority, Some(&stranger)), &["--etcd-cert"]).await;
    let plain = server.endpoint().replace("https", "http");
    shut(config(&plain), &[&plain]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_to_a_server_without_tls_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path());
    let server = Server::start();
    let tls = Some(Tls { ca: authority.read("ca.pem"), identity: None });
    let endpoint = server.endpoint().replace("http", "https");
    shut(EtcdConfig { tls, ..config(&endpoint) }, &["does not speak TLS there"]).await;
}

/// The commands of `docs/etcd.md`.
fn add_users(server: &Server) {
    for command in [
        "user add root:rootpw",
        "user grant-role root root",
        "role add crontab",
        "role grant-permission crontab --prefix=true readwrite /cron/",
        "user add worker:secret",
        "user grant-role worker crontab",
        "role add reader",
        "role grant-permission reader --prefix=true read /cron/",
        "user add reader:secret",
        "user grant-role reader reader",
        "user add nobody:secret",
        "auth enable",
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        server.ctl(&arguments);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_on_the_prefix_is_enough_for_all_that_a_worker_does() {
    let arguments = vec!["--auth-token=simple".to_owned(), "--auth-token-ttl=2".to_owned()];
    let server = Server::start_with(EtcdOptions { arguments, ..EtcdOptions::default() });
    add_users(&server);
    let user = |name: &str, password: &str| EtcdConfig {
        user: Some((name.to_owned(), password.to_owned())),
        ..config(&server.endpoint())
    };
    let tree = open(user("worker", "secret")).await;
    let mut from = tree.follow(&[Folder::Jobs]);
    assert!(matches!(timeout(PATIENCE, from.recv()).await, Ok(Some(Follow::Page(_)))));
    let (job, session) = (job("a"), register(&tree, "n/1").await);
    put_job(&tree, &job).await;
    let claimed = claim_now(&tree, &job, &session, slot(1)).await;
    // Long after the token has expired.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    tree.renew_session(&session).await.expect("a new token is asked for");
    assert!(finish(&tree, &job.name, &claimed, model::run::Outcome::Succeeded).await);
    tree.close_session(&session).await.expect("a new token is asked for");

    shut(user("worker", "wrong"), &["--etcd-password-file"]).await;
    shut(config(&server.endpoint()), &["--etcd-user"]).await;
    shut(user("reader", "secret"), &["grant it a role", "begin with /cron/"]).await;
    shut(user("nobody", "secret"), &["grant it a role", "begin with /cron/"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_where_there_are_none_is_told_to_be_left_out() {
    let server = Server::start();
    let user = Some(("worker".to_owned(), "secret".to_owned()));
    shut(EtcdConfig { user, ..config(&server.endpoint()) }, &["leave --etcd-user out"]).await;
}
