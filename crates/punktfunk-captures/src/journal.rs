//! Writes the journal of the running capture on a thread of its own: a disk that hangs delays neither the live view nor the
//! stop.

use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::JoinHandle;

use punktfunk_recordings::{CaptureMeta, Journal, JournalEntry, Store};

/// Entries that may wait for the disk: minutes of samples. Beyond that the journal has a gap and says so.
const WAITING: usize = 1024;

/// The writing end; dropping it lets the thread finish.
pub(crate) struct JournalWriter {
    entries: Option<SyncSender<JournalEntry>>,
    thread: Option<JoinHandle<Option<Journal>>>,
    gap: bool,
}

impl JournalWriter {
    /// Starts the journal of a capture. Without one (the disk is full, say) the capture still runs, and the log says what a
    /// killed host would lose.
    pub(crate) fn start(store: &Store, meta: &CaptureMeta) -> Self {
        let none = Self { entries: None, thread: None, gap: false };
        let journal = match store.journal(meta) {
            Ok(journal) => journal,
            Err(error) => {
                tracing::warn!(%error, "this capture has no journal: a killed host would lose it; stopping it saves it as usual");
                return none;
            }
        };
        let (entries, inbox) = mpsc::sync_channel(WAITING);
        match std::thread::Builder::new().name("capture-journal".into()).spawn(move || write(journal, &inbox)) {
            Ok(thread) => Self { entries: Some(entries), thread: Some(thread), gap: false },
            Err(error) => {
                tracing::warn!(%error, "this capture has no journal: its thread could not be started");
                none
            }
        }
    }

    /// Hands one entry over; never waits for the disk.
    pub(crate) fn append(&mut self, entry: JournalEntry) {
        let Some(entries) = &self.entries else { return };
        match entries.try_send(entry) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) if self.gap => {}
            Err(TrySendError::Full(_)) => {
                self.gap = true;
                tracing::warn!("the disk does not keep up: the capture's journal has a gap; the recording has none");
            }
            // The thread has logged why it ended.
            Err(TrySendError::Disconnected(_)) => self.entries = None,
        }
    }

    /// Removes the journal of a capture that has been saved.
    pub(crate) fn remove(mut self) {
        self.entries = None;
        let journal = self.thread.take().and_then(|thread| thread.join().ok()).flatten();
        if let Some(journal) = journal
            && let Err(error) = journal.remove()
        {
            tracing::warn!(%error, "the journal of a saved capture could not be removed");
        }
    }
}

/// Writes until the writing end is gone. Gives the journal back for its removal.
fn write(mut journal: Journal, inbox: &Receiver<JournalEntry>) -> Option<Journal> {
    for entry in inbox {
        if let Err(error) = journal.append(&entry) {
            tracing::warn!(%error, "the capture's journal could not be written any further; the recording is not affected");
            break;
        }
    }
    Some(journal)
}
