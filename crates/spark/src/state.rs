//! What the master and the attempt's folder say together: how an attempt is. Plain code.

use jobwright_adapters::log::ProcessEnd;
use jobwright_adapters::remote::{End, State};
use jobwright_core::{Failure, FailureClass};

use crate::claim::{Claim, Ending, Seen};
use crate::master::{DriverState, Overview};

/// Returns the driver under whose name the attempt is known, and how it is. Nothing where no driver
/// is known of.
pub(crate) fn state(key: &str, seen: &Seen, overview: &Overview) -> Option<(String, State)> {
    let (driver, state) = match &seen.claim {
        Claim::Driver(driver) => (driver, claimed(key, driver, seen, overview)),
        Claim::Open => {
            let driver = seen.driver.as_ref()?;
            (driver, unclaimed(driver, overview))
        }
        Claim::Withdrawn => {
            let driver = seen.driver.as_ref()?;
            let state = match unclaimed(driver, overview) {
                State::Ended(_) => State::Ended(End::Stopped),
                state => state,
            };
            (driver, state)
        }
    };
    Some((seen.driver.as_ref().unwrap_or(driver).clone(), state))
}

/// How an attempt is that this driver runs or ran.
fn claimed(key: &str, driver: &str, seen: &Seen, overview: &Overview) -> State {
    let end = |or: End| State::Ended(seen.end.clone().map_or(or, ended));
    let lost = |words: String| End::Cluster(Failure::new(FailureClass::Lost, "worker_lost", words));
    match overview.driver(driver).map(|it| it.state) {
        Some(
            DriverState::Submitted
            | DriverState::Running
            | DriverState::Relaunching
            | DriverState::Unknown,
        ) => State::Running(place(key, driver, overview)),
        // A class that ends its JVM itself leaves no other record.
        Some(DriverState::Finished) => end(End::Work(ProcessEnd::Exit(0))),
        Some(DriverState::Failed) => end(End::Cluster(Failure::retryable(
            "driver",
            format!("the JVM of `{driver}` ended, and its program with it"),
        ))),
        Some(DriverState::Killed) => end(End::Stopped),
        Some(DriverState::Error) => end(lost(format!("the worker of `{driver}` is lost"))),
        None => match &seen.end {
            Some(end) => State::Ended(ended(end.clone())),
            None if overview.is_settled() => State::Gone,
            None => State::Running("the master recovers".to_owned()),
        },
    }
}

/// How an attempt is whose driver has not come to it.
fn unclaimed(driver: &str, overview: &Overview) -> State {
    let failed = |code, words: String| State::Ended(End::Cluster(Failure::retryable(code, words)));
    match overview.driver(driver).map(|it| it.state) {
        Some(DriverState::Submitted | DriverState::Relaunching) => {
            State::Waiting(format!("no worker has room for `{driver}`"))
        }
        Some(DriverState::Running) => State::Waiting(format!("`{driver}` starts")),
        Some(DriverState::Unknown) => State::Waiting("the master recovers".to_owned()),
        Some(DriverState::Killed) => State::Ended(End::Stopped),
        Some(DriverState::Finished) => failed(
            "driver",
            format!("`{driver}` ended without its launcher: is the folder shared with its worker?"),
        ),
        Some(DriverState::Failed) => {
            failed("driver", format!("`{driver}` failed before its program began"))
        }
        Some(DriverState::Error) => {
            failed("worker_lost", format!("the worker of `{driver}` is lost, or did not start it"))
        }
        None if overview.is_settled() => State::Gone,
        None => State::Waiting("the master recovers".to_owned()),
    }
}

fn ended(end: Ending) -> End {
    match end {
        Ending::Exit(code) => End::Work(ProcessEnd::Exit(code)),
        Ending::Signal(number) => End::Work(ProcessEnd::Signal(number)),
        Ending::Unstarted(why) => {
            let words = format!("the program cannot be started: {why}");
            End::Cluster(Failure::permanent("command_not_found", words))
        }
        Ending::Late(_) => {
            let words = "it took longer than its `resources.time`";
            End::Cluster(Failure::new(FailureClass::TimedOut, "time", words))
        }
    }
}

