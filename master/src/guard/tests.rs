use axum::body::{Body, to_bytes};
use axum::routing::get;
use tower::ServiceExt;

use super::*;

#[tokio::test]
async fn a_panic_costs_one_answer() {
    async fn panics() -> StatusCode {
        panic!("a mistake")
    }
    let routes = Router::new().route("/panics", get(panics)).route("/works", get(|| async { "fine" }));
    let guarded = protect(routes, Access::Hosts(vec!["localhost".to_owned()]));
    let ask = async |path: &str| {
        let request = Request::builder().uri(path).header("host", "localhost").body(Body::empty());
        let response = guarded.clone().oneshot(request.unwrap()).await.unwrap();
        let status = response.status();
        let named = response.headers().contains_key(header::CONTENT_SECURITY_POLICY);
        let body = to_bytes(response.into_body(), 1000).await.unwrap();
        (status, named, String::from_utf8(body.to_vec()).unwrap())
    };
    let (status, headers, body) = ask("/panics").await;
    assert_eq!((status, headers), (StatusCode::INTERNAL_SERVER_ERROR, true));
    assert!(body.contains("its log has the details"), "{body}");
    assert_eq!(ask("/works").await, (StatusCode::OK, true, "fine".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_given_up() {
    let routes = Router::new().route("/", get(std::future::pending::<StatusCode>));
    let guarded = protect(routes, Access::Hosts(vec!["localhost".to_owned()]));
    let request = Request::builder().uri("/").header("host", "localhost").body(Body::empty()).unwrap();
    let response = guarded.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
}
