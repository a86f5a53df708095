//! Deployments, releases, import rules and the environment, from their making to their end.

use reqwest::Method;
use serde_json::json;

use crate::server::{PACKAGE, Server};

#[tokio::test]
async fn releases_are_tried_imported_swapped_and_deleted() {
    let server = Server::start().await;
    let made = server.post("/v4/deployments", &json!({ "name": "sales" })).await.expect(201);
    assert_eq!((made.header("location"), made.header("etag")), ("/v4/deployments/1", "\"1\""));
    assert_eq!((&made.json()["id"], &made.json()["creator"]), (&json!(1), &json!({ "id": 1 })));

    let rules = json!([{ "type": "fileLocation", "on": "//in//", "with": "/prod/" }]);
    let before = server.patch("/v4/deployments/1/valueImportRules", &rules).await.expect(200);
    assert_eq!(before.json(), json!({ "data": [] }));
    let tried =
        server.upload("/v4/deployments/1/releases/dryRun", PACKAGE).await.expect(200).json();
    let change = &tried["importRuleChanges"]["value"][0];
    assert_eq!(
        (&change["before"], &change["after"]),
        (&json!("/in/${region}"), &json!("/prod/${region}"))
    );
    assert_eq!((&tried["primaryFlowIds"], tried.get("release")), (&json!([1]), None));
    assert_eq!(server.get("/v4/releases").await.json(), json!({ "data": [] }));

    let old = server.upload("/v3/deployments/1/releases", PACKAGE).await.expect(201);
    assert_eq!(old.header("location"), "/v3/releases/1");
    let old = old.json();
    let members: Vec<_> = old.as_object().unwrap().keys().collect();
    assert_eq!(members, ["flowName", "importRuleChanges"]);
    let new = server.upload("/v4/deployments/1/releases", PACKAGE).await.expect(201).json();
    assert_eq!((&new["release"]["id"], &new["release"]["active"]), (&json!(2), &json!(true)));
    let none = json!([]);
    let before = server.patch("/v3/deployments/1/valueImportRules", &none).await.expect(200);
    assert_eq!(before.json(), json!({ "data": rules }));

    let back = server.patch("/v4/releases/1", &json!({ "active": true })).await.expect(200).json();
    assert_eq!((&back["id"], &back["updater"]), (&json!(1), &json!({ "id": 1 })));
    let listed = server.get("/v4/releases?deploymentId=1&fields=active").await.expect(200).json();
    assert_eq!(listed["data"], json!([{ "active": false, "id": 2 }, { "active": true, "id": 1 }]));
    let off = server.patch("/v3/releases/1", &json!({ "active": false })).await.expect(200).json();
    assert_eq!((&off["id"], &off["updatedBy"], off.get("updater")), (&json!(1), &json!(1), None));
    let embedded = server.get("/v4/deployments/1?embed=releases(limit=1)").await.expect(200).json();
    assert_eq!(embedded["activeRelease"], json!(null));
    assert_eq!(embedded["releases"]["data"][0]["id"], 2);

    let etag = server.get("/v4/releases/2").await.expect(200).header("etag").to_owned();
    let known = server.request(Method::GET, "/v4/releases/2").header("if-none-match", &etag);
    server.send(known).await.expect(304);
    server.patch("/v4/releases/2", &json!({ "active": true })).await.expect(200);
    let stale = server.request(Method::DELETE, "/v4/releases/2").header("if-match", &etag);
    server.send(stale).await.expect(412);
    let refused = server.delete("/v4/deployments/1").await.expect(409).json();
    assert_eq!(refused["detail"], "deployment 1 has 2 releases: delete them first");
    for id in [1, 2] {
        server.delete(&format!("/v4/releases/{id}")).await.expect(204);
    }
    server.delete("/v4/deployments/1").await.expect(204);
    server.get("/v4/deployments/1").await.expect(404);
}

#[tokio::test]
async fn what_is_no_package_is_refused_with_its_place() {
    let server = Server::start().await;
    server.post("/v4/deployments", &json!({ "name": "sales" })).await.expect(201);
    for path in ["/v4/deployments/1/releases", "/v3/deployments/1/releases/dryRun"] {
        let refused = server.upload(path, "jobwright: 1\nname: x\n").await.expect(400).json();
        assert_eq!(refused["exception"]["name"], "ValidationFailed");
        let form = reqwest::multipart::Form::new().text("other", "x");
        let nothing = server.request(Method::POST, path).multipart(form);
        let refused = server.send(nothing).await.expect(400).json();
        assert_eq!(refused["detail"], "the upload has no part named `data`: put the package there");
    }
    let rules = json!([{ "tableName": "outputs", "onCondition": { "a": 1 }, "withCondition": {} }]);
    server.patch("/v4/deployments/1/objectImportRules", &rules).await.expect(400);
    server.upload("/v4/deployments/7/releases", PACKAGE).await.expect(404);
    // Only the limit of uploads holds for them.
    let large = format!("{}{PACKAGE}", "# a comment\n".repeat(300_000));
    server.upload("/v4/deployments/1/releases/dryRun", &large).await.expect(200);
}

#[tokio::test]
async fn the_environment_is_set_and_carried_over() {
    let server = Server::start().await;
    let path = "/v4/environmentParameters";
    let body = json!({ "overrideKey": "env.bucket", "value": { "variable": { "value": "dev" } } });
    let made = server.post(path, &body).await.expect(201).json();
    assert_eq!(made, json!({ "id": 1, "overrideKey": "env.bucket", "value": "dev" }));
    server.post(path, &body).await.expect(409);
    let wrong = json!({ "overrideKey": "bucket", "value": "dev" });
    let refused = server.post(path, &wrong).await.expect(400).json();
    assert_eq!(refused["errors"][0]["pointer"], "#/overrideKey");
    let package = server.get("/v4/environmentParameters/package").await.expect(200).json();
    let other = Server::start().await;
    let path = "/v3/environmentParameters/package";
    assert_eq!(other.post(path, &package).await.expect(201).json()["data"][0]["value"], "dev");
    let body = json!({ "overrideKey": "env.bucket", "value": "prod" });
    other.patch("/v3/environmentParameters/1", &body).await.expect(200);
    assert_eq!(other.get("/v4/environmentParameters/1").await.json()["value"], "prod");
    let one = "/v4/environmentParameters/1";
    assert_eq!(other.get(one).await.header("etag"), "\"2\"");
    for (method, body) in [
        (Method::PATCH, json!({ "overrideKey": "env.bucket", "value": "late" })),
        (Method::DELETE, json!({})),
    ] {
        let stale = other.request(method, one).header("if-match", "\"1\"").json(&body);
        let refused = other.send(stale).await.expect(412).json();
        let detail = "environment parameter `env.bucket` is at revision 2, not 1: read it again";
        assert_eq!(refused["detail"], detail);
    }
    let known = other.request(Method::PUT, one).header("if-match", "\"2\"").json(&body);
    assert_eq!(other.send(known).await.expect(200).header("etag"), "\"3\"");
    let read = other.request(Method::GET, one).header("if-none-match", "\"3\"");
    other.send(read).await.expect(304);
    other.delete(one).await.expect(204);
    other.get("/v4/environmentParameters/1").await.expect(404);
}
