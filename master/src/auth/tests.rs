use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower::ServiceExt;

use super::*;

fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    file
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

async fn ask(auth: &Auth, authorization: &[&str]) -> StatusCode {
    let guarded =
        Router::new().route("/", get(|| async { "in" })).layer(from_fn_with_state(auth.clone(), require));
    let mut request = Request::builder().uri("/");
    for value in authorization {
        request = request.header(header::AUTHORIZATION, *value);
    }
    let response = guarded.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let asks = response.headers().get(header::WWW_AUTHENTICATE).is_some();
    assert_eq!(asks, response.status() == StatusCode::UNAUTHORIZED);
    response.status()
}

#[tokio::test(start_paused = true)]
async fn only_a_user_with_the_password_is_let_in() {
    let file = file(&format!("alice:{}\nbob:{}\n", hash("one"), hash("two:3")));
    let auth = Auth::open(file.path()).unwrap();
    let (ok, no) = (StatusCode::OK, StatusCode::UNAUTHORIZED);
    for (authorization, status) in [
        (vec![], no),
        (vec![basic("alice", "one")], ok),
        (vec![basic("alice", "one")], ok),
        (vec![basic("alice", "two:3")], no),
        (vec![basic("bob", "two:3")], ok),
        (vec![basic("bob", "two")], no),
        (vec![basic("carol", "one")], no),
        (vec![basic("", "")], no),
        (vec!["Basic".to_owned()], no),
        (vec!["Basic ???".to_owned()], no),
        (vec![format!("Basic {}", STANDARD.encode("alice"))], no),
        (vec![format!("Basic {}", STANDARD.encode(b"alice:\xff"))], no),
        (vec![basic("alice", "one").replace("Basic", "Bearer")], no),
        (vec![basic("alice", "one").replace("Basic", "basic")], ok),
        (vec![basic("alice", "one"), basic("bob", "no")], no),
    ] {
        let values: Vec<&str> = authorization.iter().map(String::as_str).collect();
        assert_eq!(ask(&auth, &values).await, status, "{values:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn guesses_wait_and_who_is_in_does_not_wait_for_them() {
    let file = file(&format!("alice:{}\n", hash("one")));
    let auth = Auth::open(file.path()).unwrap();
    let right = basic("alice", "one");
    assert_eq!(ask(&auth, &[&right]).await, StatusCode::OK);

    let begun = tokio::time::Instant::now();
    let guesses: Vec<String> = (0..200).map(|n| basic("alice", &n.to_string())).collect();
    let asked = guesses.iter().map(|guess| async { ask(&auth, &[guess]).await });
    let (answers, known) = tokio::join!(futures::future::join_all(asked), async {
        tokio::task::yield_now().await;
        (ask(&auth, &[&right]).await, begun.elapsed())
    });
    let refused = answers.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
    let wrong = answers.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
    assert_eq!((wrong, refused), (WAITING, 200 - WAITING));
    // Time stands still while work is done and jumps where all wait, so these are the pauses alone.
    assert!(begun.elapsed() >= PAUSE * u32::try_from(WAITING / CHECKS).unwrap(), "{:?}", begun.elapsed());
    assert_eq!(known.0, StatusCode::OK);
    assert!(known.1 < PAUSE, "{:?}", known.1);
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_counts_and_a_broken_one_changes_nothing() {
    let file = file(&format!("alice:{}\n", hash("one")));
    let auth = Auth::open(file.path()).unwrap();
    tokio::spawn(auth.clone().follow_file());
    let (old, new) = (basic("alice", "one"), basic("bob", "two"));
    assert_eq!(ask(&auth, &[&old]).await, StatusCode::OK);

    let until = async |authorization: &str, status: StatusCode| {
        for _ in 0..100 {
            if ask(&auth, &[authorization]).await == status {
                return;
            }
            sleep(LOOK).await;
        }
        panic!("never {status}");
    };
    fs::write(file.path(), format!("bob:{}\n", hash("two"))).unwrap();
    until(&new, StatusCode::OK).await;
    until(&old, StatusCode::UNAUTHORIZED).await;

    fs::write(file.path(), "bob:two\n").unwrap();
    sleep(LOOK * 3).await;
    assert_eq!(ask(&auth, &[&new]).await, StatusCode::OK);
    fs::remove_file(file.path()).unwrap();
    sleep(LOOK * 3).await;
    assert_eq!(ask(&auth, &[&new]).await, StatusCode::OK);
}
