//! Stand-in.
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(crate) struct Serve {
    #[arg(long)]
    data: Option<std::path::PathBuf>,
    #[arg(skip)]
    pub(crate) json: bool,
}

pub(crate) async fn serve(_: Serve) -> anyhow::Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
