//! A server with an engine on a memory store, and a client of it.

use jobwright_adapters::MockExecutor;
use jobwright_adapters::mock::Act;
use jobwright_http::Options;
use jobwright_scheduler::Engine;
use jobwright_store::MemoryStore;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Two outputs that share nothing: two job groups.
pub(crate) const PACKAGE: &str = r#"
jobwright: 1
name: sales
flows:
  sales:
    executor: mock
    parameters:
      region: { type: choice, choices: [all, north, south] }
      rows: { type: integer, default: 3, max: 10 }
    steps:
      read: { kind: ingest, payload: { inputs: [{ name: tills, path: "/in/${region}" }] } }
      sum: { needs: [read], payload: { rows: "$rows" } }
      write: { kind: filewriter, needs: [sum], payload: { path: "/out/${region}.csv" } }
      load: { kind: publish, payload: { tableName: sales, relationalPath: [dwh], action: append } }
    outputs:
      report: { steps: [write] }
      table: { steps: [load] }
"#;

/// A server that listens until it is dropped.
pub(crate) struct Server {
    pub(crate) engine: Engine,
    pub(crate) token: String,
    base: String,
    client: reqwest::Client,
    _serving: JoinSet<()>,
}

/// What a request was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts the status, and shows the body where it is another one.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(MockExecutor::new(), Options::default()).await
    }

    /// A server whose jobs of step `read` never end by themselves.
    pub(crate) async fn hanging() -> Self {
        Self::with(MockExecutor::new().on("read", [Act::hangs()]), Options::default()).await
    }

    pub(crate) async fn with(executor: MockExecutor, options: Options) -> Self {
        let engine = Engine::builder().store(MemoryStore::new()).executor("mock", executor);
        let engine = engine.start().await.unwrap();
        let secret = jobwright_http::first_token(&engine).await.unwrap().unwrap();
        assert!(jobwright_http::first_token(&engine).await.unwrap().is_none());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = jobwright_http::router(engine.clone(), options);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        // Built together with the program, the client of these tests can do TLS too, and asks for
        // cryptography even where it does none.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (token, client) = (secret.reveal().to_owned(), reqwest::Client::new());
        Self { engine, token, base, client, _serving: serving }
    }

    /// A request that shows the admin's token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(&self.token)
    }

    /// A request that shows nothing.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).header("x-request-id", "r-1")
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn upload(&self, path: &str, package: &str) -> Answer {
        let part = Part::bytes(package.as_bytes().to_vec()).file_name("package.yaml");
        let request = self.request(Method::POST, path).multipart(Form::new().part("data", part));
        self.send(request).await
    }

    /// Makes deployment 1 with release 1 of [`PACKAGE`].
    pub(crate) async fn deploy(&self) {
        self.post("/v4/deployments", &serde_json::json!({ "name": "sales" })).await.expect(201);
        self.upload("/v4/deployments/1/releases", PACKAGE).await.expect(201);
    }

    /// Waits until a job group has ended, by the long poll.
    pub(crate) async fn ended(&self, group: i64) -> String {
        loop {
            let answer =
                self.get(&format!("/v4/jobGroups/{group}/status?wait=20s")).await.expect(200);
            if answer.header("x-terminal") == "true" {
                return answer.text;
            }
        }
    }
}

/// The body without what differs from run to run.
pub(crate) fn without_session(mut body: Value) -> Value {
    for group in body["data"].as_array_mut().unwrap() {
        let session = group.as_object_mut().unwrap().remove("sessionId").unwrap();
        assert_eq!(session.as_str().unwrap().len(), 36, "{session}");
    }
    body
}
