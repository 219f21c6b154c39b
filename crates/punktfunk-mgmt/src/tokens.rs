//! The two tokens: the operator's, and one that opens `/metrics` and remote read only. 256 random bits each, in files that only the host's user
//! reads, made at first start.
//!
//! Comparison takes the same time whatever was sent, and `Debug` shows no token.

use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use utoipa::ToSchema;

/// File of the operator's token in the configuration directory.
pub const OPERATOR_FILE: &str = "mgmt-token";

/// File of the read-only token in the configuration directory.
pub const READ_FILE: &str = "read-token";

/// Fewest characters of a token that somebody wrote by hand.
const MIN_LEN: usize = 32;

/// Most characters.
const MAX_LEN: usize = 512;

/// A secret.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new one from the system's generator.
    pub(crate) fn random() -> Result<Self, io::Error> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random numbers"))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The token itself, to be shown to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Operator,
    /// Reading `/metrics`, and recordings by remote read.
    Reader,
}

/// Both tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    operator: Token,
    reader: Token,
}

/// The tokens could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The system refused.
    #[error("cannot use the token file {}", .path.display())]
    Io {
        /// The file or its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read it.
    #[error("{} can be read by others (mode {mode:03o}): chmod 600 it, or delete it to get a new token", .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is not one.
    #[error("{} holds no token (32 to 512 printable characters without spaces): delete it to get a new one", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
    },
    /// Both files hold the same.
    #[error("{OPERATOR_FILE} and {READ_FILE} in {} hold the same token: delete one of them", .directory.display())]
    Same {
        /// The directory.
        directory: PathBuf,
    },
}

impl Tokens {
    /// Loads the tokens in `directory`; makes those that are missing, and the directory.
    ///
    /// # Errors
    /// When a file cannot be read or written, others can read it, or it holds no token.
    pub fn load_or_create(directory: &Path) -> Result<Self, TokenError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| TokenError::Io { path: directory.to_owned(), source })?;
        let operator = token(&directory.join(OPERATOR_FILE))?;
        let reader = token(&directory.join(READ_FILE))?;
        if bool::from(operator.0.as_bytes().ct_eq(reader.0.as_bytes())) {
            return Err(TokenError::Same { directory: directory.to_owned() });
        }
        Ok(Self { operator, reader })
    }

    /// The operator's.
    pub fn operator(&self) -> &Token {
        &self.operator
    }

    /// The one that opens `/metrics` and remote read only.
    pub fn reader(&self) -> &Token {
        &self.reader
    }

    /// What `given` allows. Both tokens are always compared.
    pub fn role(&self, given: &[u8]) -> Option<Role> {
        let operator = self.operator.0.as_bytes().ct_eq(given);
        let reader = self.reader.0.as_bytes().ct_eq(given);
        if operator.into() {
            Some(Role::Operator)
        } else if reader.into() {
            Some(Role::Reader)
        } else {
            None
        }
    }
}

fn token(path: &Path) -> Result<Token, TokenError> {
    let io = |source| TokenError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path).map_err(io)?,
        Err(error) => return Err(io(error)),
    }
    load(path)
}

/// Writes a new token beside the file and links it into place: it appears whole, and never replaces one that another
/// process made meanwhile.
fn create(path: &Path) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let token = Token::random()?;
    // Mode 0600 from the start.
    let mut file = tempfile::Builder::new().prefix(".token-").tempfile_in(directory)?;
    writeln!(file, "{}", token.0)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(directory)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

fn load(path: &Path) -> Result<Token, TokenError> {
    let io = |source| TokenError::Io { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(io)?;
    let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(MAX_LEN as u64 + 2).read_to_end(&mut bytes).map_err(io)?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    let text = text.trim();
    if !(MIN_LEN..=MAX_LEN).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Invalid { path: path.to_owned() });
    }
    Ok(Token(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn tokens_are_made_once_and_only_their_owner_reads_them() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("a/b");
        let first = Tokens::load_or_create(&directory).unwrap();
        let again = Tokens::load_or_create(&directory).unwrap();
        assert_eq!(first.operator().reveal(), again.operator().reveal());
        assert_eq!(first.reader().reveal(), again.reader().reveal());
        assert_eq!(first.operator().reveal().len(), 64);
        assert_ne!(first.operator().reveal(), first.reader().reveal());
        assert_eq!(
            (mode(&directory), mode(&directory.join(OPERATOR_FILE)), mode(&directory.join(READ_FILE))),
            (0o700, 0o600, 0o600)
        );
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "nothing else is left behind");
    }

    #[test]
    fn hosts_that_start_together_agree_on_one_token() {
        let temp = tempfile::tempdir().unwrap();
        let seen: Vec<String> = std::thread::scope(|scope| {
            let start = || Tokens::load_or_create(temp.path()).unwrap().operator().reveal().to_owned();
            let hosts: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            hosts.into_iter().map(|host| host.join().unwrap()).collect()
        });
        assert!(seen.iter().all(|token| *token == seen[0]));
    }

    #[test]
    fn what_is_no_secret_is_refused_with_what_to_do() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join(OPERATOR_FILE);
        let long = "x".repeat(600);
        for bad in ["", "short", "thirty-two characters with spaces in it", &long] {
            fs::write(&path, bad).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = Tokens::load_or_create(temp.path()).unwrap_err().to_string();
            assert!(error.contains("delete it to get a new one") && error.contains(OPERATOR_FILE), "{error}");
        }
        fs::write(&path, "0123456789abcdef0123456789abcdef\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Tokens::load_or_create(temp.path()).unwrap_err().to_string();
        assert!(error.contains("mode 644") && error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::copy(&path, temp.path().join(READ_FILE)).unwrap();
        assert!(matches!(Tokens::load_or_create(temp.path()), Err(TokenError::Same { .. })));
    }

    #[test]
    fn only_a_whole_token_has_a_role_and_debug_shows_none() {
        let temp = tempfile::tempdir().unwrap();
        let tokens = Tokens::load_or_create(temp.path()).unwrap();
        let (operator, reader) = (tokens.operator().reveal(), tokens.reader().reveal());
        assert_eq!(tokens.role(operator.as_bytes()), Some(Role::Operator));
        assert_eq!(tokens.role(reader.as_bytes()), Some(Role::Reader));
        for wrong in ["", &operator[..63], &format!("{operator}0"), &operator.to_uppercase(), "\0"] {
            assert_eq!(tokens.role(wrong.as_bytes()), None, "{wrong}");
        }
        let shown = format!("{tokens:?}");
        assert!(!shown.contains(operator) && !shown.contains(reader), "{shown}");
    }
}
