//! The servers that the tests use.

use std::time::{SystemTime, UNIX_EPOCH};

use e2e::{Mongo, MongoOptions};
use mongodb::bson::Document;
use mongodb::{Client, Collection, Database};
use store::mongo::{MongoConfig, MongoLog};

use crate::conformance::Fixture;

/// A database that nobody else uses, which is dropped with this or whose server ends.
pub(crate) struct Place {
    pub(crate) uri: String,
    pub(crate) database: String,
    /// A server of its own.
    pub(crate) server: Option<Mongo>,
}

impl Place {
    pub(crate) fn config(&self) -> MongoConfig {
        MongoConfig { uri: self.uri.clone(), database: Some(self.database.clone()), retention: None }
    }

    pub(crate) fn log(&self) -> MongoLog {
        MongoLog::new(self.config()).expect("a valid URI")
    }

    pub(crate) fn fixture(self) -> Fixture<MongoLog> {
        Fixture { store: self.log(), _kept: Box::new(self) }
    }

    /// The database as other programs see it.
    pub(crate) async fn database(&self) -> Database {
        Client::with_uri_str(&self.uri).await.expect("a valid URI").database(&self.database)
    }

    pub(crate) async fn collection(&self, name: &str) -> Collection<Document> {
        self.database().await.collection(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.server.is_some() {
            return;
        }
        let (uri, name) = (self.uri.clone(), self.database.clone());
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { Client::with_uri_str(uri).await?.database(&name).drop().await })?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
        if let Ok(Err(why)) = dropped.join() {
            eprintln!("the database {} is left: {why}", self.database);
        }
    }
}

/// A database on the server that `MONGODB_URI` names, or on one of its own.
pub(crate) async fn any() -> Place {
    let Ok(uri) = std::env::var("MONGODB_URI") else { return own(MongoOptions::default()).await };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    let database = format!("crontab-test-{}-{}", std::process::id(), now.as_nanos());
    Place { uri, database, server: None }
}

pub(crate) async fn standalone() -> Place {
    own(MongoOptions { standalone: true, ..MongoOptions::default() }).await
}

/// A server of its own, which may be killed.
pub(crate) async fn own(options: MongoOptions) -> Place {
    let started = tokio::task::spawn_blocking(move || Mongo::start_with(options));
    let server = started.await.expect("the server starts");
    Place { uri: server.uri(), database: "cron".to_owned(), server: Some(server) }
}
