// SPDX-License-Identifier: GPL-3.0-or-later
//! The number Microsoft's tool would give for an outcome.

use std::fmt;

/// An HRESULT. Win32 errors are carried as `0x8007xxxx`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

impl Code {
    /// The system cannot find the file specified.
    pub const FILE_NOT_FOUND: Self = Self::win32(2);
    /// The system cannot find the path specified.
    pub const PATH_NOT_FOUND: Self = Self::win32(3);
    /// Access is denied.
    pub const ACCESS_DENIED: Self = Self::win32(5);
    /// An attempt was made to load a program with an incorrect format.
    pub const BAD_FORMAT: Self = Self::win32(11);
    /// The data is invalid.
    pub const INVALID_DATA: Self = Self::win32(13);
    /// The device could not be written.
    pub const WRITE_FAULT: Self = Self::win32(29);
    /// The device could not be read.
    pub const READ_FAULT: Self = Self::win32(30);
    /// Another process holds the file.
    pub const SHARING_VIOLATION: Self = Self::win32(32);
    /// The request is not supported.
    pub const NOT_SUPPORTED: Self = Self::win32(50);
    /// The file exists.
    pub const FILE_EXISTS: Self = Self::win32(80);
    /// The parameter is incorrect.
    pub const INVALID_PARAMETER: Self = Self::win32(87);
    /// There is not enough space on the disk.
    pub const DISK_FULL: Self = Self::win32(112);
    /// Cannot create a file when that file already exists.
    pub const ALREADY_EXISTS: Self = Self::win32(183);
    /// The registry is corrupted.
    pub const REGISTRY_CORRUPT: Self = Self::win32(1015);
    /// Element not found.
    pub const NOT_FOUND: Self = Self::win32(1168);
    /// The operation was cancelled by the user.
    pub const CANCELLED: Self = Self::win32(1223);
    /// The file or directory is corrupted and unreadable.
    pub const FILE_CORRUPT: Self = Self::win32(1392);
    /// Success, but the image asks for a restart.
    pub const RESTART_REQUIRED: Self = Self::win32(3010);

    /// Wraps a Win32 error number.
    pub const fn win32(number: u16) -> Self {
        Self(0x8007_0000 | number as u32)
    }

    /// The Win32 error number, when the facility is Win32.
    pub fn as_win32(self) -> Option<u16> {
        (self.0 >> 16 == 0x8007).then_some((self.0 & 0xFFFF) as u16)
    }

    /// The process exit status on Linux: Win32 numbers below 125 as they are, else 1.
    pub fn exit_status(self) -> u8 {
        match self.as_win32() {
            Some(3010) => 0,
            Some(number) if (1..125).contains(&number) => number as u8,
            _ => 1,
        }
    }
}

/// As DISM prints it: decimal for Win32 errors, `0x` and lower-case hex otherwise.
impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_win32() {
            Some(number) => write!(formatter, "{number}"),
            None => write!(formatter, "0x{:08x}", self.0),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Code(0x{:08x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_and_exited_as_dism_does() {
        assert_eq!(Code::INVALID_PARAMETER.to_string(), "87");
        assert_eq!(Code(0x800F_081E).to_string(), "0x800f081e");
        assert_eq!(Code(0xE000_0100).to_string(), "0xe0000100");
        assert_eq!(Code::INVALID_PARAMETER.exit_status(), 87);
        assert_eq!(Code::NOT_FOUND.exit_status(), 1);
        assert_eq!(Code(0x800F_081E).exit_status(), 1);
        assert_eq!(Code::RESTART_REQUIRED.exit_status(), 0);
    }
}
