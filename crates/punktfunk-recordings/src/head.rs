//! Reading the head of a recording: its version and `meta`, and nothing after it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;

use serde::Deserializer as _;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::schema::{CaptureMeta, SCHEMA_VERSION};

/// How much of a file is read, step by step, until `meta` ends: 4 KiB hold the metadata of a few sessions.
const STEPS: [usize; 3] = [4 << 10, 128 << 10, MAX_HEAD];

/// `meta` ends within this many bytes, or the file is not one of ours.
const MAX_HEAD: usize = 1 << 20;

/// Why a file is not a recording that this build can read. Its text completes "this recording cannot be read: …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A directory, a link, a pipe.
    #[error("it is not a regular file")]
    NotAFile,
    /// The file's name is not an id and `.json`.
    #[error("its name is not that of a recording")]
    ForeignName,
    /// Larger than the store reads.
    #[error("it is larger than {} MiB", .limit >> 20)]
    TooLarge {
        /// The limit, bytes.
        limit: u64,
    },
    /// Written by a later version.
    #[error("it has schema version {version}, this version reads up to {SCHEMA_VERSION}")]
    FutureSchema {
        /// What it says.
        version: u64,
    },
    /// No JSON, or JSON of another kind.
    #[error("it is not a recording ({0})")]
    Foreign(String),
    /// It ends in the middle.
    #[error("it is cut off")]
    Truncated,
    /// The file was renamed.
    #[error("it holds the recording {holds}, rename it to {holds}.json")]
    Renamed {
        /// The id inside.
        holds: String,
    },
    /// The system refused to read it.
    #[error("{0}")]
    Io(String),
}

/// The head of a file that was read: where `meta` stands in it.
pub(crate) struct Head<'a> {
    pub(crate) meta: &'a RawValue,
}

impl Head<'_> {
    pub(crate) fn meta(&self) -> Result<CaptureMeta, Unreadable> {
        serde_json::from_str(self.meta.get()).map_err(|error| Unreadable::Foreign(error.to_string()))
    }
}

/// Reads the metadata of an open file of `len` bytes, and whether it is whole. `buffer` is only kept to be used again.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn read(file: &File, len: u64, buffer: &mut Vec<u8>) -> io::Result<Result<CaptureMeta, Unreadable>> {
    for step in STEPS {
        let wanted = step.min(usize::try_from(len).unwrap_or(step));
        buffer.resize(wanted, 0);
        file.read_exact_at(buffer, 0)?;
        let at_end = wanted as u64 == len;
        match find(buffer).and_then(|head| head.meta()) {
            Ok(meta) => {
                let is_whole = if at_end { whole(buffer) } else { check_end(file, len, buffer)? };
                return Ok(is_whole.map(|()| meta));
            }
            Err(Unreadable::Truncated) if !at_end => {}
            Err(reason) => return Ok(Err(reason)),
        }
    }
    Ok(Err(Unreadable::Foreign(format!("no meta in its first {} MiB", MAX_HEAD >> 20))))
}

/// The store writes compact JSON and one line feed at its end, so the last two bytes tell whether a file is whole. Others'
/// files, which may be indented, are gone through.
fn check_end(file: &File, len: u64, head: &[u8]) -> io::Result<Result<(), Unreadable>> {
    let mut end = [0; 2];
    file.read_exact_at(&mut end, len.saturating_sub(2))?;
    if end == *b"}\n" && !head.contains(&b'\n') {
        return Ok(Ok(()));
    }
    let mut bytes = Vec::new();
    file.take(len).read_to_end(&mut bytes)?;
    Ok(whole(&bytes))
}

fn whole(bytes: &[u8]) -> Result<(), Unreadable> {
    serde_json::from_slice::<IgnoredAny>(bytes).map(drop).map_err(|error| reason(bytes, &error))
}

/// Looks for version and `meta` in the beginning of a file. [`Unreadable::Truncated`] if more of it is needed.
pub(crate) fn find(bytes: &[u8]) -> Result<Head<'_>, Unreadable> {
    let mut found = Found::default();
    let outcome = serde_json::Deserializer::from_slice(bytes).deserialize_map(Finder { found: &mut found });
    match found {
        Found { version: Some(version), .. } if version > u64::from(SCHEMA_VERSION) => {
            Err(Unreadable::FutureSchema { version })
        }
        Found { version: Some(1..), meta: Some(meta) } => Ok(Head { meta }),
        Found { version: Some(0), .. } => Err(Unreadable::Foreign("it has schema version 0".to_owned())),
        _ => Err(outcome.err().map_or_else(
            || Unreadable::Foreign("it has no schema_version or no meta".to_owned()),
            |error| reason(bytes, &error),
        )),
    }
}

/// Why `bytes` could not be parsed. A number that is cut off is a syntax error at the very end, not a missing one.
pub(crate) fn reason(bytes: &[u8], error: &serde_json::Error) -> Unreadable {
    let line = bytes.split(|byte| *byte == b'\n').count();
    let column = bytes.len() - bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let at_end = error.is_syntax() && error.line() == line && error.column() >= column;
    if error.is_eof() || at_end { Unreadable::Truncated } else { Unreadable::Foreign(error.to_string()) }
}

#[derive(Default)]
struct Found<'a> {
    version: Option<u64>,
    meta: Option<&'a RawValue>,
}

struct Finder<'f, 'de> {
    found: &'f mut Found<'de>,
}

impl<'de> Visitor<'de> for Finder<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a recording")
    }

    /// Ends with an error once both are found: there is no other way to leave the rest unread.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "schema_version" => self.found.version = Some(map.next_value()?),
                "meta" => self.found.meta = Some(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            let future = self.found.version.is_some_and(|version| version > u64::from(SCHEMA_VERSION));
            if future || self.found.version.is_some() && self.found.meta.is_some() {
                return Err(A::Error::custom("enough was read"));
            }
        }
        Ok(())
    }
}
