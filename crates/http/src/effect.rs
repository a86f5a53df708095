//! The way to the engine for those who change something: every change is a method of a permit,
//! which only a caller with the role gets. Each is recorded with who did it.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use jobwright_core::parameter::Values;
use jobwright_core::schedule::{Backfill, Schedule};
use jobwright_core::webhook::{Call, Webhook};
use jobwright_core::{
    BackfillId, Bundle, Deployment, DeploymentId, Digest, EnvironmentParameter, GroupId, Key,
    ParameterName, Release, ReleaseId, Revision, Role, ScheduleId, Seal, StoreError, Token,
    TokenId, WebhookId,
};
use jobwright_scheduler::{
    Actor, BackfillError, BackfillRequest, CancelError, DeploymentChange, DeploymentError, Engine,
    EnvironmentError, ImportError, ImportPreview, NewSchedule, ReleaseError, RerunError, RunError,
    RunHandle, RunRequest, ScheduleChange, ScheduleError, TokenError, WebhookError,
};

use crate::app::App;
use crate::auth::Caller;
use crate::problem::{Problem, Sort};

/// A role as a type.
pub(crate) trait Level: Send + Sync {
    const ROLE: Role;
}

macro_rules! levels {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) enum $name {}
        impl Level for $name {
            const ROLE: Role = Role::$name;
        }
    )+};
}

levels! {
    /// Runs and cancels.
    Operator;
    /// Makes and changes deployments and releases.
    Deployer;
    /// Changes the environment, makes and revokes tokens.
    Admin;
}

/// Which jobs of a group run once more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Again {
    /// Those that did not succeed.
    WhatFailed,
    /// Those that publish.
    Publications,
}

/// The proof that somebody may do what a role may do.
#[derive(Debug)]
pub(crate) struct Permit<L> {
    engine: Engine,
    level: PhantomData<L>,
}

impl<L: Level> Permit<L> {
    /// Lets a caller do something with what is found there, or records that it may not.
    pub(crate) async fn ask(app: &App, caller: &Caller, on: Key) -> Result<Self, Problem> {
        let actor = Actor::new(caller.token(), caller.request());
        let engine = app.0.engine.acting_for(actor);
        if caller.role() < L::ROLE {
            engine.record_denied(on).await?;
            let (role, needs) = (caller.role(), L::ROLE);
            let detail = format!("this needs the role `{needs}`, the token has `{role}`");
            return Err(Problem::new(Sort::Denied, detail));
        }
        Ok(Self { engine, level: PhantomData })
    }
}

impl Permit<Operator> {
    pub(crate) async fn run(
        &self,
        id: DeploymentId,
        ask: impl FnOnce(RunRequest) -> RunRequest,
    ) -> Result<RunHandle, RunError> {
        ask(self.engine.run(id)).await
    }

    pub(crate) async fn again(
        &self,
        id: GroupId,
        what: Again,
        key: Option<&str>,
    ) -> Result<RunHandle, RerunError> {
        let request = match what {
            Again::WhatFailed => self.engine.rerun(id),
            Again::Publications => self.engine.publish(id),
        };
        match key {
            Some(key) => request.idempotency_key(key).await,
            None => request.await,
        }
    }

    pub(crate) async fn cancel(&self, id: GroupId) -> Result<(), CancelError> {
        self.engine.cancel(id, "a request over HTTP").await
    }

    pub(crate) async fn pause(
        &self,
        id: DeploymentId,
        paused: bool,
        expected: Option<Revision>,
    ) -> Result<Deployment, DeploymentError> {
        let change = DeploymentChange { paused: Some(paused), ..DeploymentChange::default() };
        Ok(self.engine.change_deployment_at(id, expected, change).await?.0)
    }

    pub(crate) async fn pause_schedule(
        &self,
        id: ScheduleId,
        paused: bool,
        expected: Option<Revision>,
    ) -> Result<Schedule, ScheduleError> {
        let change = ScheduleChange { paused: Some(paused), ..ScheduleChange::default() };
        self.engine.change_schedule(id, expected, &change).await
    }

    pub(crate) async fn backfill(
        &self,
        id: ScheduleId,
        request: BackfillRequest,
    ) -> Result<Backfill, BackfillError> {
        self.engine.backfill(id, request).await
    }

    pub(crate) async fn cancel_backfill(&self, id: BackfillId) -> Result<Backfill, BackfillError> {
        self.engine.cancel_backfill(id).await
    }
}

