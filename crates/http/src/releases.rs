//! Releases: uploaded, looked through beforehand, activated, deleted.

use axum::extract::{FromRequest, OriginalUri, Request, State};
use axum::http::Uri;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jobwright_core::{Bundle, DeploymentId, Release, ReleaseId, Revision};
use jobwright_scheduler::FoundRelease;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Caller;
use crate::body::{Id, Json, Query, Upload};
use crate::deployments::found;
use crate::effect::Deployer;
use crate::list::{ListQuery, Listed, OfDeployment};
use crate::problem::Problem;
use crate::revision;
use crate::router::Routes;
use crate::shape::{self, Embed};
use crate::version::Version;
use crate::view::View;
use crate::wire::{
    ChangeRelease, Changed, Data, DeploymentBody, ImportBody, ReleaseBody, Updater, json,
};

/// What can be shown along with a release.
pub(crate) const ASSOCIATIONS: [(&str, &[&str]); 3] =
    [("deployment", &["creator", "updater"]), ("creator", &[]), ("updater", &[])];

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(list_of, import))
        .routes(routes!(dry_run))
        .routes(routes!(read, change, remove))
        .routes(routes!(package))
}

impl Listed for Release {
    fn id(&self) -> i64 {
        self.id.get()
    }
}

/// An upload: one part named `data`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the body; the extractor reads the parts")]
struct PackageUpload {
    /// The package: a ZIP, a YAML or a JSON document.
    #[schema(value_type = String, format = Binary)]
    data: Vec<u8>,
}

/// Lists releases, of one deployment or of all.
#[utoipa::path(
    get, path = "/releases", tag = "releases", operation_id = "listReleases",
    params(ListQuery, OfDeployment),
    responses((status = 200, description = "The releases", body = Data<ReleaseBody>)),
)]
async fn list(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<ListQuery>,
    Query(of): Query<OfDeployment>,
) -> Result<Response, Problem> {
    let of = of.parse()?;
    listed(version, &caller.view(), &uri, &query, of).await
}

/// Lists the releases of a deployment.
#[utoipa::path(
    get, path = "/deployments/{id}/releases", tag = "releases",
    operation_id = "listReleasesOfDeployment",
    params(ListQuery),
    responses((status = 200, description = "The releases", body = Data<ReleaseBody>)),
)]
async fn list_of(
    version: Version,
    caller: Caller,
    OriginalUri(uri): OriginalUri,
    Id(id): Id<DeploymentId>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let view = caller.view();
    found(&view, id).await?;
    listed(version, &view, &uri, &query, Some(id)).await
}

async fn listed(
    version: Version,
    view: &View,
    uri: &Uri,
    query: &ListQuery,
    of: Option<DeploymentId>,
) -> Result<Response, Problem> {
    let embed = Embed::parse(query.embed.as_deref(), "releases", &ASSOCIATIONS)?;
    let fetch = |page| {
        let view = view.clone();
        async move { view.releases_page(of, page).await }
    };
    let show = |it: &Release| json(&ReleaseBody::new(version, it, false));
    let slice = query.parse()?.slice(fetch, |_| true, show).await?;
    let mut owners = BTreeMap::new();
    let mut items = Vec::with_capacity(slice.items.len());
    for release in &slice.items {
        let id = release.deployment;
        if let std::collections::btree_map::Entry::Vacant(seat) = owners.entry(id) {
            seat.insert(view.find_deployment(id).await?.map(|(deployment, _)| deployment));
        }
        let owner = owners.get(&id).and_then(Option::as_ref);
        let active = owner.is_some_and(|it| it.active == Some(release.id));
        let mut item = json(&ReleaseBody::new(version, release, active));
        if let Some(owner) = owner.filter(|_| embed.has("deployment")) {
            item["deployment"] = json(&DeploymentBody::new(version, owner));
        }
        items.push(item);
    }
    Ok(slice.respond(items, uri, query))
}

/// Imports a package as a new release, and makes it the active one.
#[utoipa::path(
    post, path = "/deployments/{id}/releases", tag = "releases", operation_id = "createRelease",
    request_body(content = PackageUpload, content_type = "multipart/form-data"),
    responses((status = 201, description = "What was imported", body = ImportBody)),
)]
async fn import(
    version: Version,
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<DeploymentId>,
    request: Request,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let bundle = unpacked(&app, request).await?;
    let release = permit.import(id, &bundle).await?;
    let view = caller.view();
    let package = view.package(release.id).await?;
    let (deployment, _) = found(&view, id).await?;
    let body = ImportBody::new(version, &package, &release.changes, Some((&release, &deployment)));
    let location = format!("/{}/releases/{}", version.as_str(), release.id);
    Ok((StatusCode::CREATED, [(LOCATION, location)], axum::Json(body)).into_response())
}

