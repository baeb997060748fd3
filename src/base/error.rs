// SPDX-License-Identifier: GPL-3.0-or-later
//! The one error type that leaves the library.
//!
//! Each room has its own error enum; what leaves the room is converted into [`Error`], which
//! says what happened, how it is classed, which number Microsoft's tool would give, what was
//! being done, and one thing to do next.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::Code;

/// The result of every fallible operation that may leave its room.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorClass {
    /// The request itself is wrong.
    Usage,
    /// A named object is not there.
    NotFound,
    /// A file breaks the rules of its format.
    Corrupt,
    /// Understood, but not possible with this tool or this file.
    Unsupported,
    /// The thing asked for does not fit this image.
    NotApplicable,
    /// Somebody else holds the object, or changed it meanwhile.
    Busy,
    /// The system refuses access.
    Permission,
    /// No room left.
    Space,
    /// Stopped on request.
    Cancelled,
    /// A rule of this program was broken; please report it.
    Internal,
}

/// An error with its class, its code, what was being done, and the next step.
///
/// Cheap to clone. `Display` gives the sentence with its context; [`Error::hint`] gives the
/// next step.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    class: ErrorClass,
    code: Code,
    message: String,
    context: Vec<String>,
    hint: Option<Cow<'static, str>>,
}

impl Error {
    /// Creates an error with the usual code of its class.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        let code = match class {
            ErrorClass::Usage => Code::INVALID_PARAMETER,
            ErrorClass::NotFound => Code::FILE_NOT_FOUND,
            ErrorClass::Corrupt => Code::FILE_CORRUPT,
            ErrorClass::Unsupported | ErrorClass::NotApplicable => Code::NOT_SUPPORTED,
            ErrorClass::Busy => Code::SHARING_VIOLATION,
            ErrorClass::Permission => Code::ACCESS_DENIED,
            ErrorClass::Space => Code::DISK_FULL,
            ErrorClass::Cancelled => Code::CANCELLED,
            ErrorClass::Internal => Code(0x8000_FFFF),
        };
        Self(Arc::new(Inner { class, code, message: message.into(), context: Vec::new(), hint: None }))
    }

    /// Turns an operating-system error about `object` into an [`Error`].
    pub fn io(object: impl fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let (class, code) = match error.kind() {
            ErrorKind::NotFound => (ErrorClass::NotFound, Code::FILE_NOT_FOUND),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                (ErrorClass::Permission, Code::ACCESS_DENIED)
            }
            ErrorKind::AlreadyExists => (ErrorClass::Usage, Code::ALREADY_EXISTS),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                (ErrorClass::Space, Code::DISK_FULL)
            }
            ErrorKind::UnexpectedEof => (ErrorClass::Corrupt, Code::FILE_CORRUPT),
            ErrorKind::WouldBlock | ErrorKind::ResourceBusy => (ErrorClass::Busy, Code::SHARING_VIOLATION),
            ErrorKind::Interrupted => (ErrorClass::Cancelled, Code::CANCELLED),
            ErrorKind::IsADirectory | ErrorKind::NotADirectory => (ErrorClass::Usage, Code::PATH_NOT_FOUND),
            _ => (ErrorClass::Internal, Code::READ_FAULT),
        };
        Self::new(class, format!("{object}: {error}")).with_code(code)
    }

    /// Replaces the code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        Arc::make_mut(&mut self.0).code = code;
        self
    }

    /// Sets the next step that the user can take.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        Arc::make_mut(&mut self.0).hint = Some(hint.into());
        self
    }

    /// Adds what was being done, outermost last: `while reading image 2 of install.wim`.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        Arc::make_mut(&mut self.0).context.push(context.into());
        self
    }

    /// What kind of failure this is.
    pub fn class(&self) -> ErrorClass {
        self.0.class
    }

    /// The number Microsoft's tool would give.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The sentence alone, without its context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What was being done, innermost first.
    pub fn context(&self) -> impl Iterator<Item = &str> {
        self.0.context.iter().map(String::as_str)
    }

    /// What to do now.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)?;
        for context in &self.0.context {
            write!(formatter, " ({context})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} {:?} {self}", self.0.class, self.0.code)?;
        if let Some(hint) = self.hint() {
            write!(formatter, " [hint: {hint}]")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Adds context to the error of a result.
pub trait Context<T> {
    /// Says what was being done; the closure runs only on failure.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().with_context(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_context_code_and_hint() {
        let error = Error::new(ErrorClass::NotFound, "image 9 does not exist")
            .with_hint("the file holds images 1 to 3")
            .with_context("while opening install.wim");
        assert_eq!(error.to_string(), "image 9 does not exist (while opening install.wim)");
        assert_eq!(error.code(), Code::FILE_NOT_FOUND);
        assert_eq!(error.hint(), Some("the file holds images 1 to 3"));
        assert_eq!(error.class(), ErrorClass::NotFound);
    }

    #[test]
    fn full_disk_is_its_own_class() {
        let error = Error::io("scratch", &std::io::Error::from_raw_os_error(28));
        assert_eq!(error.class(), ErrorClass::Space);
        assert_eq!(error.code(), Code::DISK_FULL);
    }
}
