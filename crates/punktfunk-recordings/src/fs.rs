//! Files that are whole or not there: what the store and the journal share.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Begins the names of files that are being written. A host that was killed leaves some behind.
pub(crate) const TEMPORARY: &str = ".writing-";

/// Creates `dir` for its owner alone, with what is above it; takes others' rights to one that exists.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mode = fs::metadata(dir)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Creates a file that only its owner may read, to be appended to. It must not exist.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    File::options().append(true).create_new(true).mode(0o600).open(path)
}

/// Puts `parts` under `path` at once and durably: a new file beside it (0600), fsync, rename, fsync of the directory. On
/// failure the old file, if any, is untouched.
///
/// The new file's modification time is later than `after`, however coarse the file system's clock: it tells revisions
/// apart.
pub(crate) fn replace(path: &Path, parts: &[&[u8]], after: Option<SystemTime>) -> io::Result<Metadata> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(dir)?;
    for part in parts {
        file.write_all(part)?;
    }
    if let Some(after) = after
        && file.as_file().metadata()?.modified()? <= after
    {
        file.as_file().set_modified(after + Duration::from_nanos(1))?;
    }
    file.as_file().sync_all()?;
    let file = file.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)?;
    file.metadata()
}

/// Removes a file durably.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
