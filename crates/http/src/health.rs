//! Whether the process lives, and whether it can take requests.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jobwright_core::GroupId;
use jobwright_scheduler::Page;
use serde_json::json;

use crate::app::App;
use crate::problem::{Problem, Sort};
use crate::view::View;

/// Says that the process answers.
pub(crate) async fn livez() -> &'static str {
    "ok"
}

/// Says whether the store can be read and the engine's loop goes round; 503 while draining.
pub(crate) async fn readyz(State(app): State<App>) -> Result<Response, Problem> {
    if app.options().drain.is_cancelled() {
        return Err(Problem::new(Sort::Unavailable, "the server is draining").retry_after(1));
    }
    let view = View::new(&app.0.engine);
    view.deployments_page(Page::newest(1)).await?;
    if let Ok(any) = GroupId::new(1) {
        view.waiting(any).await?;
    }
    Ok((StatusCode::OK, axum::Json(json!({ "status": "ready" }))).into_response())
}
