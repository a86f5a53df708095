//! Executors on Slurm clusters, as the configuration says.

use std::sync::Arc;

use jobwright_adapters::remote::{Options, Resources};
use jobwright_core::secret::SecretSource;
use jobwright_slurm::{Site, SiteError, SlurmExecutor, executor};

use crate::config::Slurm;

pub(super) fn jobs(
    config: &Slurm,
    secrets: Arc<dyn SecretSource>,
) -> Result<SlurmExecutor, SiteError> {
    let mut site = Site::new(&config.url, &config.user, &config.token);
    site.api = config.api.map(|api| api.0);
    site.partition = config.partition.clone();
    site.account = config.account.clone();
    site.qos = config.qos.clone();
    site.constraints = config.constraints.clone();
    site.reservation = config.reservation.clone();
    site.resources = Resources {
        cpu_millis: config.resources.cpu.map(|cpus| cpus.get().saturating_mul(1000)),
        memory_bytes: config.resources.memory.map(|bytes| bytes.0),
        gpus: config.resources.gpu,
        time: config.resources.time.map(|time| time.0),
    };
    if let Some(folders) = &config.search_path {
        let folders: Vec<_> = folders.iter().map(|it| it.to_string_lossy()).collect();
        site.path = folders.join(":");
    }
    if let Some(poll) = config.poll {
        site.poll = poll.0;
    }
    let mut options = Options { prefix: config.prefix.clone(), ..Options::default() };
    if let Some(slots) = config.slots {
        options.slots = slots.get();
    }
    if let Some(submissions) = config.submissions {
        options.submissions = submissions.get();
    }
    options.submissions_per_second = config.submissions_per_second.map(std::num::NonZeroU32::get);
    if let Some(time) = config.call_time {
        options.call_time = time.0;
    }
    if let Some(limit) = config.log_limit {
        options.log_cap = limit.to_usize();
    }
    executor(site, &config.folder.0, secrets, options)
}
