//! A password that is typed on the terminal, and not shown.

use super::invalid;
use crate::cli::manner::Manner;
use crate::{Error, Result};

/// Whose password is missing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    User,
    Key,
}

impl Wanted {
    /// The tools' words.
    fn question(self) -> &'static [u8] {
        match self {
            Self::User => b"Enter password for mongo user: ",
            Self::Key => b"Enter password for client certificate: ",
        }
    }
}

/// Whether the file, if it can be read, holds a key in PKCS 8 that needs a password.
pub(super) fn is_encrypted(path: &str) -> bool {
    const ENCRYPTED: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    std::fs::read(path).is_ok_and(|text| text.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED))
}

/// Asks for a password; in the tools' manner, a script's standard input begins with it, and an archive may follow.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where there is no terminal, or nothing is typed.
pub(super) fn password(wanted: Wanted, manner: Manner) -> Result<String> {
    use std::io::IsTerminal;
    if manner.is_own() || std::io::stdin().is_terminal() { typed(wanted) } else { piped() }
}

/// The first line of standard input.
#[cfg(unix)]
fn piped() -> Result<String> {
    /// Far longer than any password.
    const LONGEST: usize = 64 * 1024;

    let mut line = Vec::new();
    // Byte by byte: what follows is not for this reader.
    let mut byte = [0];
    while line.len() < LONGEST {
        match rustix::io::read(std::io::stdin(), &mut byte) {
            Ok(0) => break,
            Ok(_) if matches!(byte, [b'\n' | b'\r']) => break,
            Ok(_) => line.extend(byte),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                return Err(invalid("the password cannot be read from standard input").with_source(error));
            }
        }
    }
    match String::from_utf8(line) {
        Ok(password) if password.is_empty() => Err(nobody_there()),
        Ok(password) => Ok(password),
        Err(_) => Err(invalid("the password on standard input is not valid UTF-8")),
    }
}

#[cfg(not(unix))]
fn piped() -> Result<String> {
    Err(nobody_there())
}

/// Asks on the terminal.
#[cfg(unix)]
fn typed(wanted: Wanted) -> Result<String> {
    use std::fs::File;
    use std::io::{Read, Write};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

    /// A terminal of which a line is one `read`, and the longest.
    const LINE_BYTES: usize = 4096;

    /// Shows again what is typed, whatever happens.
    struct Silent<'a>(&'a File, Termios);

    impl Drop for Silent<'_> {
        fn drop(&mut self) {
            let _ = tcsetattr(self.0, OptionalActions::Flush, &self.1);
            // The line's end was not shown either.
            let _ = self.0.write_all(b"\n");
        }
    }

    // Standard input may be the archive, standard output, too.
    let terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_| nobody_there())?;
    let before = tcgetattr(&terminal).map_err(|_| nobody_there())?;
    let mut silent = before.clone();
    // Ctrl-C ends the line instead of the program, which would leave the terminal silent.
    let stop = before.special_codes[SpecialCodeIndex::VINTR];
    silent.special_codes[SpecialCodeIndex::VEOL] = stop;
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|_| nobody_there())?;
    let silent = Silent(&terminal, before);
    // Not before: whoever is asked may type at once.
    (&terminal).write_all(wanted.question()).map_err(|_| nobody_there())?;
    // A signal from elsewhere ends the waiting, as it would not end the reading.
    poll(&mut [PollFd::new(&terminal, PollFlags::IN)], None).map_err(|_| Error::cancelled())?;
    let mut line = vec![0; LINE_BYTES];
    let length = (&terminal).read(&mut line).map_err(|_| nobody_there())?;
    drop(silent);
    line.truncate(length);
    if line.last() == Some(&stop) {
        return Err(Error::cancelled());
    }
    let line =
        String::from_utf8(line).map_err(|_| invalid("the password that was typed is not valid UTF-8"))?;
    match line.trim_end_matches(['\r', '\n']) {
        "" => Err(invalid("no password was typed")),
        password => Ok(password.to_owned()),
    }
}

/// Elsewhere there is the file.
#[cfg(not(unix))]
fn typed(_: Wanted) -> Result<String> {
    Err(nobody_there())
}

fn nobody_there() -> Error {
    invalid(
        "there is a user and no password, and there is no terminal to ask for it: give it in a file (--config), or a \
         connection string with it in MONGODB_URI",
    )
}
