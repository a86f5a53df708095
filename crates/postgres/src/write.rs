//! One transaction of commits: what must hold, what is written, and what is refused.

use std::sync::Arc;

use futures_util::future::{OptionFuture, join};
use jobwright_core::{Commit, Refusal};

use crate::fault::{Fault, FaultKind, both};
use crate::rows::{Contents, Journal, Summaries};
use crate::session::{Ask, Session};
use crate::{documents, heads};

/// What became of a batch, as long as its transaction is open.
#[derive(Debug)]
pub(crate) enum Written {
    /// All of it is written.
    Whole,
    /// A part must not be: the batch is to be taken apart.
    Doubtful,
    /// The one commit of it is refused.
    Refused(Vec<Refusal>),
}

/// How to go about a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Writes, and sees whether as many rows were written as there should be.
    Swift,
    /// Reads the ends of the journals first, so as to tell what is refused and why.
    Precise,
}

/// Writes a batch in the open transaction. All is sent at once where nothing must be read first.
pub(crate) async fn write(
    session: &Session,
    commits: &[Arc<Commit>],
    care: Care,
) -> Result<Written, Fault> {
    let planned = heads::Planned::of(commits);
    if planned.is_none() && care == Care::Swift {
        return Ok(Written::Doubtful);
    }
    let precise = (care == Care::Precise).then(|| heads::lock(session, commits));
    let precise = async { OptionFuture::from(precise).await.transpose() };
    let (mut known, mut ends) = {
        let (locked, heads) = join(documents::lock(session, commits), precise).await;
        both(locked, heads)?
    };
    let mut refusals = Vec::new();
    for commit in commits {
        if let Some(ends) = &mut ends {
            ends.judge(commit, &mut refusals);
        }
        known.judge(commit, &mut refusals);
    }
    if !refusals.is_empty() {
        return Ok(Written::Refused(refusals));
    }
    let Some(planned) = planned else {
        return Err(Fault::broken("a position or an epoch is too large to be kept".to_owned()));
    };
    let rows = Journal::of(commits)?;
    let columns = known.columns()?;
    let summaries = Summaries::of(commits, |key| known.contains(key))?;
    let contents = Contents::of(commits);

    let mut asks: Vec<(Ask<'_>, Option<u64>)> = Vec::new();
    let expected = [planned.moved.len(), planned.made.len()];
    asks.extend(planned.asks().into_iter().zip(expected.map(Some)));
    asks.retain(|(_, rows)| *rows != Some(0));
    let ends = asks.len();
    asks.extend(columns.asks().map(|(ask, rows)| (ask, Some(rows))));
    if !summaries.is_empty() {
        asks.push((summaries.ask(), None));
    }
    if ends > 0 {
        asks.extend(rows.iter().map(|part| (part.ask(), None)));
    }
    asks.extend(contents.iter().map(|part| (part.ask(), None)));
    send(session, asks, ends).await
}

/// How many statements are sent at once.
const PIPELINE: usize = 16;

/// Sends the statements, of which the first few move the ends of journals.
async fn send(
    session: &Session,
    mut asks: Vec<(Ask<'_>, Option<u64>)>,
    ends: usize,
) -> Result<Written, Fault> {
    let mut at = 0;
    while !asks.is_empty() {
        let rest = asks.split_off(asks.len().min(PIPELINE));
        let (sent, expected): (Vec<_>, Vec<_>) = asks.into_iter().unzip();
        asks = rest;
        let written = session.pipeline(&sent).await;
        let written = match written {
            // A journal that another node made at the same moment shows as a row that is there.
            Err(fault) if ends > 0 && fault.kind() == FaultKind::Raced => {
                return Ok(Written::Doubtful);
            }
            written => written?,
        };
        for (rows, expected) in written.into_iter().zip(expected) {
            if expected.is_some_and(|expected| rows != expected) {
                if at < ends {
                    return Ok(Written::Doubtful);
                }
                return Err(Fault::raced("another node changes the same documents"));
            }
            at += 1;
        }
    }
    Ok(Written::Whole)
}
