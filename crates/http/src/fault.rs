//! What the engine's errors are on the wire: each its own status, name and message.

use jobwright_core::parameter::Fault;
use jobwright_core::webhook::CallFault;
use jobwright_core::{NameError, StoreError};
use jobwright_package::ReadError;
use jobwright_scheduler::{
    BackfillError, CancelError, DeploymentError, Ended, EnvironmentError, ExpandError, ImportError,
    PrepareError, ReadError as GroupError, ReleaseError, RerunError, RunError, ScheduleError,
    TokenError, WebhookError,
};

use crate::problem::{Place, Problem, Sort, told};

/// Seconds after which a passing trouble may be over.
const SOON: u64 = 1;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = told(&error), "the store failed");
        // What a store says may name files and hosts: it is for the log.
        if error.is_retryable() {
            let detail = "the store cannot do this now: try again";
            return Self::new(Sort::Unavailable, detail).retry_after(SOON);
        }
        Self::new(Sort::Internal, "the store failed: see the server's log")
    }
}

impl From<Ended> for Problem {
    fn from(error: Ended) -> Self {
        tracing::error!(error = told(&error), "the engine has ended");
        Self::new(Sort::Unavailable, "the engine has ended").retry_after(SOON)
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::validation(told(&error))
    }
}

/// Something that does not exist, cannot be now, or is wrong.
macro_rules! sorted {
    ($sort:ident, $error:expr) => {
        Problem::new(Sort::$sort, told(&$error))
    };
}

impl From<DeploymentError> for Problem {
    fn from(error: DeploymentError) -> Self {
        match error {
            DeploymentError::Store(error) => error.into(),
            DeploymentError::NotFound(_) => sorted!(NotFound, error),
            DeploymentError::Taken { .. }
            | DeploymentError::NotEmpty { .. }
            | DeploymentError::Changed(_) => sorted!(Conflict, error),
            DeploymentError::Stale { .. } => sorted!(Stale, error),
            DeploymentError::Name(_) => Problem::at("#/name", told(&error)),
            DeploymentError::Rules(_) | _ => sorted!(Validation, error),
        }
    }
}

impl From<ScheduleError> for Problem {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Store(error) => error.into(),
            ScheduleError::NotFound(_) | ScheduleError::NoDeployment(_) => {
                sorted!(NotFound, error)
            }
            ScheduleError::Taken { .. } | ScheduleError::TooMany(_) | ScheduleError::Changed(_) => {
                sorted!(Conflict, error)
            }
            ScheduleError::Stale { .. } => sorted!(Stale, error),
            ScheduleError::Length(error) => {
                Problem::at(format!("#/{}", error.what), error.to_string())
            }
            _ => sorted!(Validation, error),
        }
    }
}

impl From<BackfillError> for Problem {
    fn from(error: BackfillError) -> Self {
        match error {
            BackfillError::Store(error) => error.into(),
            BackfillError::NotFound(_) | BackfillError::NoSchedule(_) => sorted!(NotFound, error),
            BackfillError::Over { .. } | BackfillError::Changed(_) => sorted!(Conflict, error),
            _ => sorted!(Validation, error),
        }
    }
}

impl From<ReleaseError> for Problem {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Store(error) => error.into(),
            ReleaseError::Deployment(error) => error.into(),
            ReleaseError::NotFound(_) => sorted!(NotFound, error),
            ReleaseError::InUse { .. } | ReleaseError::Changed(_) | _ => sorted!(Conflict, error),
        }
    }
}

impl From<ImportError> for Problem {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Store(error) => error.into(),
            ImportError::NoDeployment(_) => sorted!(NotFound, error),
            ImportError::Changed(_) => sorted!(Conflict, error),
            ImportError::Package(_) | ImportError::Rules(_) | ImportError::NoContent(_) | _ => {
                sorted!(Validation, error)
            }
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Size { .. } | ReadError::DocumentSize { .. } => sorted!(TooLarge, error),
            _ => sorted!(Validation, error),
        }
    }
}

