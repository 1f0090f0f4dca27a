//! Failures as people see them, and the exit status scripts see.
//!
//! ```text
//! error: what failed, in one clause
//!   expected  what was asked for
//!   found     what was there
//! hint: what to do next
//! ```
//! Libraries state facts; advice is added here, where the command that was typed is known.

pub(crate) use sealog_verify::verdict::causes as chain;
use sealog_verify::verdict::{name_shown, shown};
use std::{fmt, io::Write as _, path::Path, process::ExitCode};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Verified, or done.
    Done,
    /// Checked, and it is not what was asked for.
    Refused,
    /// Wrong usage or configuration.
    Usage,
    /// Could not check, or could not reach.
    Unable,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::Refused => 1,
            Status::Usage => 2,
            Status::Unable => 3,
        })
    }
}

/// What is told when something fails.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the run ends because of it.
    pub(crate) status: Status,
    /// A stable word for scripts.
    pub(crate) class: &'static str,
    /// What failed, in one clause.
    pub(crate) message: String,
    /// What was asked for.
    pub(crate) expected: Option<String>,
    /// What was there.
    pub(crate) found: Option<String>,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(status: Status, class: &'static str, message: impl Into<String>) -> Self {
        Self { status, class, message: message.into(), expected: None, found: None, hint: None }
    }

    /// Wrong usage.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Status::Usage, "usage", message)
    }

    /// Something could not be checked.
    pub(crate) fn unable(class: &'static str, message: impl Into<String>) -> Self {
        Self::new(Status::Unable, class, message)
    }

    /// A failure in the words of an error and everything that caused it.
    pub(crate) fn of(status: Status, class: &'static str, error: &dyn std::error::Error) -> Self {
        Self::new(status, class, chain(error))
    }

    pub(crate) fn expected(mut self, text: impl Into<String>) -> Self {
        self.expected = Some(text.into());
        self
    }

    pub(crate) fn found(mut self, text: impl Into<String>) -> Self {
        self.found = Some(text.into());
        self
    }

    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// Tells it on standard error.
    pub(crate) fn tell(&self) {
        let mut err = anstream::stderr().lock();
        let _ = write!(err, "{self}");
    }
}

/// A path between backticks.
pub(crate) fn quoted(path: &Path) -> String {
    format!("`{}`", name_shown(&path.display().to_string()))
}

/// Colours. They carry no meaning of their own and vanish where there is no terminal.
pub(crate) mod paint {
    fn styled(style: &str, text: &str) -> String {
        format!("\x1b[{style}m{text}\x1b[0m")
    }

    pub(crate) fn bad(text: &str) -> String {
        styled("1;31", text)
    }

    pub(crate) fn good(text: &str) -> String {
        styled("1;32", text)
    }

    pub(crate) fn advice(text: &str) -> String {
        styled("1;36", text)
    }

    pub(crate) fn faint(text: &str) -> String {
        styled("2", text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", paint::bad("error"), shown(&self.message))?;
        if let Some(expected) = &self.expected {
            writeln!(f, "  {}  {}", paint::faint("expected"), shown(expected))?;
        }
        if let Some(found) = &self.found {
            writeln!(f, "  {}  {}", paint::faint("found   "), shown(found))?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "{}: {}", paint::advice("hint"), shown(hint))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        #[derive(Debug)]
        struct Outer(std::io::Error);
        impl fmt::Display for Outer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("outer")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        assert_eq!(chain(&Outer(std::io::Error::other("inner"))), "outer: inner");
    }
}
