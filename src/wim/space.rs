// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether what is to be written can fit at all, before any of it is.
//!
//! What is copied or not compressed has a known length. How far the rest will shrink is estimated
//! from some chunks of it, generously; of streams of one length, which may be the same, one counts.
//! So what is refused would have failed hours later, and what fits is not refused. What is not
//! refused and does not fit fails when the disk is full, and leaves everything as it was.

use std::collections::HashSet;
use std::path::Path;

use super::blob_writer::{Job, Present};
use super::header::Compression;
use crate::base::{Error, ErrorClass, Result};
use crate::codec::{self, Codec, Level};
use crate::io::{free_space, read_vec};

/// How many chunks are compressed to see how they shrink, and their length.
const SAMPLES: u64 = 64;
const SAMPLE: u32 = 1 << 15;
/// Parts of a hundred that better codecs leave of what the quick one leaves, at the least.
const LEFT: u64 = 70;
const LEFT_SOLID: u64 = 25;

/// How new data is stored.
#[derive(Clone, Copy)]
pub(super) enum Stored {
    AsItIs,
    Compressed,
    Solid,
}

impl Stored {
    pub(super) fn new(compression: Option<Compression>, solid: Option<Compression>) -> Self {
        match (compression, solid) {
            (_, Some(_)) => Self::Solid,
            (Some(_), None) => Self::Compressed,
            (None, None) => Self::AsItIs,
        }
    }
}

/// Fails when `certain` bytes and the new data of `jobs` cannot fit beside (or behind) `path`.
pub(super) fn check(
    path: &Path,
    certain: u64,
    jobs: &[Job],
    present: Present<'_>,
    stored: Stored,
) -> Result<()> {
    match free_space(path) {
        Some(free) => against(path, free, certain, jobs, present, stored),
        None => Ok(()),
    }
}

fn against(
    path: &Path,
    free: u64,
    certain: u64,
    jobs: &[Job],
    present: Present<'_>,
    stored: Stored,
) -> Result<()> {
    let mut lengths = HashSet::new();
    let distinct: Vec<&Job> = jobs
        .iter()
        .filter(|job| job.base.is_none() && !(present.length)(job.content.len()))
        .filter(|job| lengths.insert(job.content.len()))
        .collect();
    let whole = distinct.iter().fold(0, |sum: u64, job| sum.saturating_add(job.content.len()));
    if certain.saturating_add(whole) <= free {
        return Ok(());
    }
    let new = match stored {
        Stored::AsItIs => whole,
        Stored::Compressed => shrunk(&distinct, whole, LEFT)?,
        Stored::Solid => shrunk(&distinct, whole, LEFT_SOLID)?,
    };
    let needed = certain.saturating_add(new);
    if needed <= free {
        return Ok(());
    }
    Err(Error::new(
        ErrorClass::Space,
        format!("{} needs at least {needed} bytes, and {free} are free there", path.display()),
    )
    .with_hint("make room, or name a destination on another disk; nothing was written"))
}

/// The length to which data of `whole` bytes shrinks at the best.
fn shrunk(jobs: &[&Job], whole: u64, left: u64) -> Result<u64> {
    let step = (whole / SAMPLES).max(1);
    let (mut read, mut packed) = (0u64, 0u64);
    let (mut begin, mut next) = (0u64, 0u64);
    for job in jobs {
        let end = begin.saturating_add(job.content.len());
        while next < end {
            let offset = next - begin;
            let length = u64::from(SAMPLE).min(job.content.len() - offset);
            let bytes = read_vec(&*job.content, offset, length)?;
            let mut output = vec![0; bytes.len().saturating_sub(1)];
            let used = match job.plain {
                true => None,
                false => codec::compress(Codec::Xpress, Level(20), SAMPLE, &bytes, &mut output)?,
            };
            read += length;
            packed += used.map_or(length, |used| used as u64 * left / 100);
            next = next.saturating_add(step);
        }
        begin = end;
    }
    let shrunk = u128::from(whole) * u128::from(packed) / u128::from(read.max(1));
    Ok(u64::try_from(shrunk).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn verdict(free: u64, certain: u64, streams: &[Vec<u8>], stored: Stored) -> Result<()> {
        let jobs: Vec<Job> = streams.iter().map(|bytes| Job::new(Arc::new(bytes.clone()))).collect();
        against(Path::new("x.wim"), free, certain, &jobs, Present::NOTHING, stored)
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 7u64;
        let step = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..length).map(step).collect()
    }

    #[test]
    fn refused_only_when_it_cannot_fit() {
        let (text, random) = (vec![b'a'; 1_000_000], noise(1_000_000));
        type Case<'a> = (u64, u64, &'a [Vec<u8>], Stored, bool);
        let cases: [Case<'_>; 9] = [
            (999_999, 0, std::slice::from_ref(&text), Stored::AsItIs, false),
            (1_000_000, 0, std::slice::from_ref(&text), Stored::AsItIs, true),
            (1_000_000, 1, std::slice::from_ref(&text), Stored::AsItIs, false),
            (100_000, 0, std::slice::from_ref(&text), Stored::Compressed, true),
            (900_000, 0, std::slice::from_ref(&random), Stored::Compressed, false),
            (900_000, 0, std::slice::from_ref(&random), Stored::Solid, false),
            // They may be the same.
            (1_000_000, 0, &[random.clone(), random.clone()], Stored::AsItIs, true),
            (1_000_000, 0, &[random.clone(), random[1..].to_vec()], Stored::AsItIs, false),
            (10, 11, &[], Stored::Compressed, false),
        ];
        for (number, (free, certain, streams, stored, fits)) in cases.into_iter().enumerate() {
            let outcome = verdict(free, certain, streams, stored);
            assert_eq!(outcome.is_ok(), fits, "case {number}");
            if let Err(error) = outcome {
                assert_eq!(error.code().to_string(), "112", "case {number}");
            }
        }
    }
}
