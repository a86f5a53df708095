//! What is told about the program: log lines on standard error, and spans to a collector if one is
//! named. This is the only part of jobwright that installs a subscriber or an exporter.
//!
//! Nothing here waits for a collector: spans are gathered in a bounded queue and sent by a thread
//! of their own; what finds no room is dropped. What does not reach the collector
//! is logged.

mod export;

use std::io::IsTerminal;

use anyhow::Context;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{self, LogFormat, levels};

/// What is told lasts as long as the program; at its end it is flushed.
#[must_use = "spans are sent at the end only if they are flushed"]
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Begins to tell. To be called once, on the program's runtime.
///
/// # Errors
/// A level or the collector's address is wrong, or somebody tells already.
pub(crate) fn start(config: &config::Telemetry) -> anyhow::Result<Telemetry> {
    let level = match environment("JOBWRIGHT_LOG") {
        Some(level) => levels(&level).map_err(|why| anyhow::anyhow!("`JOBWRIGHT_LOG`: {why}"))?,
        None => levels(&config.level).map_err(anyhow::Error::msg)?,
    };
    let provider = export::provider(config.otlp.as_deref())?;
    let spans = match &provider {
        None => None,
        Some(provider) => {
            let layer = tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("jobwright"))
                .with_location(false)
                .with_threads(false);
            Some(layer.with_filter(levels(&config.otlp_level).map_err(anyhow::Error::msg)?))
        }
    };
    let subscriber = tracing_subscriber::registry().with(lines(config.format).with_filter(level));
    subscriber.with(spans).try_init().context("log lines cannot be told")?;
    Ok(Telemetry { provider })
}

fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let has_colour = std::io::stderr().is_terminal() && environment("NO_COLOR").is_none();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(has_colour)
        .with_span_events(FmtSpan::NONE);
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

impl Telemetry {
    /// Sends what has been gathered; waits for it at most five seconds.
    pub(crate) async fn flush(self) {
        let Some(provider) = self.provider else {
            return;
        };
        let ended =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(export::LAST_WORDS));
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "not all spans reached the collector");
        }
    }
}

/// A variable of the environment; one that is empty says nothing.
fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is the program's door")]
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
