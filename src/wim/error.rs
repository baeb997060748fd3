// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with a WIM file or with a request about one.

use crate::base::{BlobHash, Code, Error, ErrorClass};
use crate::codec::CodecError;
use crate::xml::XmlError;

/// Why a WIM cannot be read or changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WimError {
    /// The first bytes are not those of a WIM.
    #[error("{path} is not a WIM file")]
    NotWim {
        /// The file.
        path: String,
    },
    /// The tables that the header names lie behind the end of the file.
    #[error("{path} is cut off: it ends at byte {length}, its tables reach to byte {needed}")]
    Truncated {
        /// The file.
        path: String,
        /// Its length.
        length: u64,
        /// Where the last table ends.
        needed: u64,
    },
    /// A version that was never released, or is newer than this program.
    #[error("{path} has WIM version 0x{version:x}, which is not supported")]
    Version {
        /// The file.
        path: String,
        /// The version field.
        version: u32,
    },
    /// The data is encrypted.
    #[error("{path} is an encrypted ESD")]
    Encrypted {
        /// The file.
        path: String,
    },
    /// A structure does not obey its rules.
    #[error("{what} at offset {offset} is damaged: expected {expected}, found {found}")]
    Damaged {
        /// The structure or field.
        what: &'static str,
        /// Byte offset in the file.
        offset: u64,
        /// The rule.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A structure of an image's metadata does not obey its rules.
    #[error("image {image}: {what} at offset {offset} of the metadata is damaged: {message}")]
    Metadata {
        /// The image's number.
        image: u32,
        /// The structure or field.
        what: &'static str,
        /// Byte offset in the uncompressed metadata.
        offset: u64,
        /// What is wrong with it.
        message: String,
    },
    /// A block does not decode.
    #[error("chunk {chunk} of the resource at offset {offset}: {source}")]
    Chunk {
        /// Where the resource begins.
        offset: u64,
        /// Number of the chunk, from 0.
        chunk: u64,
        /// What the codec says.
        source: CodecError,
    },
    /// The bytes read are not those that the table names.
    #[error("{what} at offset {offset} has SHA-1 {found}, expected {expected}")]
    Hash {
        /// Blob or metadata.
        what: String,
        /// Where the resource begins.
        offset: u64,
        /// What the blob table says.
        expected: BlobHash,
        /// What the bytes give.
        found: BlobHash,
    },
    /// The XML is not well formed.
    #[error("the XML data at offset {offset}: {source}")]
    Xml {
        /// Where the XML begins.
        offset: u64,
        /// What the parser says.
        source: XmlError,
    },
    /// There is no such image.
    #[error("{path} has no image {index}: it holds {count}")]
    NoImage {
        /// The file.
        path: String,
        /// What was asked for.
        index: u32,
        /// How many there are.
        count: u32,
    },
    /// The blob is not in the file's table.
    #[error("{path} does not hold the data with SHA-1 {hash}")]
    NoBlob {
        /// The file.
        path: String,
        /// What was asked for.
        hash: BlobHash,
    },
    /// What was asked for lies in another part of a split set.
    #[error("{what} is in {part} of the split set, and {path} is part {number} of {total}")]
    OtherPart {
        /// What was asked for.
        what: String,
        /// "part 2" or "another part".
        part: String,
        /// The file.
        path: String,
        /// Its part number.
        number: u16,
        /// How many parts there are.
        total: u16,
    },
    /// The file must not or cannot be changed in place.
    #[error("{path} cannot be changed: {reason}")]
    NotWritable {
        /// The file.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// The image that the edits were made against is not there any more.
    #[error("{path}: the image with metadata {metadata} was changed or removed by somebody else")]
    ImageGone {
        /// The file.
        path: String,
        /// The identity of the image.
        metadata: BlobHash,
    },
    /// Two images have the same metadata and nothing says which is meant.
    #[error("{path}: images {first} and {second} have the same metadata {metadata}")]
    Ambiguous {
        /// The file.
        path: String,
        /// The identity of both.
        metadata: BlobHash,
        /// One of them.
        first: u32,
        /// Another.
        second: u32,
    },
    /// A stream's bytes changed while they were being written.
    #[error("new data changed while it was being committed (expected SHA-1 {expected}, found {found})")]
    Unstable {
        /// What the first reading gave.
        expected: BlobHash,
        /// What the second reading gave.
        found: BlobHash,
    },
    /// No image would be left.
    #[error("{path}: its last image cannot be deleted")]
    LastImage {
        /// The file.
        path: String,
    },
    /// Another image has the name.
    #[error("{path} holds an image named {name:?} already")]
    NameTaken {
        /// The file.
        path: String,
        /// The name.
        name: String,
    },
    /// The edits cannot be written as WIM metadata.
    #[error("the edits of image {image} cannot be written: {message}")]
    Edit {
        /// The image's number.
        image: u32,
        /// Which rule they break.
        message: String,
    },
}

impl From<WimError> for Error {
    fn from(error: WimError) -> Self {
        let message = error.to_string();
        match error {
            WimError::NotWim { .. } => Self::new(ErrorClass::Corrupt, message)
                .with_code(Code::BAD_FORMAT)
                .with_hint("name a .wim or .esd file"),
            WimError::Truncated { .. } => Self::new(ErrorClass::Corrupt, message)
                .with_hint("fetch or copy the file again: its end is missing"),
            WimError::Version { .. } => Self::new(ErrorClass::Unsupported, message)
                .with_hint("only the format of Windows Vista and later (version 0x10d00 or 0xe00) is read"),
            WimError::Encrypted { .. } => Self::new(ErrorClass::Unsupported, message)
                .with_hint("decrypt it with the tool that downloaded it, then use the result"),
            WimError::Damaged { .. }
            | WimError::Metadata { .. }
            | WimError::Chunk { .. }
            | WimError::Hash { .. }
            | WimError::Xml { .. } => Self::new(ErrorClass::Corrupt, message)
                .with_hint("check the file with `transom image verify`; get a fresh copy if it is damaged"),
            WimError::NoImage { count, .. } => Self::new(ErrorClass::Usage, message).with_hint(match count {
                0 => "the file holds no image".to_owned(),
                1 => "the only index is 1".to_owned(),
                count => format!("the index must be between 1 and {count}"),
            }),
            WimError::NoBlob { .. } => Self::new(ErrorClass::NotFound, message)
                .with_hint("the file is incomplete; check it with `transom image verify`"),
            WimError::OtherPart { .. } => Self::new(ErrorClass::Unsupported, message)
                .with_hint("join the parts first: wimlib-imagex join all.wim first.swm 'first*.swm'"),
            WimError::NotWritable { .. } => Self::new(ErrorClass::Unsupported, message)
                .with_code(Code::ACCESS_DENIED)
                .with_hint("export the images into a new file and change that"),
            WimError::ImageGone { .. } => Self::new(ErrorClass::Busy, message)
                .with_code(Code::INVALID_DATA)
                .with_hint("nothing was written; repeat the command on the current image"),
            WimError::Ambiguous { .. } => {
                Self::new(ErrorClass::Usage, message).with_hint("say which image is meant by its index")
            }
            WimError::Unstable { .. } => Self::new(ErrorClass::Busy, message)
                .with_hint("nothing was written; repeat the command once nobody else writes to the image"),
            WimError::LastImage { .. } => Self::new(ErrorClass::Usage, message)
                .with_hint("remove the file itself; a WIM without images is of no use"),
            WimError::NameTaken { .. } => Self::new(ErrorClass::Usage, message)
                .with_code(Code::ALREADY_EXISTS)
                .with_hint("give it another name with --name (/DestinationName)"),
            WimError::Edit { .. } => Self::new(ErrorClass::Usage, message),
        }
    }
}