/// Says what importing a package would do, and stores nothing.
#[utoipa::path(
    post, path = "/deployments/{id}/releases/dryRun", tag = "releases",
    operation_id = "dryRunRelease",
    request_body(content = PackageUpload, content_type = "multipart/form-data"),
    responses((status = 200, description = "What would be imported", body = ImportBody)),
)]
async fn dry_run(
    version: Version,
    State(app): State<App>,
    caller: Caller,
    Id(id): Id<DeploymentId>,
    request: Request,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let bundle = unpacked(&app, request).await?;
    let preview = permit.dry_run(id, &bundle).await?;
    let body = ImportBody::new(version, &preview.package, &preview.changes, None);
    Ok(axum::Json(body).into_response())
}

/// Reads a package, away from the threads that answer requests. Nothing of the body is read before
/// it is known that the caller may upload.
async fn unpacked(app: &App, request: Request) -> Result<Bundle, Problem> {
    let Upload(bytes) = Upload::from_request(request, app).await?;
    let limits = app.options().package.clone();
    let read = move || jobwright_package::read_within(&bytes, &limits);
    match tokio::task::spawn_blocking(read).await {
        Ok(bundle) => Ok(bundle?),
        Err(_) => Err(Problem::validation("the package cannot be read")),
    }
}

/// Reads a release.
#[utoipa::path(
    get, path = "/releases/{id}", tag = "releases", operation_id = "getRelease",
    params(("embed" = Option<String>, Query), ("fields" = Option<String>, Query)),
    responses((status = 200, description = "The release", body = ReleaseBody)),
)]
async fn read(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<ReleaseId>,
    Query(query): Query<ListQuery>,
) -> Result<Response, Problem> {
    let embed = Embed::parse(query.embed.as_deref(), "releases", &ASSOCIATIONS)?;
    let it = release(&caller.view(), id).await?;
    let mut body = json(&ReleaseBody::new(version, &it.release, it.is_active()));
    if embed.has("deployment") {
        body["deployment"] = json(&DeploymentBody::new(version, &it.deployment));
    }
    let body: Value = shape::pick(body, query.fields.as_deref());
    Ok(revision::tagged(&headers, tag(&it), axum::Json(body)))
}

/// Activates a release, or deactivates it. Activating an older one rolls back.
#[utoipa::path(
    patch, path = "/releases/{id}", tag = "releases", operation_id = "changeRelease",
    request_body = ChangeRelease,
    responses((status = 200, description = "It is changed", body = Changed)),
)]
async fn change(
    version: Version,
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<ReleaseId>,
    Json(body): Json<ChangeRelease>,
) -> Result<Response, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let expected = expected(&headers, &caller.view(), id).await?;
    let deployment = permit.activate(id, body.active, expected).await?;
    let body = Changed {
        id: id.get(),
        updater: Updater::new(version, deployment.updated_by),
        updated_at: deployment.updated_at.to_string(),
    };
    Ok(axum::Json(body).into_response())
}

/// Deletes a release that no live run uses.
#[utoipa::path(
    delete, path = "/releases/{id}", tag = "releases", operation_id = "deleteRelease",
    responses((status = 204, description = "It is deleted")),
)]
async fn remove(
    caller: Caller,
    headers: HeaderMap,
    Id(id): Id<ReleaseId>,
) -> Result<StatusCode, Problem> {
    let permit = caller.permit::<Deployer>(id).await?;
    let expected = expected(&headers, &caller.view(), id).await?;
    permit.delete_release(id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the package of a release as it is run: after the import rules.
#[utoipa::path(
    get, path = "/releases/{id}/package", tag = "releases", operation_id = "getReleasePackage",
    responses((status = 200, description = "The package", body = Object)),
)]
async fn package(caller: Caller, Id(id): Id<ReleaseId>) -> Result<Response, Problem> {
    Ok(axum::Json(caller.view().package(id).await?).into_response())
}

async fn release(view: &View, id: ReleaseId) -> Result<FoundRelease, Problem> {
    view.find_release(id).await?.ok_or_else(|| Problem::not_found("release", id))
}

/// Which release is active stands in its deployment, so both revisions make the tag.
fn tag(it: &FoundRelease) -> HeaderValue {
    let tag = HeaderValue::from_str(&format!("\"{}-{}\"", it.revision.0, it.owner.0));
    tag.unwrap_or(HeaderValue::from_static("\"\""))
}

/// The revision of the deployment that a request is meant for.
async fn expected(
    headers: &HeaderMap,
    view: &View,
    id: ReleaseId,
) -> Result<Option<Revision>, Problem> {
    let Some(given) = headers.get(axum::http::header::IF_MATCH) else { return Ok(None) };
    if given == "*" {
        return Ok(None);
    }
    let it = release(view, id).await?;
    let text = given.to_str().unwrap_or_default();
    if tag(&it) != *given {
        let detail = format!("release {id} is not as under the entity tag {text}: read it again");
        return Err(Problem::new(crate::problem::Sort::Stale, detail));
    }
    Ok(Some(it.owner))
}
