//! Why a job is where it is.

use jobwright_core::{JobIndex, Plan};
use jobwright_scheduler::WaitReason;
use serde_json::{Value, json};

/// The reason in words and members; `plan` turns places into ids.
pub(crate) fn waiting(plan: &Plan, reason: &WaitReason) -> Value {
    match reason {
        WaitReason::Needs(jobs) => {
            let ids: Vec<_> = jobs.iter().map(|at: &JobIndex| plan.job_id(*at)).collect();
            json!({ "reason": "needs", "jobIds": ids })
        }
        WaitReason::RunAhead(run) => json!({ "reason": "runAhead", "flowRunId": run }),
        WaitReason::NoExecutor(name) => json!({ "reason": "noExecutor", "executor": name }),
        WaitReason::ExecutorFull { executor, limit } => {
            json!({ "reason": "executorFull", "executor": executor, "limit": limit })
        }
        WaitReason::PoolFull { pool, limit, used } => {
            json!({ "reason": "poolFull", "pool": pool, "limit": limit, "used": used })
        }
        WaitReason::DeploymentFull { deployment, limit } => {
            json!({ "reason": "deploymentFull", "deploymentId": deployment, "limit": limit })
        }
        WaitReason::Turn => json!({ "reason": "turn" }),
        WaitReason::Draining => json!({ "reason": "draining" }),
        WaitReason::BackingOff(at) => json!({ "reason": "backingOff", "until": at.to_string() }),
        WaitReason::Requested { end_by } => {
            json!({ "reason": "requested", "endBy": end_by.to_string() })
        }
        WaitReason::Running { end_by } => {
            json!({ "reason": "running", "endBy": end_by.to_string() })
        }
        WaitReason::Stopping { kill_by, .. } => {
            json!({ "reason": "stopping", "killBy": kill_by.to_string() })
        }
        _ => json!({ "reason": "other" }),
    }
}
