//! What can be read of an engine at any moment, without asking its loop.

use super::Engine;

/// How an engine is doing, beside what its observers are told. Read without waiting, also while
/// the store is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Gauges {
    /// How many messages wait for the engine's loop.
    pub inbox: usize,
    /// How many may wait; submissions beyond that are refused.
    pub inbox_limit: usize,
    /// How many bytes of log lines attempts reported since the engine began.
    pub log_bytes: u64,
    /// How many logs of attempts were too long to be kept whole.
    pub logs_cut: u64,
}

impl Engine {
    /// Reads how the engine is doing.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let sender = &self.0.sender;
        let (log_bytes, logs_cut) = self.0.listener.logged();
        Gauges {
            inbox: sender.max_capacity() - sender.capacity(),
            inbox_limit: sender.max_capacity(),
            log_bytes,
            logs_cut,
        }
    }
}
