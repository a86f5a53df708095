//! A receiver of webhooks on the loopback interface, which answers what it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// What it got.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What it answers: a status with headers, or nothing at all, for ever.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    Status(u16, Vec<(&'static str, String)>),
    Nothing,
}

pub(crate) fn status(status: u16) -> Say {
    Say::Status(status, Vec::new())
}

#[derive(Default)]
struct Kept {
    got: Mutex<Vec<Got>>,
    script: Mutex<VecDeque<Say>>,
    came: Notify,
}

/// Listens until it is dropped. Answers 200 where its script says nothing.
pub(crate) struct Receiver {
    pub(crate) base: String,
    kept: Arc<Kept>,
    _serving: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start(script: impl IntoIterator<Item = Say>) -> Self {
        let kept = Arc::new(Kept::default());
        kept.script.lock().unwrap().extend(script);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(take).with_state(Arc::clone(&kept));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self { base, kept, _serving: serving }
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.kept.got.lock().unwrap().clone()
    }

    /// Waits until it got so many.
    pub(crate) async fn has(&self, count: usize) -> Vec<Got> {
        loop {
            let came = self.kept.came.notified();
            let got = self.got();
            if got.len() >= count {
                return got;
            }
            came.await;
        }
    }
}

async fn take(
    State(kept): State<Arc<Kept>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let got = Got { method, path: uri.to_string(), headers, body };
    kept.got.lock().unwrap().push(got);
    kept.came.notify_one();
    let say = kept.script.lock().unwrap().pop_front().unwrap_or(status(200));
    match say {
        Say::Nothing => std::future::pending().await,
        Say::Status(status, headers) => {
            let mut response = Response::new(Body::from("thank you".repeat(100_000)));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    }
}