impl Permit<Deployer> {
    pub(crate) async fn create_schedule(
        &self,
        id: DeploymentId,
        new: NewSchedule,
    ) -> Result<Schedule, ScheduleError> {
        self.engine.create_schedule(id, new).await
    }

    pub(crate) async fn change_schedule(
        &self,
        id: ScheduleId,
        expected: Option<Revision>,
        change: &ScheduleChange,
    ) -> Result<Schedule, ScheduleError> {
        self.engine.change_schedule(id, expected, change).await
    }

    pub(crate) async fn delete_schedule(
        &self,
        id: ScheduleId,
        expected: Option<Revision>,
    ) -> Result<(), ScheduleError> {
        self.engine.delete_schedule(id, expected).await
    }

    pub(crate) async fn create(&self, name: &str) -> Result<Deployment, DeploymentError> {
        self.engine.create_deployment(name).await
    }

    /// Returns the deployment as it is, and as it was.
    pub(crate) async fn change(
        &self,
        id: DeploymentId,
        expected: Option<Revision>,
        change: DeploymentChange,
    ) -> Result<(Deployment, Deployment), DeploymentError> {
        self.engine.change_deployment_at(id, expected, change).await
    }

    /// Gives a deployment a value, or takes it away.
    pub(crate) async fn set_value(
        &self,
        id: DeploymentId,
        name: &ParameterName,
        value: Option<serde_json::Value>,
    ) -> Result<Deployment, DeploymentError> {
        self.engine.set_deployment_value(id, name, value).await
    }

    pub(crate) async fn delete(
        &self,
        id: DeploymentId,
        expected: Option<Revision>,
    ) -> Result<(), DeploymentError> {
        self.engine.delete_deployment_at(id, expected).await
    }

    pub(crate) async fn create_webhook(
        &self,
        of: DeploymentId,
        call: Call,
    ) -> Result<Webhook, WebhookError> {
        self.engine.create_webhook(of, call).await
    }

    pub(crate) async fn change_webhook(
        &self,
        id: WebhookId,
        call: Call,
    ) -> Result<Webhook, WebhookError> {
        self.engine.change_webhook(id, call).await
    }

    pub(crate) async fn delete_webhook(&self, id: WebhookId) -> Result<(), WebhookError> {
        self.engine.delete_webhook(id).await
    }

    pub(crate) async fn import(
        &self,
        id: DeploymentId,
        bundle: &Bundle,
    ) -> Result<Release, ImportError> {
        self.engine.import(id, bundle, Values::new()).await
    }

    pub(crate) async fn dry_run(
        &self,
        id: DeploymentId,
        bundle: &Bundle,
    ) -> Result<ImportPreview, ImportError> {
        self.engine.dry_run_import(id, bundle).await
    }

    pub(crate) async fn activate(
        &self,
        id: ReleaseId,
        active: bool,
        expected: Option<Revision>,
    ) -> Result<Deployment, ReleaseError> {
        if active {
            self.engine.activate_at(id, expected).await
        } else {
            self.engine.deactivate_at(id, expected).await
        }
    }

    pub(crate) async fn delete_release(
        &self,
        id: ReleaseId,
        expected: Option<Revision>,
    ) -> Result<(), ReleaseError> {
        self.engine.delete_release_at(id, expected).await
    }
}

impl Permit<Admin> {
    pub(crate) async fn set_environment(
        &self,
        name: &str,
        value: serde_json::Value,
        expected: Option<Revision>,
    ) -> Result<(EnvironmentParameter, Revision), EnvironmentError> {
        self.engine.set_environment_at(name, value, expected).await
    }

    pub(crate) async fn remove_environment(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<(), EnvironmentError> {
        self.engine.remove_environment_at(name, expected).await
    }

    pub(crate) async fn create_token(
        &self,
        name: &str,
        role: Role,
        hash: Digest,
        lifetime: Option<Duration>,
    ) -> Result<Token, TokenError> {
        self.engine.create_token(name, role, hash, lifetime).await
    }

    pub(crate) async fn seal_audit(&self) -> Result<Option<Seal>, StoreError> {
        self.engine.seal_audit().await
    }

    /// Revokes a token, and forgets that it was ever seen.
    pub(crate) async fn revoke(&self, app: &App, id: TokenId) -> Result<(), TokenError> {
        self.engine.revoke_token(id).await?;
        app.0.known.retain(|_, (token, _): &mut (Arc<Token>, _)| token.id != id);
        app.0.revoked.send_modify(|count| *count = count.wrapping_add(1));
        Ok(())
    }
}
