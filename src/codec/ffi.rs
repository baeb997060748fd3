// SPDX-License-Identifier: GPL-3.0-or-later
//! The boundary to wimlib's codecs: the only place of the crate with `unsafe`.
//!
//! What wimlib promises (wimlib.h, group "Compression and decompression functions"): an object
//! serves any number of calls, one at a time; sizes above the object's maximum are refused; the
//! input is only read, the output never written beyond the given size. The library's global
//! state must be set up once, before the first object, by one thread.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;

use wimlib_sys as sys;

use super::Codec;

fn number(codec: Codec) -> sys::wimlib_compression_type {
    match codec {
        Codec::Xpress => sys::wimlib_compression_type_WIMLIB_COMPRESSION_TYPE_XPRESS,
        Codec::Lzx => sys::wimlib_compression_type_WIMLIB_COMPRESSION_TYPE_LZX,
        Codec::Lzms => sys::wimlib_compression_type_WIMLIB_COMPRESSION_TYPE_LZMS,
    }
}

/// Sets up wimlib's global state, once for the process; concurrent callers wait for the first.
fn set_up() -> Result<(), i64> {
    static OUTCOME: OnceLock<c_int> = OnceLock::new();
    let outcome = *OUTCOME.get_or_init(|| {
        // SAFETY: takes no pointer; `OnceLock` lets exactly one thread in, before any other call.
        unsafe { sys::wimlib_global_init(sys::WIMLIB_INIT_FLAG_ASSUME_UTF8 as c_int) }
    });
    if outcome == 0 { Ok(()) } else { Err(outcome.into()) }
}

/// An encoder for blocks up to a fixed size.
#[derive(Debug)]
pub(super) struct RawCompressor(NonNull<sys::wimlib_compressor>);

// SAFETY: the object is plain memory without thread affinity, owned by this value alone, and
// every use takes `&mut self`.
unsafe impl Send for RawCompressor {}

impl RawCompressor {
    /// The error is wimlib's number.
    pub(super) fn new(codec: Codec, maximum: usize, level: u32) -> Result<Self, i64> {
        set_up()?;
        let mut handle = ptr::null_mut();
        // SAFETY: `handle` is a valid place for the result; the other arguments are numbers that
        // wimlib checks itself.
        let outcome =
            unsafe { sys::wimlib_create_compressor(number(codec), maximum, level, &raw mut handle) };
        if outcome != 0 {
            return Err(outcome.into());
        }
        NonNull::new(handle).map(Self).ok_or(-1)
    }

    /// The bytes that such an object takes, without input and output; zero when there is none.
    pub(super) fn needed_memory(codec: Codec, maximum: usize, level: u32) -> u64 {
        // SAFETY: takes numbers only, which wimlib checks itself.
        unsafe { sys::wimlib_get_compressor_needed_memory(number(codec), maximum, level) }
    }

    /// The length of the encoded block, or nothing when it does not fit into `output`.
    pub(super) fn compress(&mut self, input: &[u8], output: &mut [u8]) -> Option<usize> {
        // SAFETY: both ranges are valid for their lengths, do not overlap (one is borrowed
        // exclusively), and the handle is live until `drop`.
        let length = unsafe {
            sys::wimlib_compress(
                input.as_ptr().cast(),
                input.len(),
                output.as_mut_ptr().cast(),
                output.len(),
                self.0.as_ptr(),
            )
        };
        (length != 0 && length <= output.len()).then_some(length)
    }
}

impl Drop for RawCompressor {
    fn drop(&mut self) {
        // SAFETY: the handle came from `wimlib_create_compressor` and is freed only here.
        unsafe { sys::wimlib_free_compressor(self.0.as_ptr()) }
    }
}

/// A decoder for blocks up to a fixed size.
#[derive(Debug)]
pub(super) struct RawDecompressor(NonNull<sys::wimlib_decompressor>);

// SAFETY: as for `RawCompressor`.
unsafe impl Send for RawDecompressor {}

impl RawDecompressor {
    /// The error is wimlib's number.
    pub(super) fn new(codec: Codec, maximum: usize) -> Result<Self, i64> {
        set_up()?;
        let mut handle = ptr::null_mut();
        // SAFETY: as in `RawCompressor::new`.
        let outcome = unsafe { sys::wimlib_create_decompressor(number(codec), maximum, &raw mut handle) };
        if outcome != 0 {
            return Err(outcome.into());
        }
        NonNull::new(handle).map(Self).ok_or(-1)
    }

    /// Fills `output` exactly; false when the block is damaged.
    pub(super) fn decompress(&mut self, input: &[u8], output: &mut [u8]) -> bool {
        // SAFETY: as in `RawCompressor::compress`; the caller has checked that `output` is not
        // longer than the maximum, and wimlib checks it again.
        let outcome = unsafe {
            sys::wimlib_decompress(
                input.as_ptr().cast(),
                input.len(),
                output.as_mut_ptr().cast(),
                output.len(),
                self.0.as_ptr(),
            )
        };
        outcome == 0
    }
}

impl Drop for RawDecompressor {
    fn drop(&mut self) {
        // SAFETY: the handle came from `wimlib_create_decompressor` and is freed only here.
        unsafe { sys::wimlib_free_decompressor(self.0.as_ptr()) }
    }
}
