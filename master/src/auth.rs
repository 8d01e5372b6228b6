//! Who may ask: names and passwords by HTTP's Basic scheme, from a password file.
//!
//! The file is the one of `htpasswd -B`: a line `name:hash` for each user, the hash bcrypt's. It is read again when it
//! changes, so that a user who was taken out of it stays out, without a restart.
//!
//! A guess costs time and not much else: four passwords are checked at a time, each that is wrong keeps its place for
//! half a second, and beyond a short queue answers are refused. A password that was right is remembered as a keyed
//! digest in memory, so a user's further requests neither cost a bcrypt each nor wait behind somebody's guesses.
//!
//! Not here: what a user may do. All of them may do everything.

mod file;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::SystemRandom;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::sleep;

pub use file::FileError;
use file::Users;

use crate::reply::Refusal;

/// How many passwords are checked at a time, and how many requests wait for their turn.
const CHECKS: usize = 4;
const WAITING: usize = 32;

/// How long a wrong password keeps its place.
const PAUSE: Duration = Duration::from_millis(500);

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The largest password file.
const FILE_BYTES: u64 = 1 << 20;

/// Who may ask. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Auth {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    known: Mutex<Known>,
    /// Of this process alone: a digest is of no use outside of it.
    key: hmac::Key,
    checks: Semaphore,
    waiting: Semaphore,
}

#[derive(Debug)]
struct Known {
    users: Arc<Users>,
    /// Of each user who was let in, the digest of the password.
    digests: HashMap<String, hmac::Tag>,
}

/// Why a password file can't be used. The path is said by whoever names it.
#[derive(Debug, Error)]
pub enum AuthError {
    /// It can't be read.
    #[error("it can't be read")]
    Unreadable(#[source] io::Error),
    /// Something in it is wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a key")]
    Random,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denied {
    /// It names no user.
    Missing,
    /// There is no such user, or the password is another one.
    Wrong,
    /// Too many passwords wait to be checked.
    Busy,
}

impl Auth {
    /// Reads a password file.
    pub fn open(path: &Path) -> Result<Self, AuthError> {
        let users = read(path)?;
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let shared = Shared {
            path: path.to_owned(),
            known: Mutex::new(Known { users: Arc::new(users), digests: HashMap::new() }),
            key: key.map_err(|_| AuthError::Random)?,
            checks: Semaphore::new(CHECKS),
            waiting: Semaphore::new(WAITING),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Looks at the file every two seconds for as long as it is polled, and takes over what changed. A file that has
    /// become unreadable or wrong changes nothing, and is said once.
    pub async fn follow_file(self) {
        let mut told = String::new();
        loop {
            sleep(LOOK).await;
            let shared = Arc::clone(&self.shared);
            let Ok(read) = tokio::task::spawn_blocking(move || read(&shared.path)).await else { continue };
            match read {
                Ok(users) => {
                    told.clear();
                    let mut known = self.known();
                    if *known.users != users {
                        tracing::info!(users = users.len(), "the password file has changed");
                        *known = Known { users: Arc::new(users), digests: HashMap::new() };
                    }
                }
                Err(why) => {
                    let path = self.shared.path.display();
                    let why = std::iter::successors(Some(&why as &dyn std::error::Error), |why| why.source())
                        .fold(String::new(), |text, why| format!("{text}: {why}"));
                    if told != why {
                        tracing::error!(
                            "--auth {path}{why}; until it is mended, the users stay as they were"
                        );
                        told = why;
                    }
                }
            }
        }
    }

    async fn check(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let (user, password) = credentials(headers)?;
        let users = {
            let known = self.known();
            let digest = known.digests.get(&user);
            if digest
                .is_some_and(|tag| hmac::verify(&self.shared.key, password.as_bytes(), tag.as_ref()).is_ok())
            {
                return Ok(());
            }
            Arc::clone(&known.users)
        };
        let _waiting = self.shared.waiting.try_acquire().map_err(|_| Denied::Busy)?;
        let _place = self.shared.checks.acquire().await.expect("the semaphore is never closed");
        let digest = hmac::sign(&self.shared.key, password.as_bytes());
        let asked = (Arc::clone(&users), user.clone());
        let right = tokio::task::spawn_blocking(move || asked.0.has(&asked.1, &password)).await;
        if !right.unwrap_or(false) {
            let user = users.is_known(&user).then_some(user);
            tracing::warn!(user, "a request had a wrong name or password");
            sleep(PAUSE).await;
            return Err(Denied::Wrong);
        }
        let mut known = self.known();
        // The file may have changed meanwhile.
        if Arc::ptr_eq(&known.users, &users) {
            known.digests.insert(user, digest);
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Users, AuthError> {
    let size = fs::metadata(path).map_err(AuthError::Unreadable)?.len();
    if size > FILE_BYTES {
        return Err(FileError::TooLarge.into());
    }
    Ok(Users::parse(&fs::read(path).map_err(AuthError::Unreadable)?)?)
}

/// The name and the password that a request carries.
fn credentials(headers: &HeaderMap) -> Result<(String, String), Denied> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let value = all.next().ok_or(Denied::Missing)?;
    if all.next().is_some() {
        return Err(Denied::Wrong);
    }
    let (scheme, encoded) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Denied::Wrong)?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Err(Denied::Wrong);
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| Denied::Wrong)?;
    let text = String::from_utf8(decoded).map_err(|_| Denied::Wrong)?;
    let (user, password) = text.split_once(':').ok_or(Denied::Wrong)?;
    Ok((user.to_owned(), password.to_owned()))
}

/// Lets requests of known users pass.
pub(crate) async fn require(State(auth): State<Auth>, request: Request, next: Next) -> Response {
    let message = match auth.check(request.headers()).await {
        Ok(()) => return next.run(request).await,
        Err(Denied::Busy) => {
            let message = "too many passwords are being checked; try again in a moment";
            let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, message);
            return ([(header::RETRY_AFTER, HeaderValue::from_static("1"))], refusal).into_response();
        }
        Err(Denied::Missing) => "this server asks for a name and a password; with curl: --user NAME:PASSWORD",
        Err(Denied::Wrong) => "the name or the password is wrong",
    };
    let realm = HeaderValue::from_static(r#"Basic realm="crontab", charset="UTF-8""#);
    ([(header::WWW_AUTHENTICATE, realm)], Refusal::new(StatusCode::UNAUTHORIZED, message)).into_response()
}

#[cfg(test)]
mod tests;
