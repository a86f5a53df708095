//! Spans to a collector, as OTLP over HTTP.
//!
//! The variables of the standard (`OTEL_EXPORTER_OTLP_ENDPOINT`, `…_HEADERS`, `…_TIMEOUT`,
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_…`, `OTEL_TRACES_SAMPLER`,
//! `OTEL_SDK_DISABLED`) are stronger than the configuration.

use std::time::Duration;

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

use super::environment;

/// How long the collector may take at the program's end.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(5);

/// Makes what sends spans, if a collector is named by the environment or by the configuration.
pub(super) fn provider(configured: Option<&str>) -> anyhow::Result<Option<SdkTracerProvider>> {
    let named = environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .or_else(|| environment("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let is_off = environment("OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
    let address = match (&named, configured) {
        _ if is_off => return Ok(None),
        (Some(named), _) => named.as_str(),
        (None, Some(configured)) => configured,
        (None, None) => return Ok(None),
    };
    let client = Sender { client: crate::tls::client(address)?, runtime: Handle::current() };
    let mut exporter = SpanExporter::builder().with_http().with_http_client(client);
    if named.is_none() {
        exporter = exporter.with_endpoint(format!("{}/v1/traces", address.trim_end_matches('/')));
    }
    let exporter =
        exporter.build().with_context(|| format!("`{address}` cannot be told spans over OTLP"))?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(who());
    Ok(Some(provider.build()))
}

/// Who tells: what the environment says is stronger.
fn who() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    match environment("OTEL_SERVICE_NAME") {
        Some(_) => resource.build(),
        None => resource.with_service_name("jobwright").build(),
    }
}

/// Sends on the program's runtime what a thread without one gives it.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = client.execute(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, answer.bytes().await?))
        });
        let (status, headers, body) = sent.await??;
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}
