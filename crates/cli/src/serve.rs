//! `jobwright serve`: an engine with its API on a socket, from the first start to the last signal.
//!
//! ```text
//! listen ─▶ open ─▶ token ─▶ serve … signal ─▶ drain ─▶ engine ends ─▶ requests end ─▶ close
//!                                       └─ a second signal: at once
//! ```
//!
//! It listens before it opens, so that a port in use is told before any job runs, and answers
//! after.

mod ending;
mod listen;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use tokio::net::TcpListener;

use crate::compose::{self, Composed, FirstToken, Purpose};
use crate::config::{Config, LogFormat, OnShutdown};
use crate::telemetry;

/// Starts a server: an engine with its store and its HTTP API
///
/// The first start makes a first access token and writes it to the token file, or shows it on the
/// terminal. There is no TLS here: to be reached from other machines, put a proxy in front.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 takes any that is free [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "JOBWRIGHT_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Listen to other machines too, although there is no TLS: a proxy must do that
    #[arg(
        long,
        value_name = "BOOL",
        env = "JOBWRIGHT_ALLOW_REMOTE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = clap::builder::BoolishValueParser::new()
    )]
    pub(crate) allow_remote: Option<bool>,
    /// The folder for everything [default: $XDG_DATA_HOME/jobwright or ~/.local/share/jobwright]
    #[arg(long, value_name = "DIR", env = "JOBWRIGHT_DATA")]
    pub(crate) data: Option<PathBuf>,
    /// The PostgreSQL database that several nodes share, such as postgres://jobs@db.example/jobs;
    /// an embedded one in the data folder where there is none
    #[arg(long, value_name = "URL", env = compose::ADDRESS, hide_env_values = true)]
    pub(crate) store: Option<String>,
    /// The configuration, a TOML file; none is all defaults
    #[arg(long, value_name = "FILE", env = "JOBWRIGHT_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where the first start writes the first access token, with mode 0600
    #[arg(long, value_name = "FILE", env = "JOBWRIGHT_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Whether the line on standard output is JSON; the caller knows from its own flag.
    #[arg(skip)]
    pub(crate) json: bool,
}

/// Serves until a signal comes. The exit code is 0 after the first signal; a second one ends the
/// process at once, with 130 or 143.
///
/// # Errors
/// The configuration is wrong, the address or the data cannot be used, or the engine broke.
pub(crate) async fn serve(args: Serve) -> anyhow::Result<ExitCode> {
    let config = configured(&args)?;
    let telemetry = telemetry::start(&config.telemetry)?;
    let served = run(&args, &config).await;
    telemetry.flush().await;
    match served? {
        Ended::Closed => Ok(ExitCode::SUCCESS),
        // Returning would drop the engine.
        Ended::Left(_) => std::process::exit(0),
    }
}

/// How serving ended.
enum Ended {
    /// Nothing is left.
    Closed,
    /// Processes go on, for the next start to take up. They die with the engine, should it be
    /// dropped.
    Left(#[expect(dead_code, reason = "what counts is that it is held")] Composed),
}

/// The file's configuration, with what flags and variables say.
fn configured(args: &Serve) -> anyhow::Result<Config> {
    let mut config = Config::load(args.config.as_deref())?;
    config.server.listen = args.listen.unwrap_or(config.server.listen);
    config.server.allow_remote = args.allow_remote.unwrap_or(config.server.allow_remote);
    if let Some(url) = &args.store {
        config.store.url = Some(url.clone());
    }
    if config.store.url.is_some() && config.engine.on_shutdown == OnShutdown::Leave {
        anyhow::bail!(
            "`on-shutdown = \"leave\"` is for a store of the server's own: on a shared one other servers start again what this one leaves; remove it from `[engine]`"
        );
    }
    listen::check(&config.server)?;
    Ok(config)
}

async fn run(args: &Serve, config: &Config) -> anyhow::Result<Ended> {
    let data = args.data.clone().unwrap_or_else(compose::default_data);
    let listener = listen::bind(config.server.listen).await?;
    let mut signals = ending::Signals::new()?;
    let composed = tokio::select! {
        opened = compose::open(config, &data, Purpose::Work) => opened?,
        // Recovery may take its time, and whatever is cut short is done by the next start.
        (_, code) = signals.next() => std::process::exit(code),
    };
    if let Err(error) = first_token(&composed, args.token_file.as_deref()).await {
        let _ = composed.close(std::time::Duration::ZERO).await;
        return Err(error);
    }
    announce(args, config, &data, &listener)?;
    ending::serve(composed, listener, signals, config).await
}

async fn first_token(composed: &Composed, file: Option<&Path>) -> anyhow::Result<()> {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let to = match file {
        Some(file) => FirstToken::File(file),
        None if err.is_terminal() => FirstToken::Terminal(&mut err),
        None if out.is_terminal() => FirstToken::Terminal(&mut out),
        None => FirstToken::Nowhere,
    };
    Ok(composed.first_token(to).await?)
}

/// Says where the server is: to programs on standard output, to people on standard error.
fn announce(
    args: &Serve,
    config: &Config,
    data: &Path,
    listener: &TcpListener,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("nobody knows where the server listens")?;
    let url = format!("http://{address}");
    let line = if args.json {
        serde_json::json!({ "event": "listening", "url": url, "pid": std::process::id() })
            .to_string()
    } else {
        format!("listening on {url}")
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("standard output is closed")?;
    if config.telemetry.format == LogFormat::Json {
        // Who reads the log reads JSON.
        return Ok(());
    }
    let executors: Vec<_> = config.executors.keys().map(String::as_str).collect();
    let token = match &args.token_file {
        Some(file) => format!(" --token-file {}", file.display()),
        None => String::new(),
    };
    // Nobody needs to read it.
    let _ = writeln!(
        std::io::stderr(),
        "jobwright {version}, data in {data}, executors: {executors}\ntry: jobwright --server {url}{token} deployments list",
        version = env!("CARGO_PKG_VERSION"),
        data = data.display(),
        executors = executors.join(", "),
    );
    Ok(())
}
