//! The threads that read, each with a connection of its own: a reader neither waits for the writer
//! nor makes it wait, and sees every commit that was acknowledged before it began.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use jobwright_core::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::fault::{Fault, Health};
use super::open::{self, OpenError};

/// How many reads may wait. Callers beyond that wait in order for a place.
const QUEUE: usize = 256;

/// How many threads read: one may be busy with a long journal.
const THREADS: usize = 2;

type Read = Box<dyn FnOnce(&Connection) + Send>;

/// The callers' end of the queue.
#[derive(Debug)]
pub(super) struct Readers {
    reads: mpsc::Sender<Read>,
    threads: Vec<JoinHandle<()>>,
    health: Arc<Health>,
}

impl Readers {
    pub(super) fn start(path: &Path, health: Arc<Health>) -> Result<Self, OpenError> {
        let (reads, queue) = mpsc::channel::<Read>(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::new();
        for _ in 0..THREADS {
            let connection = open::connect_reader(path)?;
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new().name("jobwright-reader".to_owned());
            let thread = thread.spawn(move || serve(&connection, &queue));
            threads
                .push(thread.map_err(|source| OpenError::File { path: path.to_owned(), source })?);
        }
        Ok(Self { reads, threads, health })
    }

    /// Lets a thread read, and waits for what it finds.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.health.check()?;
        let (reply, answer) = oneshot::channel();
        let read: Read = Box::new(move |connection| drop(reply.send(read(connection))));
        let panicked = || Fault::refused("a read panicked".to_owned()).to_error();
        self.reads.send(read).await.map_err(|_| panicked())?;
        let found = answer.await.map_err(|_| panicked())?;
        found.map_err(|fault| self.health.note(&fault))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let (closed, _) = mpsc::channel(1);
        drop(mem::replace(&mut self.reads, closed));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader of the store panicked");
            }
        }
    }
}

fn serve(connection: &Connection, queue: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        let read = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(read) = read else { return };
        // The caller learns of a panic, since it gets no answer; the others keep their reader.
        drop(catch_unwind(AssertUnwindSafe(|| read(connection))));
    }
}
