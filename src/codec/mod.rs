// SPDX-License-Identifier: GPL-3.0-or-later
//! The block codecs of WIM files: XPRESS (Huffman), LZX and LZMS, as pure functions over slices.
//!
//! Every block stands alone. The encoders and decoders are wimlib's (crate `wimlib-sys`); they
//! keep tables of up to some megabytes, so each thread keeps those it used last for its next
//! block.
//!
//! Microsoft's LZX encoder emits uncompressed blocks, which wimlib's never does; where such a
//! block starts on a 16-bit boundary the reader still skips 16 bits. wimlib's decoder, used here,
//! knows that; an own decoder would have to.

#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod ffi;

use std::cell::RefCell;
use std::fmt;

use crate::base::{Error, ErrorClass};

/// A block codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// LZ77 with one Huffman code per block (MS-XCA).
    Xpress,
    /// LZ77 with several Huffman codes and x86 call translation.
    Lzx,
    /// LZ77 with range coding and delta matches.
    Lzms,
}

impl Codec {
    /// The smallest and the largest block that WIM files use with it.
    pub fn block_sizes(self) -> std::ops::RangeInclusive<u32> {
        match self {
            Self::Xpress => 1 << 12..=1 << 16,
            Self::Lzx => 1 << 15..=1 << 21,
            Self::Lzms => 1 << 15..=1 << 30,
        }
    }
}

impl Codec {
    /// The number that stands for it in the header of a solid resource.
    pub fn solid_number(self) -> u32 {
        match self {
            Self::Xpress => 1,
            Self::Lzx => 2,
            Self::Lzms => 3,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Xpress => "XPRESS",
            Self::Lzx => "LZX",
            Self::Lzms => "LZMS",
        })
    }
}

/// How much work the encoder spends: 10 is quick, 50 usual, 100 thorough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Level(pub u32);

impl Default for Level {
    /// wimlib's own default for every codec.
    fn default() -> Self {
        Self(50)
    }
}

/// What can go wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes do not decode to the length that they should have.
    #[error("{codec} block of {input} bytes does not decode to {output} bytes")]
    Damaged {
        /// How it was said to be encoded.
        codec: Codec,
        /// Encoded length.
        input: usize,
        /// Expected decoded length.
        output: usize,
    },
    /// The block is larger than was announced.
    #[error("{codec} block of {length} bytes is larger than the maximum of {maximum}")]
    TooLarge {
        /// The codec.
        codec: Codec,
        /// Decoded length.
        length: usize,
        /// The announced maximum.
        maximum: u32,
    },
    /// wimlib refuses such blocks, or there is no memory for its tables.
    #[error("the {codec} codec is not available for blocks of {maximum} bytes (wimlib error {number})")]
    Unavailable {
        /// The codec.
        codec: Codec,
        /// The largest block it should serve.
        maximum: u32,
        /// wimlib's error number.
        number: i64,
    },
}

impl From<CodecError> for Error {
    fn from(error: CodecError) -> Self {
        let class = match error {
            CodecError::Damaged { .. } | CodecError::TooLarge { .. } => ErrorClass::Corrupt,
            CodecError::Unavailable { .. } => ErrorClass::Unsupported,
        };
        Self::new(class, error.to_string())
    }
}

/// How many objects a thread keeps of each kind.
const KEPT_PER_THREAD: usize = 3;

/// Encoders of larger blocks are not kept: each takes several times its block.
const KEPT_MAXIMUM: u32 = 4 << 20;

type Kept<K, T> = RefCell<Vec<(K, T)>>;

thread_local! {
    static COMPRESSORS: Kept<(Codec, u32, u32), ffi::RawCompressor> = const { RefCell::new(Vec::new()) };
    static DECOMPRESSORS: Kept<(Codec, u32), ffi::RawDecompressor> = const { RefCell::new(Vec::new()) };
}

/// Uses the object kept under `key`, or a new one, and keeps it as the most recent.
fn with_kept<K: PartialEq + Copy, T, R>(
    kept: &'static std::thread::LocalKey<Kept<K, T>>,
    key: K,
    create: impl FnOnce() -> Result<T, CodecError>,
    work: impl FnOnce(&mut T) -> R,
) -> Result<R, CodecError> {
    // Taken out while it works, so that nothing is borrowed meanwhile.
    let found = kept.with_borrow_mut(|list| {
        let position = list.iter().position(|(other, _)| *other == key)?;
        Some(list.remove(position).1)
    });
    let mut object = match found {
        Some(object) => object,
        None => create()?,
    };
    let result = work(&mut object);
    kept.with_borrow_mut(|list| {
        if list.len() >= KEPT_PER_THREAD {
            list.remove(0);
        }
        list.push((key, object));
    });
    Ok(result)
}

/// Encodes one block of at most `maximum` bytes into `output`.
///
/// Gives the encoded length, or nothing when it does not fit: with `output` one byte shorter than
/// `input`, nothing means "store it as it is".
///
/// # Errors
/// [`CodecError::TooLarge`] and [`CodecError::Unavailable`].
pub fn compress(
    codec: Codec,
    level: Level,
    maximum: u32,
    input: &[u8],
    output: &mut [u8],
) -> Result<Option<usize>, CodecError> {
    if !fits(input.len(), maximum) {
        return Err(CodecError::TooLarge { codec, length: input.len(), maximum });
    }
    let create =
        || {
            ffi::RawCompressor::new(codec, maximum as usize, level.0)
                .map_err(|number| CodecError::Unavailable { codec, maximum, number })
        };
    if maximum > KEPT_MAXIMUM {
        return Ok(create()?.compress(input, output));
    }
    with_kept(&COMPRESSORS, (codec, maximum, level.0), create, |compressor| {
        compressor.compress(input, output)
    })
}

