// SPDX-License-Identifier: GPL-3.0-or-later
//! Security identifiers and self-relative security descriptors, as bytes.
