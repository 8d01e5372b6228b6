//! Servers that are away, want a password, speak TLS, or say no.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use e2e::MongoOptions;
use model::run::Outcome;
use mongodb::bson::{Document, doc};
use mongodb::{Client, IndexModel};
use rcgen::{CertificateParams, Issuer, KeyPair};
use store::mongo::{ConfigError, MongoConfig, MongoLog};
use store::{LogError, RunLog, RunQuery};

use crate::conformance::log::{append_one, record};
use crate::server;

fn config(uri: &str) -> MongoConfig {
    MongoConfig { uri: uri.to_owned(), database: None, retention: None }
}

fn log(uri: &str) -> MongoLog {
    MongoLog::new(config(uri)).expect("a valid URI")
}

/// The whole story of a log that is not available.
fn unavailable<T: std::fmt::Debug>(outcome: Result<T, LogError>) -> String {
    let error = outcome.expect_err("it is not available");
    assert!(matches!(error, LogError::Unavailable(_)), "{error:?}");
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

const SOME: RunQuery = RunQuery { job: None, skip: 0, limit: 9, with_output: true };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_told_and_used_again_when_it_is_back() {
    let mut place = server::own(MongoOptions::default()).await;
    // With the time it has by default, and with less.
    let (slow, fast) = (place.log(), log(&format!("{}?serverSelectionTimeoutMS=200", place.uri)));
    append_one(&slow, record("a", 1, Outcome::Succeeded)).await.unwrap();
    append_one(&fast, record("a", 2, Outcome::Succeeded)).await.unwrap();
    let server = place.server.as_mut().expect("its own");
    server.kill();
    // One that never found it, either.
    let new = log(&format!("{}?serverSelectionTimeoutMS=200", place.uri));
    for log in [&slow, &fast, &new] {
        let story = unavailable(append_one(log, record("a", 3, Outcome::Succeeded)).await);
        assert!(story.contains("no MongoDB server answers; check that it runs"), "{story}");
    }
    unavailable(fast.runs(SOME).await);
    tokio::task::block_in_place(|| server.start_again(MongoOptions::default()));
    for log in [&slow, &fast, &new] {
        append_one(log, record("a", 3, Outcome::Succeeded)).await.unwrap();
        assert_eq!(log.runs(SOME).await.unwrap().len(), 3, "what was acknowledged is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_say_their_password_and_may_do_what_their_role_lets_them() {
    let mut place = server::own(MongoOptions::default()).await;
    let client = Client::with_uri_str(&place.uri).await.unwrap();
    for (user, role) in [("writer", "readWrite"), ("reader", "read")] {
        let create =
            doc! { "createUser": user, "pwd": "p@ss/word:%", "roles": [{ "role": role, "db": "cron" }] };
        client.database("cron").run_command(create).await.unwrap();
    }
    // A journalled write takes the users along, so that they survive what comes.
    append_one(&place.log(), record("a", 0, Outcome::Succeeded)).await.unwrap();
    let server = place.server.as_mut().expect("its own");
    server.kill();
    let options = MongoOptions { auth: true, ..MongoOptions::default() };
    tokio::task::block_in_place(|| server.start_again(options));
    let uri = |user: &str| format!("mongodb://{user}@127.0.0.1:{}/cron", server.port());
    let writer = log(&uri("writer:p%40ss%2Fword%3A%25"));
    append_one(&writer, record("a", 1, Outcome::Succeeded)).await.unwrap();

    let wrong = log(&uri("writer:secret-but-wrong"));
    let story = unavailable(append_one(&wrong, record("a", 2, Outcome::Succeeded)).await);
    assert!(story.contains("refuses the user or the password"), "{story}");
    assert!(!story.contains("secret-but-wrong"), "{story}");

    let nobody = log(&place.uri);
    let story = unavailable(append_one(&nobody, record("a", 2, Outcome::Succeeded)).await);
    assert!(story.contains("user"), "{story}");

    let reader = log(&uri("reader:p%40ss%2Fword%3A%25"));
    assert_eq!(reader.runs(SOME).await.unwrap().len(), 2);
    let story = unavailable(append_one(&reader, record("a", 2, Outcome::Succeeded)).await);
    assert!(story.contains("grant") && story.contains("readWrite") && story.contains("`cron`"), "{story}");
    assert_eq!(writer.runs(SOME).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_refused_is_named_and_made_later() {
    let place = server::any().await;
    let collection = place.collection("log").await;
    let other = IndexModel::builder().keys(doc! { "command": 1 }).build();
    let mut other = other;
    other.options = Some(mongodb::options::IndexOptions::builder().name("byJob".to_owned()).build());
    collection.create_index(other).await.unwrap();
    let log = place.log();
    let story = unavailable(append_one(&log, record("a", 1, Outcome::Succeeded)).await);
    assert!(
        story.contains("refuses the index byJob on `log`") && story.contains("remove an index"),
        "{story}"
    );
    assert_eq!(
        collection.count_documents(Document::new()).await.unwrap(),
        0,
        "nothing is written without it"
    );
    collection.drop_index("byJob").await.unwrap();
    append_one(&log, record("a", 1, Outcome::Succeeded)).await.unwrap();
    assert_eq!(log.runs(SOME).await.unwrap().len(), 1);
}

/// Writes a certificate authority and a server's certificate with its key.
fn certificates(folder: &Path) {
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&authority).unwrap();
    let issuer = Issuer::new(params, authority);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    std::fs::write(folder.join("ca.pem"), root.pem()).unwrap();
    std::fs::write(folder.join("server.pem"), server.pem()).unwrap();
    std::fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_asked_for_in_the_uri() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name);
    let tls = (path("server.pem"), path("server.key"));
    let server = tokio::task::block_in_place(|| e2e::Mongo::start_with_tls(&tls.0, &tls.1));
    let uri = |options: &str| {
        format!(
            "mongodb://localhost:{}/?directConnection=true&serverSelectionTimeoutMS=3000{options}",
            server.port()
        )
    };
    let trusted = log(&uri(&format!("&tls=true&tlsCAFile={}", path("ca.pem").display())));
    append_one(&trusted, record("a", 1, Outcome::Succeeded)).await.unwrap();
    assert_eq!(trusted.runs(SOME).await.unwrap().len(), 1);
    let unknown = log(&uri("&tls=true"));
    let plain = log(&uri(""));
    let missing = log(&uri("&tls=true&tlsCAFile=/nowhere/ca.pem"));
    for (what, log) in [("an unknown authority", unknown), ("no TLS", plain), ("a missing file", missing)] {
        let story = unavailable(append_one(&log, record("a", 2, Outcome::Succeeded)).await);
        assert!(story.contains("TLS"), "{what}: {story}");
    }
}

#[test]
fn a_bad_uri_is_explained_without_its_password() {
    let cases = [
        ("", "write mongodb://host:port/database"),
        ("localhost:27017", "write mongodb://host:port/database"),
        ("postgres://u:SECRET@h/", "write mongodb://host:port/database"),
        ("mongodb://u:SECRET@pass@h:1/", "%40 for @"),
        ("mongodb://u:SECRET/pass@h:1/", "%2F for /"),
        ("mongodb://u:SECRET?pass@h:1/", "%3F for ?"),
        ("mongodb://u:SECRET%pass@h:1/", "%25 for %"),
        ("mongodb://u:SECRET@h:99999/", "port"),
        ("mongodb://u:SECRET@/", "host"),
        ("mongodb://u:SECRET@h:1/?unheardOf=1", "unheardOf"),
        ("mongodb://u:SECRET@h:1/?w=majority&w", "key=value"),
        ("mongodb://u:SECRET@h:1/a$b", "database"),
        ("mongodb+srv://u:SECRET@name:1/", "port"),
    ];
    for (uri, part) in cases {
        let Err(error) = MongoLog::new(config(uri)) else { panic!("{uri} was taken") };
        let text = format!("{error} {error:?}");
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "{uri}: {text}");
        assert!(!text.contains("SECRET") && !text.contains("pass@"), "{uri}: {text}");
    }
    for database in ["", "a.b", "a b", &"x".repeat(64)] {
        let named = MongoConfig { database: Some(database.to_owned()), ..config("mongodb://h") };
        assert!(matches!(MongoLog::new(named), Err(ConfigError::Database(_))), "{database:?}");
    }
    let shown = format!("{:?} {:?}", config("mongodb://u:SECRET@h/"), log("mongodb://u:SECRET@h/"));
    assert!(!shown.contains("SECRET"), "{shown}");
}

#[tokio::test]
async fn the_database_is_the_uris_or_cron() {
    let place = server::any().await;
    let (path, options) = match place.uri.split_once('?') {
        Some((path, options)) => (path, format!("?{options}")),
        None => (&place.uri[..], String::new()),
    };
    let base = path.trim_end_matches('/');
    let base = match base.strip_prefix("mongodb://").and_then(|rest| rest.split_once('/')) {
        Some((hosts, _)) => format!("mongodb://{hosts}"),
        None => base.to_owned(),
    };
    let named = log(&format!("{base}/{}{options}", place.database));
    append_one(&named, record("a", 1, Outcome::Succeeded)).await.unwrap();
    assert_eq!(place.collection("log").await.count_documents(doc! {}).await.unwrap(), 1);
}

/// A server that takes connections and says nothing is as good as away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_given_up() {
    let place = server::own(MongoOptions::default()).await;
    let log = log(&format!("{}?serverSelectionTimeoutMS=500&connectTimeoutMS=500", place.uri));
    append_one(&log, record("a", 1, Outcome::Succeeded)).await.unwrap();
    let process = place.server.as_ref().expect("its own").process();
    process.signal(rustix::process::Signal::STOP);
    let given_up =
        tokio::time::timeout(Duration::from_mins(1), append_one(&log, record("a", 2, Outcome::Succeeded)));
    unavailable(given_up.await.expect("it does not wait for ever"));
    process.signal(rustix::process::Signal::CONT);
    let back = async { while append_one(&log, record("a", 2, Outcome::Succeeded)).await.is_err() {} };
    tokio::time::timeout(Duration::from_mins(1), back).await.expect("it works again");
}
