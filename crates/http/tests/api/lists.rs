//! Lists: pages, orders, filters, cursors.

use serde_json::{Value, json};

use crate::server::Server;

#[tokio::test]
async fn lists_are_paged_sorted_and_filtered() {
    let server = Server::start().await;
    for name in ["delta", "alpha", "charlie", "bravo"] {
        server.post("/v4/deployments", &json!({ "name": name })).await.expect(201);
    }
    let names = async |query: &str| -> Vec<String> {
        let answer = server.get(&format!("/v4/deployments?{query}")).await.expect(200).json();
        let data = answer["data"].as_array().unwrap().clone();
        data.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    let check = async |query: &str, expect: &[&str]| {
        assert_eq!(names(query).await, expect, "{query}");
    };
    check("", &["bravo", "charlie", "alpha", "delta"]).await;
    check("sort=id", &["delta", "alpha", "charlie", "bravo"]).await;
    check("sort=name&limit=2&offset=1", &["bravo", "charlie"]).await;
    check("sort=-name", &["delta", "charlie", "bravo", "alpha"]).await;
    check("filter=a&sort=name", &["alpha", "bravo", "charlie", "delta"]).await;
    check("filter=ALPHA&filterType=exact", &[]).await;
    check("filter=ALPHA&filterType=exactIgnoreCase", &["alpha"]).await;
    check("filter=bo&filterType=fuzzy", &["bravo"]).await;
    check("noLimit=true&sort=id&offset=3", &["bravo"]).await;

    let counted = server.get("/v3/deployments?includeCount=true&limit=1&fields=name").await.json();
    assert_eq!(counted, json!({ "count": 4, "data": [{ "id": 4, "name": "bravo" }] }));
    let wrong = server.get("/v4/deployments?embed=*").await.expect(400).json();
    let detail = "No association * in deployments! Valid associations are releases, activeRelease, creator, updater";
    assert_eq!(wrong["exception"]["details"], detail);
}

#[tokio::test]
async fn a_cursor_leads_through_the_whole_list() {
    let server = Server::start().await;
    server.deploy().await;
    for _ in 0..5 {
        server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    }
    for group in 1..=10 {
        server.ended(group).await;
    }
    let (mut path, mut seen) = ("/v4/jobGroups?limit=4&status=Complete".to_owned(), Vec::new());
    for _ in 0..3 {
        let page = server.get(&path).await.expect(200);
        let data: Vec<Value> = page.json()["data"].as_array().unwrap().clone();
        seen.extend(data.iter().map(|it| it["id"].as_i64().unwrap()));
        let link = page.header("link").to_owned();
        let Some(next) = link.strip_prefix('<').and_then(|it| it.split_once('>')) else { break };
        assert_eq!(next.1, "; rel=\"next\"");
        assert!(next.0.contains("status=Complete"), "{link}");
        path = next.0.to_owned();
    }
    assert_eq!(seen, (1..=10).rev().collect::<Vec<_>>());
    let of_run = server.get("/v4/jobLibrary?flowRunId=2&fields=id").await.expect(200).json();
    assert_eq!(of_run["data"], json!([{ "id": 4 }, { "id": 3 }]));
    let count = server.get("/v4/jobLibrary/count?status=Failed").await.expect(200).json();
    assert_eq!(count, json!({ "count": 0 }));
    server.get("/v4/jobGroups?status=Cancelled").await.expect(400);
}

#[tokio::test]
async fn overrides_are_values_of_deployments() {
    let server = Server::start().await;
    server.deploy().await;
    let path = "/v4/flowRunParameterOverrides";
    let body = json!({ "flowId": 1, "overrideKey": "region", "value": "north" });
    let made = server.post(path, &body).await.expect(201);
    let id = made.json()["id"].as_i64().unwrap();
    assert_eq!(made.header("location"), format!("{path}/{id}"));
    server.post(path, &body).await.expect(409);
    let bad = server.post(path, &json!({ "flowId": 1, "overrideKey": "rows", "value": [] })).await;
    assert_eq!(bad.expect(400).json()["errors"][0]["pointer"], "#/value");
    let rows =
        json!({ "flowId": 1, "overrideKey": "rows", "value": { "variable": { "value": "4" } } });
    server.post(path, &rows).await.expect(201);
    server.post(path, &json!({ "flowId": 9, "overrideKey": "x", "value": 1 })).await.expect(404);
    let listed = format!("{path}?deploymentId=1&sort=overrideKey&fields=overrideKey,value");
    let data = server.get(&listed).await.expect(200).json()["data"].clone();
    let pairs: Vec<_> =
        data.as_array().unwrap().iter().map(|it| (&it["overrideKey"], &it["value"])).collect();
    assert_eq!(pairs, [(&json!("region"), &json!("north")), (&json!("rows"), &json!("4"))]);
    let first = server.get(&format!("{path}?limit=1")).await.expect(200);
    let next = first.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    let second = server.get(&next).await.expect(200).json();
    assert_ne!(first.json()["data"][0]["id"], second["data"][0]["id"]);

    let one = format!("{path}/{id}");
    server.patch(&one, &json!({ "overrideKey": "other", "value": 1 })).await.expect(409);
    assert_eq!(
        server.patch(&one, &json!({ "value": "south" })).await.expect(200).json()["value"],
        "south"
    );
    let kept = server.get("/v4/deployments/1").await.expect(200).json();
    assert_eq!(kept["parameters"], json!({ "region": "south", "rows": "4" }));
    server.delete(&one).await.expect(204);
    server.get(&one).await.expect(404);
    let explained = server.get("/v4/deployments/1/explain").await.expect(200).text;
    assert!(explained.contains("deployment"), "{explained}");
}

#[tokio::test]
async fn what_belongs_together_is_shown_along() {
    let server = Server::start().await;
    server.deploy().await;
    server.post("/v4/deployments/1/run", &json!({})).await.expect(201);
    server.ended(1).await;
    server.ended(2).await;
    let run = server.get("/v4/flowRuns/1?embed=jobGroups.jobs,deployment,release").await;
    let run = run.expect(200).json();
    let ids: Vec<_> = run["jobGroups"]["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["jobs"]["data"].as_array().unwrap().len())
        .collect();
    assert_eq!(ids, [3, 1]);
    assert_eq!(
        (&run["deployment"]["name"], &run["release"]["active"]),
        (&json!("sales"), &json!(true))
    );
    let plain = server.get("/v4/flowRuns/1").await.expect(200).json();
    assert_eq!(plain["jobGroups"]["data"], json!([{ "id": 1 }, { "id": 2 }]));
    let group = server.get("/v4/jobGroups/1?embed=flowrun,release").await.expect(200).json();
    assert_eq!(group["flowrun"]["jobGroups"]["data"], json!([{ "id": 1 }, { "id": 2 }]));
    assert_eq!(group["release"]["deployment"], json!({ "id": 1 }));
    let deployment = server.get("/v4/deployments/1?embed=activeRelease").await.expect(200).json();
    assert_eq!(deployment["activeRelease"]["active"], true);
    let wrong = server.get("/v4/flowRuns/1?embed=jobs").await.expect(400).json();
    let valid = "Valid associations are jobGroups, creator, deployment, release";
    assert_eq!(wrong["detail"], format!("No association jobs in flowRuns! {valid}"));
}
