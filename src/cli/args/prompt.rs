//! A password that is typed on the terminal, and not shown.

use super::invalid;
use crate::{Error, Result};

/// Asks for the password that a connection string lacks.
///
/// # Errors
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) where there is no terminal, or nothing is typed.
#[cfg(unix)]
pub(super) fn password() -> Result<String> {
    use std::fs::File;
    use std::io::{Read, Write};

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

    /// mongodump's words.
    const QUESTION: &[u8] = b"Enter password for mongo user: ";

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
    (&terminal).write_all(QUESTION).map_err(|_| nobody_there())?;
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
pub(super) fn password() -> Result<String> {
    Err(nobody_there())
}

fn nobody_there() -> Error {
    invalid(
        "the connection string names a user and has no password, and there is no terminal to ask for it: give it in a file \
         (--config) or in MONGODB_URI",
    )
}
