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
    let detail =
        "No association * in deployments! Valid associations are releases, creator, updater";
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
        path = format!("{}&status=Complete", next.0);
    }
    assert_eq!(seen, (1..=10).rev().collect::<Vec<_>>());
    let of_run = server.get("/v4/jobLibrary?flowRunId=2&fields=id").await.expect(200).json();
    assert_eq!(of_run["data"], json!([{ "id": 4 }, { "id": 3 }]));
    let count = server.get("/v4/jobLibrary/count?status=Failed").await.expect(200).json();
    assert_eq!(count, json!({ "count": 0 }));
    server.get("/v4/jobGroups?status=Cancelled").await.expect(400);
}
