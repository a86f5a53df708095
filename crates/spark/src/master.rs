//! The standalone master over HTTP: its submission server, and the state that its web interface
//! tells as JSON. It says what the answers mean for a hand-over, and decides nothing.

use std::sync::Once;
use std::time::Duration;

use reqwest::{RequestBuilder, Url};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// How long a master may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long it may take to answer. Its own limit for asking itself is 120 s by default, but a
/// request that it answers late is found again by its claim.
const ANSWER: Duration = Duration::from_secs(30);

/// The most bytes of an answer that are shown to people.
const MOST_WORDS: usize = 300;

/// A client of one master. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Master {
    http: reqwest::Client,
    rest: Url,
    ui: Url,
}

/// Why a request did not do what it was for.
#[derive(Debug, Error)]
pub(crate) enum MasterError {
    /// Nothing was sent.
    #[error("the Spark master at {address} cannot be reached: {words}")]
    Unreachable { address: String, words: String },
    /// It was sent, and nobody knows what became of it.
    #[error("the Spark master at {address} did not answer: {words}")]
    Unanswered { address: String, words: String },
    /// It was understood and not done: the master may not be the active one.
    #[error("the Spark master at {address} refused: {words}")]
    Refused { address: String, words: String },
    /// It was not let in, or not understood.
    #[error("the Spark master at {address} turns us away: {words}")]
    Denied { address: String, words: String },
    /// It is no answer of a master.
    #[error("what answers at {address} is no Spark master: {words}")]
    Garbled { address: String, words: String },
}

/// What the master knows: everything that is polled, in one answer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Overview {
    /// `ALIVE`, `STANDBY`, `RECOVERING` or `COMPLETING_RECOVERY`.
    pub(crate) status: String,
    /// Its address for drivers, `spark://host:port`.
    pub(crate) url: String,
    pub(crate) workers: Vec<Worker>,
    #[serde(rename = "activeapps")]
    pub(crate) applications: Vec<Application>,
    #[serde(rename = "activedrivers")]
    pub(crate) active: Vec<Driver>,
    /// The last ones only, and none from before the master's start.
    #[serde(rename = "completeddrivers")]
    pub(crate) completed: Vec<Driver>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Worker {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) cores: u32,
    /// In MiB.
    pub(crate) memory: u32,
    #[serde(rename = "webuiaddress")]
    pub(crate) ui: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Application {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) cores: u32,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Driver {
    pub(crate) id: String,
    pub(crate) state: DriverState,
    /// The worker's id; absent before it is placed.
    pub(crate) worker: Option<String>,
}

/// The states of drivers, as the master names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum DriverState {
    /// It waits for a worker with room.
    Submitted,
    /// It runs.
    Running,
    /// It ended with exit code 0.
    Finished,
    /// It ended with another one, or could not be started.
    Failed,
    /// It was killed on request.
    Killed,
    /// Its worker is lost, or could not prepare it.
    Error,
    /// It is placed anew after its worker was lost, where it is supervised.
    Relaunching,
    /// Its state is not known while the master recovers, or has a name that came later.
    #[default]
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    success: bool,
    submission_id: Option<String>,
    message: Option<String>,
    driver_state: Option<DriverState>,
}

impl DriverState {
    /// Tells whether it stays so.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Killed | Self::Error)
    }
}

impl Worker {
    pub(crate) fn is_alive(&self) -> bool {
        self.state == "ALIVE"
    }

    #[cfg(test)]
    pub(crate) fn alive(cores: u32, memory: u32) -> Self {
        Self { state: "ALIVE".into(), cores, memory, ..Self::default() }
    }
}

impl Overview {
    /// Tells whether what it says of drivers is all that there is to know.
    pub(crate) fn is_settled(&self) -> bool {
        self.status == "ALIVE"
    }

    /// Finds a driver.
    pub(crate) fn driver(&self, id: &str) -> Option<&Driver> {
        self.active.iter().chain(&self.completed).find(|driver| driver.id == id)
    }
}