impl From<PrepareError> for Problem {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Store(error) => error.into(),
            PrepareError::NoDeployment(_) | PrepareError::NoSuchRelease(_) => {
                sorted!(NotFound, error)
            }
            PrepareError::Paused(_) | PrepareError::NotActive { .. } => sorted!(Conflict, error),
            PrepareError::Parameters(faults) => {
                let place = |fault: &Fault| Place { pointer: None, detail: told(fault) };
                let errors = faults.faults.iter().map(place).collect();
                Problem::validation(faults.to_string()).errors(errors)
            }
            PrepareError::Expand {
                source: source @ (ExpandError::NoOutput { .. } | ExpandError::UnknownOutput { .. }),
                ..
            } => sorted!(Validation, source),
            PrepareError::Package { .. } => {
                tracing::error!(error = told(&error), "a package cannot be used");
                Problem::new(Sort::Internal, error.to_string())
            }
            PrepareError::NoRelease(_)
            | PrepareError::Expand { .. }
            | PrepareError::NoExecutor { .. }
            | _ => sorted!(Validation, error),
        }
    }
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Prepare(error) => error.into(),
            RunError::Store(error) => error.into(),
            RunError::Ended(error) => error.into(),
            RunError::Name(_) => Problem::at("#/runParameters/overrides/data", told(&error)),
            RunError::Running(_) => sorted!(Conflict, error),
            RunError::Changed => sorted!(Conflict, error).retry_after(SOON),
            RunError::KeyReused { .. } => sorted!(KeyReused, error),
            RunError::Overloaded => sorted!(TooMany, error).retry_after(SOON),
            RunError::ShuttingDown => sorted!(Unavailable, error).retry_after(SOON),
            RunError::Key(_) | _ => sorted!(Validation, error),
        }
    }
}

impl From<RerunError> for Problem {
    fn from(error: RerunError) -> Self {
        match error {
            RerunError::Read(error) => error.into(),
            RerunError::Run(error) => error.into(),
            RerunError::NotOver { .. } | RerunError::Complete(_) | _ => sorted!(Conflict, error),
        }
    }
}

impl From<WebhookError> for Problem {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::Store(error) => error.into(),
            WebhookError::NoDeployment(_) | WebhookError::NotFound(_) => sorted!(NotFound, error),
            WebhookError::Call(faults) => {
                let place = |fault: &CallFault| Place {
                    pointer: Some(format!("#/{}", fault.member())),
                    detail: told(fault),
                };
                let errors: Vec<_> = faults.iter().map(place).collect();
                let first = errors.first().map(|it| it.detail.clone()).unwrap_or_default();
                Problem::validation(first).errors(errors)
            }
            WebhookError::TooMany(_) | WebhookError::Changed | _ => sorted!(Conflict, error),
        }
    }
}

impl From<GroupError> for Problem {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Store(error) => error.into(),
            GroupError::Ended(error) => error.into(),
            GroupError::NotFound(_) => sorted!(NotFound, error),
            GroupError::Journal { .. } | _ => {
                tracing::error!(error = told(&error), "a journal cannot be read");
                Problem::new(Sort::Internal, error.to_string())
            }
        }
    }
}

impl From<CancelError> for Problem {
    fn from(error: CancelError) -> Self {
        match error {
            CancelError::Store(error) => error.into(),
            CancelError::Ended(error) => error.into(),
            CancelError::NotFound(_) => sorted!(NotFound, error),
            CancelError::NotDriven(_) | _ => sorted!(Conflict, error),
        }
    }
}

impl From<EnvironmentError> for Problem {
    fn from(error: EnvironmentError) -> Self {
        match error {
            EnvironmentError::Store(error) => error.into(),
            EnvironmentError::NotFound(_) => sorted!(NotFound, error),
            EnvironmentError::Changed(_) => sorted!(Conflict, error),
            EnvironmentError::Stale { .. } => sorted!(Stale, error),
            EnvironmentError::Name(_) | EnvironmentError::Prefix(_) => {
                Problem::at("#/overrideKey", told(&error))
            }
            EnvironmentError::Value(_) | _ => Problem::at("#/value", told(&error)),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Store(error) => error.into(),
            TokenError::NotFound(_) => sorted!(NotFound, error),
            TokenError::Name(_) => Problem::at("#/name", told(&error)),
            TokenError::Taken | TokenError::LastAdmin(_) | TokenError::Changed(_) | _ => {
                sorted!(Conflict, error)
            }
        }
    }
}
