//! What a front that follows the running capture reads, and how it remembers where it was.

use crate::status::{LiveEvent, StatsStatus};

/// A place in the running capture's log, as text `<id>/<n>`: events before the `n`-th are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) id: String,
    pub(crate) next: usize,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.id, self.next)
    }
}

impl std::str::FromStr for Cursor {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, next) = text.rsplit_once('/').unwrap_or(("", text));
        Ok(Self { id: id.to_owned(), next: next.parse()? })
    }
}

/// What came after a [`Cursor`].
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// The service's state now.
    pub status: StatsStatus,
    /// Each event with the cursor that stands behind it.
    pub events: Vec<(Cursor, LiveEvent)>,
    /// Behind the last event.
    pub cursor: Cursor,
}