/// Where it runs, for people.
fn place(key: &str, driver: &str, overview: &Overview) -> String {
    let Some(it) = overview.applications.iter().find(|it| it.name == key) else {
        return driver.to_owned();
    };
    match it.cores {
        0 => format!("{driver}, {} waits for cores", it.id),
        cores => format!("{driver}, {} with {cores} cores", it.id),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn overview(status: &str, driver: Option<&str>) -> Overview {
        let drivers: Vec<_> =
            driver.map(|it| json!({ "id": "d1", "state": it })).into_iter().collect();
        let applications =
            json!([{ "id": "app-1", "name": "key", "state": "RUNNING", "cores": 2 }]);
        serde_json::from_value(json!({
            "status": status, "activeapps": applications, "activedrivers": drivers,
        }))
        .unwrap()
    }

    #[test]
    fn the_claim_and_the_master_tell_how_an_attempt_is() {
        let of =
            |claim: &Claim, driver: Option<&str>, end: Option<Ending>, master: Option<&str>| {
                let seen = Seen { driver: driver.map(Into::into), claim: claim.clone(), end };
                let told = state("key", &seen, &overview("ALIVE", master));
                told.map(|(handle, state)| {
                    assert_eq!(handle, driver.unwrap_or("d1"));
                    match state {
                        State::Ended(End::Cluster(failure)) => {
                            format!("{} {}", failure.class.as_str(), failure.code)
                        }
                        state => format!("{state:?}"),
                    }
                })
            };
        let exit = || Some(Ending::Exit(3));
        let work = "Ended(Work(Exit(3)))";
        let mine = &Claim::Driver("d1".into());
        let check = |told: Option<String>, expect: &str| {
            assert_eq!(told.as_deref().unwrap_or("nothing"), expect);
        };
        let running = "Running(\"d1, app-1 with 2 cores\")";
        check(of(mine, None, None, Some("RUNNING")), running);
        // It has ended when its JVM has.
        check(of(mine, None, exit(), Some("RUNNING")), running);
        check(of(mine, None, exit(), Some("FAILED")), work);
        check(of(mine, None, exit(), Some("ERROR")), work);
        check(of(mine, None, exit(), None), work);
        check(of(mine, None, None, None), "Gone");
        check(of(mine, None, None, Some("FINISHED")), "Ended(Work(Exit(0)))");
        check(of(mine, None, None, Some("FAILED")), "retryable driver");
        check(of(mine, None, None, Some("KILLED")), "Ended(Stopped)");
        check(of(mine, None, None, Some("ERROR")), "lost worker_lost");
        // A second driver did nothing, the first one has it.
        check(of(mine, Some("d2"), None, Some("RUNNING")), running);

        let open = &Claim::Open;
        check(of(open, None, None, Some("RUNNING")), "nothing");
        check(of(open, Some("d1"), None, Some("RUNNING")), "Waiting(\"`d1` starts\")");
        check(of(open, Some("d1"), None, Some("FAILED")), "retryable driver");
        check(of(open, Some("d1"), None, Some("FINISHED")), "retryable driver");
        check(of(open, Some("d1"), None, Some("KILLED")), "Ended(Stopped)");
        check(of(open, Some("d1"), None, None), "Gone");
        let withdrawn = &Claim::Withdrawn;
        check(of(withdrawn, None, None, None), "nothing");
        check(of(withdrawn, Some("d1"), None, Some("FINISHED")), "Ended(Stopped)");
        check(of(withdrawn, Some("d1"), None, Some("RUNNING")), "Waiting(\"`d1` starts\")");

        // A master that recovers does not know its drivers yet.
        let seen = Seen { driver: None, claim: mine.clone(), end: None };
        let told = state("key", &seen, &overview("RECOVERING", None)).unwrap().1;
        assert_eq!(told, State::Running("the master recovers".into()));
        // States that came later count as alive.
        check(of(mine, None, None, Some("PAUSED")), running);
    }
}