impl Master {
    /// Takes the addresses of the submission server and of the web interface.
    ///
    /// # Errors
    /// The roots of the system cannot be read.
    pub(crate) fn new(rest: Url, ui: Url) -> reqwest::Result<Self> {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            // Who installed one before may keep it.
            let _ = rustls::crypto::ring::default_provider().install_default();
        });
        let plain = rest.scheme() == "http" && ui.scheme() == "http";
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let http = if plain { http.tls_certs_only([]) } else { http };
        Ok(Self { http: http.build()?, rest, ui })
    }

    /// Hands a driver over, and returns its id.
    pub(crate) async fn create(&self, submission: &Value) -> Result<String, MasterError> {
        let answer = self.submission(self.http.post(self.at("create")).json(submission)).await?;
        match answer {
            Answer { success: true, submission_id: Some(id), .. } => Ok(id),
            Answer { message, .. } => Err(self.refused(message)),
        }
    }

    /// Asks for one driver; absent where the master does not know it.
    pub(crate) async fn status(&self, driver: &str) -> Result<Option<DriverState>, MasterError> {
        let at = self.at(&format!("status/{driver}"));
        let answer = self.submission(self.http.get(at)).await?;
        Ok(answer.driver_state.filter(|_| answer.success))
    }

    /// Has a driver killed. That it has ended, or is unknown, is no error.
    pub(crate) async fn kill(&self, driver: &str) -> Result<(), MasterError> {
        self.submission(self.http.post(self.at(&format!("kill/{driver}")))).await.map(drop)
    }

    /// Asks for everything at once.
    pub(crate) async fn overview(&self) -> Result<Overview, MasterError> {
        let mut at = self.ui.clone();
        at.set_path(&format!("{}/json/", at.path().trim_end_matches('/')));
        self.send(&self.ui, self.http.get(at)).await
    }

    /// Asks the worker of a driver for the end of what the driver's JVM said. Empty where it
    /// cannot be had: it is for people only.
    pub(crate) async fn last_words(&self, worker: &Worker, driver: &str, most: usize) -> String {
        let Ok(mut at) = Url::parse(&worker.ui) else { return String::new() };
        at.set_path("/log/");
        at.set_query(Some(&format!("driverId={driver}&logType=stderr&byteLength={most}")));
        let answer = match self.http.get(at).send().await {
            Ok(answer) if answer.status().is_success() => answer.text().await,
            Ok(_) | Err(_) => return String::new(),
        };
        let text = answer.unwrap_or_default();
        // The first line tells which bytes these are.
        text.split_once('\n').map(|(_, words)| words.trim().to_owned()).unwrap_or_default()
    }

    fn at(&self, act: &str) -> Url {
        let mut at = self.rest.clone();
        at.set_path(&format!("{}/v1/submissions/{act}", at.path().trim_end_matches('/')));
        at
    }

    async fn submission(&self, request: RequestBuilder) -> Result<Answer, MasterError> {
        self.send(&self.rest, request).await
    }

    async fn send<T: for<'de> Deserialize<'de>>(
        &self,
        base: &Url,
        request: RequestBuilder,
    ) -> Result<T, MasterError> {
        let address = base.to_string();
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() || error.is_builder() => {
                return Err(MasterError::Unreachable { address, words: chain(&error) });
            }
            Err(error) => return Err(MasterError::Unanswered { address, words: chain(&error) }),
        };
        let status = answer.status();
        let text = match answer.text().await {
            Ok(text) => text,
            Err(error) => return Err(MasterError::Unanswered { address, words: chain(&error) }),
        };
        if status.is_client_error() {
            let refusal: Option<Answer> = serde_json::from_str(&text).ok();
            let words = refusal.and_then(|it| it.message).unwrap_or_else(|| status.to_string());
            return Err(MasterError::Denied { address, words: shortened(&words) });
        }
        if status.is_server_error() {
            return Err(MasterError::Unanswered { address, words: status.to_string() });
        }
        serde_json::from_str(&text)
            .map_err(|error| MasterError::Garbled { address, words: error.to_string() })
    }

    fn refused(&self, message: Option<String>) -> MasterError {
        let words = message.unwrap_or_else(|| "it gives no reason".to_owned());
        MasterError::Refused { address: self.rest.to_string(), words: shortened(&words) }
    }
}

fn chain(error: &reqwest::Error) -> String {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    let mut words = Vec::new();
    while let Some(error) = source {
        words.push(error.to_string());
        source = error.source();
    }
    words.join(": ")
}

/// The first line; the rest is a trace of Java.
fn shortened(words: &str) -> String {
    words.lines().next().unwrap_or_default().chars().take(MOST_WORDS).collect()
}
