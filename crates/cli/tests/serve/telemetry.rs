//! What a collector is told.

use std::sync::Arc;

use jobwright_http::axum;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::server::{Place, soon};

/// A collector that keeps what it is told.
struct Collector {
    address: String,
    requests: mpsc::Receiver<ExportTraceServiceRequest>,
    _serving: JoinSet<()>,
}

impl Collector {
    async fn start() -> Self {
        let (sender, requests) = mpsc::channel(64);
        let sender = Arc::new(sender);
        let take = move |body: axum::body::Bytes| async move {
            sender.send(ExportTraceServiceRequest::decode(body).unwrap()).await.unwrap();
        };
        let routes = axum::Router::new().route("/v1/traces", axum::routing::post(take));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, requests, _serving: serving }
    }
}

#[tokio::test]
async fn a_collector_is_told_spans_and_no_secret() {
    let mut collector = Collector::start().await;
    let place = Place::new(&format!("[telemetry]\notlp = \"{}\"\n", collector.address));
    let server = place.start().await;
    server.get("/v4/deployments").await.expect(200);
    let token = server.token.clone();
    server.stop().await;

    // All of it was flushed before the server ended.
    let told = soon("spans", collector.requests.recv()).await.unwrap();
    let resource = &told.resource_spans[0];
    let whole = format!("{told:?}");
    let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
    let names: Vec<_> = spans.map(|span| span.name.as_str()).collect();
    assert!(names.contains(&"open"), "{names:?}");
    for expect in ["service.name", "\"jobwright\"", "service.version"] {
        assert!(whole.contains(expect), "{expect} is not in {whole}");
    }
    assert!(!whole.contains(&token[..12]), "the token was told");
}

#[tokio::test]
async fn a_collector_that_is_away_harms_nobody() {
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let place = Place::new("");
    let mut command = place.command("127.0.0.1:0");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{gone}"));
    let server = place.start_as(command).await;
    server.get("/v4/deployments").await.expect(200);
    server.stop().await;
    assert!(place.log().contains("opentelemetry"), "nobody is told of it: {}", place.log());
}

#[tokio::test]
async fn what_programs_read_is_json() {
    let place = Place::new("[telemetry]\nformat = \"json\"\n");
    let mut command = place.command("127.0.0.1:0");
    command.arg("--json").env_remove("JOBWRIGHT_LOG");
    let server = place.start_as(command).await;
    server.stop().await;
    let log = place.log();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let told: Vec<_> = lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    let expect = ["the server ends; a second signal ends it at once", "the engine has ended"];
    assert_eq!(told, expect);
}
