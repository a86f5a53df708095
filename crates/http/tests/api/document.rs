//! The OpenAPI document: as it is checked in, and as it is served.

use std::path::Path;

use reqwest::Method;
use serde_json::Value;

use crate::server::Server;

#[tokio::test]
async fn the_document_is_the_one_that_is_checked_in() {
    let server = Server::start().await;
    let served = server.send(server.bare(Method::GET, "/openapi.json")).await.expect(200).text;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let hint = "run `cargo run -p jobwright-http --example openapi > docs/openapi.json`";
    assert!(served == kept, "docs/openapi.json is not up to date: {hint}");

    let document: Value = serde_json::from_str(&served).unwrap();
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            let named = path.matches('{').count();
            let parameters = operation["parameters"].as_array().unwrap();
            let in_path = parameters.iter().filter(|it| it["in"] == "path").count();
            assert_eq!(in_path, named, "{method} {path}");
            assert!(operation["responses"]["default"].is_object(), "{method} {path}");
        }
    }
    assert!(ids.len() > 80, "{} operations", ids.len());
}
