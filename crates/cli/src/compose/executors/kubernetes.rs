//! An executor on a Kubernetes cluster.

use std::path::Path;

use jobwright_adapters::remote::Options;
use jobwright_kubernetes::{Connection, KubernetesExecutor, Settings};

use crate::config::Kubernetes;

/// Makes the executor. The cluster is not asked yet.
pub(super) async fn jobs(said: &Kubernetes, root: &Path) -> anyhow::Result<KubernetesExecutor> {
    let options = Options {
        prefix: said.prefix.clone(),
        slots: said.slots.get(),
        submissions: said.submissions.get(),
        submissions_per_second: said.submissions_per_second.map(std::num::NonZeroU32::get),
        call_time: said.call_time.0,
        log_cap: said.log_limit.to_usize(),
        ..Options::default()
    };
    let mut settings = Settings {
        namespace: said.namespace.clone(),
        image: said.image.clone(),
        service_accounts: said.service_accounts.clone(),
        secret: said.secret.clone(),
        shell: (!said.shell.is_empty()).then(|| said.shell.clone()),
        keep: said.keep_jobs.0,
        ..Settings::default()
    };
    if let Some(pod) = &said.pod {
        settings = settings.pod(pod)?;
    }
    let (kubeconfig, context) = (said.kubeconfig.clone(), said.context.clone());
    let config = Connection { kubeconfig, context }.config().await?;
    Ok(jobwright_kubernetes::Kubernetes::executor(config, settings, root, options)?)
}