/// The memory that [`compress`] takes beside input and output.
pub fn encoder_memory(codec: Codec, level: Level, maximum: u32) -> u64 {
    ffi::RawCompressor::needed_memory(codec, maximum as usize, level.0)
}

/// Decodes one block into `output`, whose length is the exact decoded length.
///
/// # Errors
/// [`CodecError::Damaged`], [`CodecError::TooLarge`] and [`CodecError::Unavailable`].
pub fn decompress(codec: Codec, maximum: u32, input: &[u8], output: &mut [u8]) -> Result<(), CodecError> {
    if !fits(output.len(), maximum) {
        return Err(CodecError::TooLarge { codec, length: output.len(), maximum });
    }
    let sound = with_kept(
        &DECOMPRESSORS,
        (codec, maximum),
        || {
            ffi::RawDecompressor::new(codec, maximum as usize).map_err(|number| CodecError::Unavailable {
                codec,
                maximum,
                number,
            })
        },
        |decompressor| decompressor.decompress(input, output),
    )?;
    if sound { Ok(()) } else { Err(CodecError::Damaged { codec, input: input.len(), output: output.len() }) }
}

fn fits(length: usize, maximum: u32) -> bool {
    u32::try_from(length).is_ok_and(|length| length <= maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [(Codec, &[u32]); 3] = [
        (Codec::Xpress, &[1 << 12, 1 << 13, 1 << 15, 1 << 16]),
        (Codec::Lzx, &[1 << 15, 1 << 16, 1 << 21]),
        (Codec::Lzms, &[1 << 15, 1 << 17, 1 << 20]),
    ];

    /// Compressible but not trivial, x86 calls included.
    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1u32;
        (0..length)
            .map(|at| {
                state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                match at % 16 {
                    0 => 0xE8,
                    1..=3 => (state >> 24) as u8 & 7,
                    other => other as u8,
                }
            })
            .collect()
    }

    #[test]
    fn every_codec_and_size_round_trips() {
        for (codec, sizes) in KINDS {
            for &size in sizes {
                for length in [1, 2, 100, size as usize - 1, size as usize] {
                    let input = sample(length);
                    let mut packed = vec![0; length + 512];
                    let Some(used) = compress(codec, Level::default(), size, &input, &mut packed).unwrap()
                    else {
                        assert!(length <= 2, "{codec} {size} {length}");
                        continue;
                    };
                    let mut output = vec![0; length];
                    decompress(codec, size, &packed[..used], &mut output).unwrap();
                    assert!(output == input, "{codec} {size} {length}");
                }
            }
        }
    }

    #[test]
    fn noise_does_not_fit() {
        let mut state = 7u64;
        let noise: Vec<u8> = (0..32768)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        for codec in [Codec::Xpress, Codec::Lzx, Codec::Lzms] {
            let mut packed = vec![0; noise.len() - 1];
            assert_eq!(compress(codec, Level::default(), 32768, &noise, &mut packed), Ok(None));
        }
    }

    #[test]
    fn damaged_and_oversized_blocks_are_errors() {
        for (codec, sizes) in KINDS {
            let size = sizes[0];
            let input = sample(size as usize);
            let mut packed = vec![0; input.len()];
            let used = compress(codec, Level(20), size, &input, &mut packed).unwrap().unwrap();
            let mut output = vec![0; input.len()];
            assert_eq!(
                decompress(codec, size, &[], &mut output),
                Err(CodecError::Damaged { codec, input: 0, output: input.len() })
            );
            let mut bad = packed[..used].to_vec();
            bad.iter_mut().take(40).for_each(|byte| *byte = 0xFF);
            let outcome = decompress(codec, size, &bad, &mut output);
            assert!(outcome.is_err() || output != input, "{codec}");
            let mut long = vec![0; size as usize + 1];
            assert_eq!(
                decompress(codec, size, &packed[..used], &mut long),
                Err(CodecError::TooLarge { codec, length: long.len(), maximum: size })
            );
        }
        let refused = decompress(Codec::Xpress, 1 << 20, &[0; 16], &mut [0; 16]);
        assert!(matches!(refused, Err(CodecError::Unavailable { .. })), "{refused:?}");
    }

    #[test]
    fn threads_work_at_once() {
        std::thread::scope(|scope| {
            for codec in [Codec::Xpress, Codec::Lzx, Codec::Lzms, Codec::Lzx] {
                scope.spawn(move || {
                    for length in [5000, 20000, 32768] {
                        let input = sample(length);
                        let mut packed = vec![0; length];
                        let used =
                            compress(codec, Level::default(), 32768, &input, &mut packed).unwrap().unwrap();
                        let mut output = vec![0; length];
                        decompress(codec, 32768, &packed[..used], &mut output).unwrap();
                        assert_eq!(output, input);
                    }
                });
            }
        });
    }
}
