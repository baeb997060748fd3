// SPDX-License-Identifier: GPL-3.0-or-later
//! Security identifiers and self-relative security descriptors, as bytes.
//!
//! All numbers are little-endian but for a SID's authority. Source: MS-DTYP 2.4.2 (SID), 2.4.4
//! (ACE), 2.4.5 (ACL), 2.4.6 (SECURITY_DESCRIPTOR).
//!
//! Security descriptor (20 bytes, then its parts):
//!
//! | offset | size | name | meaning |
//! |---|---|---|---|
//! | 0 | 1 | revision | 1 |
//! | 1 | 1 | sbz1 | resource-manager control bits, 0 |
//! | 2 | 2 | control | [`Control`]; `SELF_RELATIVE` is set |
//! | 4 | 4 | owner | offset of a SID, 0 = none |
//! | 8 | 4 | group | offset of a SID, 0 = none |
//! | 12 | 4 | SACL | offset of an ACL, 0 = none |
//! | 16 | 4 | DACL | offset of an ACL, 0 = none (with `DACL_PRESENT`: everybody may do everything) |
//!
//! ACL: `u8 revision (2, or 4 with object ACEs) | u8 0 | u16 size | u16 ACE count | u16 0`.
//! ACE: `u8 type | u8 flags | u16 size | u32 mask | ...`; a SID follows the mask, in object ACEs
//! after a `u32` and up to two GUIDs. SID: `u8 1 | u8 n | 6-byte authority | n * u32`.
//!
//! Windows writes the parts in the order SACL, DACL, owner, group; so do we.

use std::fmt;
use std::str::FromStr;

use super::{Error, ErrorClass, NodeKind, Result};

/// Most sub-authorities a SID can have.
const MAX_SUB_AUTHORITIES: usize = 15;
const DESCRIPTOR_HEADER: usize = 20;
const ACL_HEADER: usize = 8;
const ACE_HEADER: usize = 4;

/// A security identifier: who.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid {
    authority: u64,
    count: u8,
    sub_authorities: [u32; MAX_SUB_AUTHORITIES],
}

impl Sid {
    /// Everyone.
    pub const EVERYONE: Self = Self::well_known(1, [0]);
    /// Replaced by the owner of a new object when it is inherited.
    pub const CREATOR_OWNER: Self = Self::well_known(3, [0]);
    /// Replaced by the primary group of a new object when it is inherited.
    pub const CREATOR_GROUP: Self = Self::well_known(3, [1]);
    /// The present owner of an object.
    pub const OWNER_RIGHTS: Self = Self::well_known(3, [4]);
    /// Authenticated users.
    pub const AUTHENTICATED_USERS: Self = Self::well_known(5, [11]);
    /// The operating system itself.
    pub const LOCAL_SYSTEM: Self = Self::well_known(5, [18]);
    /// The local service account.
    pub const LOCAL_SERVICE: Self = Self::well_known(5, [19]);
    /// The network service account.
    pub const NETWORK_SERVICE: Self = Self::well_known(5, [20]);
    /// Administrators of the machine.
    pub const ADMINISTRATORS: Self = Self::well_known(5, [32, 544]);
    /// Users of the machine.
    pub const USERS: Self = Self::well_known(5, [32, 545]);
    /// The Windows Modules Installer service, owner of what Windows protects.
    pub const TRUSTED_INSTALLER: Self =
        Self::well_known(5, [80, 956_008_885, 3_418_522_649, 1_831_038_044, 1_853_292_631, 2_271_478_464]);
    /// Every app package.
    pub const ALL_APP_PACKAGES: Self = Self::well_known(15, [2, 1]);
    /// Every restricted app package.
    pub const ALL_RESTRICTED_APP_PACKAGES: Self = Self::well_known(15, [2, 2]);

    pub(super) const fn well_known<const N: usize>(authority: u64, values: [u32; N]) -> Self {
        assert!(N <= MAX_SUB_AUTHORITIES);
        let mut sub_authorities = [0; MAX_SUB_AUTHORITIES];
        let mut position = 0;
        while position < N {
            sub_authorities[position] = values[position];
            position += 1;
        }
        Self { authority, count: N as u8, sub_authorities }
    }

    /// A SID of its parts; nothing when the authority has more than 48 bits or there are more than
    /// 15 sub-authorities.
    pub fn new(authority: u64, sub_authorities: &[u32]) -> Option<Self> {
        let mut values = [0; MAX_SUB_AUTHORITIES];
        values.get_mut(..sub_authorities.len())?.copy_from_slice(sub_authorities);
        let count = u8::try_from(sub_authorities.len()).ok()?;
        (authority < 1 << 48).then_some(Self { authority, count, sub_authorities: values })
    }

    /// The 48-bit authority.
    pub fn authority(&self) -> u64 {
        self.authority
    }

    /// The sub-authorities.
    pub fn sub_authorities(&self) -> &[u32] {
        self.sub_authorities.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// Reads the SID at the start of `bytes`; what follows it is not looked at.
    ///
    /// # Errors
    /// `Corrupt` when it is cut short, of another revision or too long.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let short = || corrupt("a SID is cut short");
        let (&[revision, count], rest) = bytes.split_first_chunk().ok_or_else(short)?;
        if revision != 1 || usize::from(count) > MAX_SUB_AUTHORITIES {
            return Err(corrupt(format!("a SID has revision {revision} and {count} sub-authorities")));
        }
        let (authority, rest) = rest.split_first_chunk::<6>().ok_or_else(short)?;
        let authority = authority.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
        let values = rest.get(..usize::from(count) * 4).ok_or_else(short)?;
        let mut sub_authorities = [0; MAX_SUB_AUTHORITIES];
        for (slot, value) in sub_authorities.iter_mut().zip(values.as_chunks::<4>().0) {
            *slot = u32::from_le_bytes(*value);
        }
        Ok(Self { authority, count, sub_authorities })
    }

    /// The bytes of the SID.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![1, self.count];
        bytes.extend(self.authority.to_be_bytes().iter().skip(2));
        bytes.extend(self.sub_authorities().iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }
}

/// `S-1-5-32-544`; an authority of 2^32 and more in hexadecimal, as Windows prints it.
impl fmt::Display for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.authority) {
            Ok(authority) => write!(formatter, "S-1-{authority}")?,
            Err(_) => write!(formatter, "S-1-0x{:012X}", self.authority)?,
        }
        self.sub_authorities().iter().try_for_each(|value| write!(formatter, "-{value}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Sid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::new(ErrorClass::Usage, format!("{text} is not a security identifier"));
        let number = |part: &str| -> Option<u64> {
            match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => part.parse().ok(),
            }
        };
        let mut parts = text.split('-');
        if !parts.next().is_some_and(|part| part.eq_ignore_ascii_case("S")) || parts.next() != Some("1") {
            return Err(invalid());
        }
        let authority = parts.next().and_then(number).ok_or_else(invalid)?;
        let values: Option<Vec<u32>> =
            parts.map(|part| number(part).and_then(|value| u32::try_from(value).ok())).collect();
        Self::new(authority, &values.ok_or_else(invalid)?).ok_or_else(invalid)
    }
}

bitflags::bitflags! {
    /// Control bits of a security descriptor.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Control: u16 {
        /// The owner was filled in by default.
        const OWNER_DEFAULTED = 0x0001;
        /// The group was filled in by default.
        const GROUP_DEFAULTED = 0x0002;
        /// There is a DACL (be it the null one).
        const DACL_PRESENT = 0x0004;
        /// The DACL was filled in by default.
        const DACL_DEFAULTED = 0x0008;
        /// There is a SACL.
        const SACL_PRESENT = 0x0010;
        /// The SACL was filled in by default.
        const SACL_DEFAULTED = 0x0020;
        /// Inheritance into the DACL is asked for.
        const DACL_AUTO_INHERIT_REQUIRED = 0x0100;
        /// Inheritance into the SACL is asked for.
        const SACL_AUTO_INHERIT_REQUIRED = 0x0200;
        /// The DACL was made by inheritance.
        const DACL_AUTO_INHERITED = 0x0400;
        /// The SACL was made by inheritance.
        const SACL_AUTO_INHERITED = 0x0800;
        /// The DACL does not take inherited entries.
        const DACL_PROTECTED = 0x1000;
        /// The SACL does not take inherited entries.
        const SACL_PROTECTED = 0x2000;
        /// Parts follow the header.
        const SELF_RELATIVE = 0x8000;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// Flags of an access-control entry.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AceFlags: u8 {
        /// Files inherit it.
        const OBJECT_INHERIT = 0x01;
        /// Directories inherit it.
        const CONTAINER_INHERIT = 0x02;
        /// It is inherited by children only, not by theirs.
        const NO_PROPAGATE_INHERIT = 0x04;
        /// It does not act where it stands.
        const INHERIT_ONLY = 0x08;
        /// It came from the parent.
        const INHERITED = 0x10;
        /// Successes are audited.
        const SUCCESSFUL_ACCESS = 0x40;
        /// Failures are audited.
        const FAILED_ACCESS = 0x80;
        const _ = !0;
    }
}

impl AceFlags {
    const INHERIT: Self = Self::OBJECT_INHERIT.union(Self::CONTAINER_INHERIT);
}

/// Generic rights, standing for sets of specific ones that depend on the kind of object.
pub mod access {
    /// Everything.
    pub const GENERIC_ALL: u32 = 0x1000_0000;
    /// Executing.
    pub const GENERIC_EXECUTE: u32 = 0x2000_0000;
    /// Writing.
    pub const GENERIC_WRITE: u32 = 0x4000_0000;
    /// Reading.
    pub const GENERIC_READ: u32 = 0x8000_0000;
    /// All generic bits.
    pub const GENERIC: u32 = 0xF000_0000;
}

/// What the generic rights mean for one kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenericMapping {
    /// Specific rights of `GENERIC_READ`.
    pub read: u32,
    /// Specific rights of `GENERIC_WRITE`.
    pub write: u32,
    /// Specific rights of `GENERIC_EXECUTE`.
    pub execute: u32,
    /// Specific rights of `GENERIC_ALL`.
    pub all: u32,
}

impl GenericMapping {
    /// Files and directories.
    pub const FILE: Self =
        Self { read: 0x0012_0089, write: 0x0012_0116, execute: 0x0012_00A0, all: 0x001F_01FF };

    /// Registry keys.
    pub const KEY: Self =
        Self { read: 0x0002_0019, write: 0x0002_0006, execute: 0x0002_0019, all: 0x000F_003F };

    /// The mask with its generic bits replaced by what they mean.
    pub fn map(&self, mask: u32) -> u32 {
        [
            (access::GENERIC_READ, self.read),
            (access::GENERIC_WRITE, self.write),
            (access::GENERIC_EXECUTE, self.execute),
            (access::GENERIC_ALL, self.all),
        ]
        .into_iter()
        .filter(|(bit, _)| mask & bit != 0)
        .fold(mask & !access::GENERIC, |mapped, (_, rights)| mapped | rights)
    }
}

/// `ACE_TYPE`s.
pub mod ace_type {
    /// Allows.
    pub const ACCESS_ALLOWED: u8 = 0x00;
    /// Denies.
    pub const ACCESS_DENIED: u8 = 0x01;
    /// Audits.
    pub const SYSTEM_AUDIT: u8 = 0x02;
    /// Reserved by Microsoft.
    pub const SYSTEM_ALARM: u8 = 0x03;
    /// Allows, for a kind of object.
    pub const ACCESS_ALLOWED_OBJECT: u8 = 0x05;
    /// Denies, for a kind of object.
    pub const ACCESS_DENIED_OBJECT: u8 = 0x06;
    /// Audits, for a kind of object.
    pub const SYSTEM_AUDIT_OBJECT: u8 = 0x07;
    /// Reserved by Microsoft.
    pub const SYSTEM_ALARM_OBJECT: u8 = 0x08;
    /// Integrity level.
    pub const SYSTEM_MANDATORY_LABEL: u8 = 0x11;
    /// The last type known to begin with a mask and a SID.
    pub const SYSTEM_ACCESS_FILTER: u8 = 0x15;
}

/// An access-control entry inside a descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ace<'a> {
    kind: u8,
    flags: AceFlags,
    // What follows the four bytes of the header.
    body: &'a [u8],
}

impl<'a> Ace<'a> {
    /// One of [`ace_type`], or a number of the future.
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// How it is inherited.
    pub fn flags(&self) -> AceFlags {
        self.flags
    }

    /// The rights; nothing in an entry of unknown type.
    pub fn mask(&self) -> Option<u32> {
        self.sid_offset()?;
        self.body.first_chunk().copied().map(u32::from_le_bytes)
    }

    /// Who; nothing in an entry of unknown type.
    pub fn sid(&self) -> Option<Sid> {
        Sid::parse(self.body.get(self.sid_offset()?..)?).ok()
    }

    /// Everything behind the four bytes of the header.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    fn sid_offset(&self) -> Option<usize> {
        match self.kind {
            // The object types, plain and conditional.
            0x05..=0x08 | 0x0B | 0x0C | 0x0F | 0x10 => {
                let present = self.body.get(4..)?.first_chunk().copied().map(u32::from_le_bytes)?;
                Some(8 + 16 * (present & 3).count_ones() as usize)
            }
            // Compound: an entry of its own shape that nobody writes.
            4 => None,
            0..=ace_type::SYSTEM_ACCESS_FILTER => Some(4),
            _ => None,
        }
    }
}

impl fmt::Debug for Ace<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.mask(), self.sid()) {
            (Some(mask), Some(sid)) => {
                write!(formatter, "Ace({:#04x}, {:#04x}, {mask:#x}, {sid})", self.kind, self.flags)
            }
            _ => write!(formatter, "Ace({:#04x}, {:#04x}, {:02x?})", self.kind, self.flags, self.body),
        }
    }
}

/// An access-control list inside a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acl<'a> {
    revision: u8,
    count: u16,
    // The entries; checked when parsed.
    entries: &'a [u8],
}

impl<'a> Acl<'a> {
    /// Reads the list at the start of `bytes`.
    ///
    /// # Errors
    /// `Corrupt` when the list or one of its entries does not fit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let &[revision, _, size_low, size_high, count_low, count_high, _, _] = bytes
            .first_chunk::<ACL_HEADER>()
            .ok_or_else(|| corrupt("an access-control list is cut short"))?;
        let size = u16::from_le_bytes([size_low, size_high]);
        let entries = bytes.get(ACL_HEADER..usize::from(size)).ok_or_else(|| {
            corrupt(format!("an access-control list claims {size} of {} bytes", bytes.len()))
        })?;
        let list = Self { revision, count: u16::from_le_bytes([count_low, count_high]), entries };
        if list.entries().count() != usize::from(list.count) {
            return Err(corrupt(format!("an access-control list does not hold its {} entries", list.count)));
        }
        Ok(list)
    }

    /// 2, or 4 with object entries.
    pub fn revision(&self) -> u8 {
        self.revision
    }

    /// The entries in order.
    pub fn entries(&self) -> impl Iterator<Item = Ace<'a>> + use<'a> {
        let mut rest = self.entries;
        (0..self.count).map_while(move |_| {
            let &[kind, flags, low, high] = rest.first_chunk::<ACE_HEADER>()?;
            let size = usize::from(u16::from_le_bytes([low, high]));
            let body = rest.get(ACE_HEADER..size)?;
            rest = rest.get(size..)?;
            Some(Ace { kind, flags: AceFlags::from_bits_retain(flags), body })
        })
    }
}

/// A self-relative security descriptor, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor<'a> {
    control: Control,
    owner: Option<Sid>,
    group: Option<Sid>,
    sacl: Option<Acl<'a>>,
    dacl: Option<Acl<'a>>,
}

impl<'a> Descriptor<'a> {
    /// Checks and reads a descriptor.
    ///
    /// # Errors
    /// `Corrupt` when an offset or a length does not fit.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let header = bytes.first_chunk::<DESCRIPTOR_HEADER>().ok_or_else(|| {
            corrupt(format!("a security descriptor of {} bytes has no header", bytes.len()))
        })?;
        let &[revision, _, low, high, ref offsets @ ..] = header;
        let control = Control::from_bits_retain(u16::from_le_bytes([low, high]));
        if revision != 1 || !control.contains(Control::SELF_RELATIVE) {
            return Err(corrupt(format!(
                "a security descriptor has revision {revision} and control {:#06x}",
                control.bits()
            )));
        }
        let part = |number: usize, what: &str| -> Result<Option<&'a [u8]>> {
            let offset = offsets.as_chunks::<4>().0.get(number).copied().map_or(0, u32::from_le_bytes);
            if offset == 0 {
                return Ok(None);
            }
            usize::try_from(offset)
                .ok()
                .filter(|&offset| offset >= DESCRIPTOR_HEADER)
                .and_then(|offset| bytes.get(offset..))
                .map(Some)
                .ok_or_else(|| corrupt(format!("a security descriptor's {what} is at offset {offset}")))
        };
        let owner = part(0, "owner")?.map(Sid::parse).transpose()?;
        let group = part(1, "group")?.map(Sid::parse).transpose()?;
        let sacl = part(2, "SACL")?.filter(|_| control.contains(Control::SACL_PRESENT));
        let dacl = part(3, "DACL")?.filter(|_| control.contains(Control::DACL_PRESENT));
        Ok(Self {
            control,
            owner,
            group,
            sacl: sacl.map(Acl::parse).transpose()?,
            dacl: dacl.map(Acl::parse).transpose()?,
        })
    }

    /// The control bits as stored.
    pub fn control(&self) -> Control {
        self.control
    }

    /// The owner.
    pub fn owner(&self) -> Option<Sid> {
        self.owner
    }

    /// The primary group.
    pub fn group(&self) -> Option<Sid> {
        self.group
    }

    /// Audit entries and labels.
    pub fn sacl(&self) -> Option<Acl<'a>> {
        self.sacl
    }

    /// Who may do what. Nothing with [`Control::DACL_PRESENT`] means: everybody everything.
    pub fn dacl(&self) -> Option<Acl<'a>> {
        self.dacl
    }
}

/// An access-control list being built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AclBuilder {
    count: u16,
    has_objects: bool,
    entries: Vec<u8>,
}

impl AclBuilder {
    /// An empty list: nobody may do anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry whose body is a mask and a SID.
    ///
    /// # Errors
    /// `Unsupported` when the list grows beyond 64 KiB.
    pub fn push(&mut self, kind: u8, flags: AceFlags, mask: u32, sid: &Sid) -> Result<()> {
        let mut body = mask.to_le_bytes().to_vec();
        body.extend(sid.to_bytes());
        self.push_raw(kind, flags, &body)
    }

    /// Adds an entry of any type by what follows its header.
    ///
    /// # Errors
    /// `Unsupported` when the list grows beyond 64 KiB.
    pub fn push_raw(&mut self, kind: u8, flags: AceFlags, body: &[u8]) -> Result<()> {
        // An entry's size is a multiple of four.
        let padding = body.len().next_multiple_of(4) - body.len();
        let size = ACE_HEADER + body.len() + padding;
        if ACL_HEADER + self.entries.len() + size > usize::from(u16::MAX) {
            return Err(Error::new(
                ErrorClass::Unsupported,
                "an access-control list holds at most 65535 bytes",
            ));
        }
        self.entries.extend([kind, flags.bits()]);
        self.entries.extend((size as u16).to_le_bytes());
        self.entries.extend(body);
        self.entries.extend(std::iter::repeat_n(0, padding));
        self.count += 1;
        self.has_objects |= (ace_type::ACCESS_ALLOWED_OBJECT..=ace_type::SYSTEM_ALARM_OBJECT).contains(&kind);
        Ok(())
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn view(&self) -> Acl<'_> {
        Acl { revision: self.revision(), count: self.count, entries: &self.entries }
    }

    fn revision(&self) -> u8 {
        if self.has_objects { 4 } else { 2 }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let size = (ACL_HEADER + self.entries.len()) as u16;
        let mut bytes = vec![self.revision(), 0];
        bytes.extend(size.to_le_bytes());
        bytes.extend(self.count.to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(&self.entries);
        bytes
    }
}

/// A security descriptor being built.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescriptorBuilder {
    /// The owner.
    pub owner: Option<Sid>,
    /// The primary group.
    pub group: Option<Sid>,
    /// Audit entries and labels.
    pub sacl: Option<AclBuilder>,
    /// Who may do what.
    pub dacl: Option<AclBuilder>,
    /// Control bits beside those that follow from the parts.
    pub control: u16,
}

impl DescriptorBuilder {
    /// The self-relative bytes: SACL, DACL, owner, group behind the header.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut control = Control::from_bits_retain(self.control) | Control::SELF_RELATIVE;
        control.set(Control::SACL_PRESENT, self.sacl.is_some() || control.contains(Control::SACL_PRESENT));
        control.set(Control::DACL_PRESENT, self.dacl.is_some() || control.contains(Control::DACL_PRESENT));
        let mut parts = Vec::new();
        let mut place = |bytes: Option<Vec<u8>>| -> u32 {
            bytes.map_or(0, |bytes| {
                let offset = DESCRIPTOR_HEADER + parts.len();
                parts.extend(bytes);
                offset as u32
            })
        };
        let sacl = place(self.sacl.as_ref().map(AclBuilder::to_bytes));
        let dacl = place(self.dacl.as_ref().map(AclBuilder::to_bytes));
        let owner = place(self.owner.as_ref().map(Sid::to_bytes));
        let group = place(self.group.as_ref().map(Sid::to_bytes));
        let mut bytes = vec![1, 0];
        bytes.extend(control.bits().to_le_bytes());
        bytes.extend([owner, group, sacl, dacl].into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(parts);
        bytes
    }
}

/// Who owns a new file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The owner.
    pub owner: Sid,
    /// The primary group.
    pub group: Sid,
}

impl Ownership {
    /// What a servicing process running as an administrator leaves.
    pub const ADMINISTRATORS: Self = Self { owner: Sid::ADMINISTRATORS, group: Sid::LOCAL_SYSTEM };
    /// Payload of the component store.
    pub const TRUSTED_INSTALLER: Self = Self { owner: Sid::TRUSTED_INSTALLER, group: Sid::TRUSTED_INSTALLER };
}

/// The descriptor that Windows gives a new file or directory in a directory that has `parent`.
///
/// The rules are those of MS-DTYP 2.5.3.4 as far as they concern file systems: entries of the
/// parent with the matching inherit flag come over; generic rights and the CREATOR SIDs are
/// resolved in the entry that acts, and for a directory their unresolved form goes on as a second,
/// inherit-only entry. An acting copy that says what an earlier acting entry says already is left
/// out (seen in descriptors written by Windows). Without a parent, or when it hands nothing down,
/// the result is a fixed list: a parent that lets SYSTEM and Administrators do everything and Users
/// read stands in for a missing one, SYSTEM and Administrators alone (the default of a servicing
/// process's token) for one that is silent.
///
/// # Errors
/// `Corrupt` when the parent's descriptor is broken; `Unsupported` when a list grows beyond 64 KiB.
pub fn inherit(parent: Option<&[u8]>, kind: NodeKind, ownership: &Ownership) -> Result<Vec<u8>> {
    let Some(parent) = parent else {
        return inherit(Some(&default_parent()?), kind, ownership);
    };
    let parent = Descriptor::parse(parent)?;
    let list = |acl: Option<Acl<'_>>| -> Result<Option<AclBuilder>> {
        let list = acl.map(|acl| inherit_list(acl, kind, ownership, &GenericMapping::FILE)).transpose()?;
        Ok(list.filter(|list| !list.is_empty()))
    };
    let dacl = list(parent.dacl())?;
    let sacl = list(parent.sacl())?;
    let mut control = Control::empty();
    control.set(Control::DACL_AUTO_INHERITED, dacl.is_some());
    control.set(Control::SACL_AUTO_INHERITED, sacl.is_some());
    let dacl = match dacl {
        Some(dacl) => dacl,
        None => allow(
            AceFlags::empty(),
            &[(GenericMapping::FILE.all, Sid::LOCAL_SYSTEM), (GenericMapping::FILE.all, Sid::ADMINISTRATORS)],
        )?,
    };
    let descriptor = DescriptorBuilder {
        owner: Some(ownership.owner),
        group: Some(ownership.group),
        sacl,
        dacl: Some(dacl),
        control: control.bits(),
    };
    Ok(descriptor.to_bytes())
}

/// The descriptor of a registry key after its parent got another one: its own entries stay, those
/// that it inherited are made anew from the parent's. A list that is protected stays as it is.
///
/// # Errors
/// `Corrupt` when a descriptor is broken; `Unsupported` when a list grows beyond 64 KiB.
pub fn inherit_key(parent: &[u8], child: &[u8]) -> Result<Vec<u8>> {
    let (parent, child) = (Descriptor::parse(parent)?, Descriptor::parse(child)?);
    let ownership = Ownership {
        owner: child.owner().unwrap_or(Sid::ADMINISTRATORS),
        group: child.group().unwrap_or(Sid::LOCAL_SYSTEM),
    };
    let mut control = child.control();
    let list =
        |from: Option<Acl<'_>>, own: Option<Acl<'_>>, is_protected: bool| -> Result<Option<AclBuilder>> {
            let Some(own) = own else { return Ok(None) };
            let mut list = AclBuilder::new();
            for ace in own.entries().filter(|ace| is_protected || !ace.flags().contains(AceFlags::INHERITED))
            {
                list.push_raw(ace.kind, ace.flags, ace.body)?;
            }
            if let Some(from) = from.filter(|_| !is_protected) {
                let inherited = inherit_list(from, NodeKind::Directory, &ownership, &GenericMapping::KEY)?;
                for ace in inherited.view().entries() {
                    list.push_raw(ace.kind, ace.flags, ace.body)?;
                }
            }
            Ok(Some(list))
        };
    let dacl = list(parent.dacl(), child.dacl(), control.contains(Control::DACL_PROTECTED))?;
    let sacl = list(parent.sacl(), child.sacl(), control.contains(Control::SACL_PROTECTED))?;
    if dacl.is_some() && !control.contains(Control::DACL_PROTECTED) {
        control |= Control::DACL_AUTO_INHERITED;
    }
    let (owner, group) = (child.owner(), child.group());
    Ok(DescriptorBuilder { owner, group, sacl, dacl, control: control.bits() }.to_bytes())
}

/// A descriptor with the parts that `change` has put in place of its own, generic rights resolved
/// to those of registry keys where an entry acts.
///
/// # Errors
/// `Corrupt` when a descriptor is broken; `Unsupported` when a list grows beyond 64 KiB.
pub fn change_key(old: &[u8], change: &[u8]) -> Result<Vec<u8>> {
    let (old, change) = (Descriptor::parse(old)?, Descriptor::parse(change)?);
    const OF_DACL: Control = Control::DACL_PRESENT
        .union(Control::DACL_DEFAULTED)
        .union(Control::DACL_AUTO_INHERIT_REQUIRED)
        .union(Control::DACL_AUTO_INHERITED)
        .union(Control::DACL_PROTECTED);
    const OF_SACL: Control = Control::SACL_PRESENT
        .union(Control::SACL_DEFAULTED)
        .union(Control::SACL_AUTO_INHERIT_REQUIRED)
        .union(Control::SACL_AUTO_INHERITED)
        .union(Control::SACL_PROTECTED);
    let mut control = old.control();
    let mut list = |present: Control,
                    of_list: Control,
                    old: Option<Acl<'_>>,
                    new: Option<Acl<'_>>|
     -> Result<Option<AclBuilder>> {
        let changed = change.control().contains(present);
        if changed {
            control = (control - of_list) | (change.control() & of_list);
        }
        let Some(acl) = (if changed { new } else { old }) else { return Ok(None) };
        let mut list = AclBuilder::new();
        for ace in acl.entries() {
            let acts = changed && !ace.flags.contains(AceFlags::INHERIT_ONLY);
            let mut body = ace.body.to_vec();
            if let (true, Some(mask), Some(field)) = (acts, ace.mask(), body.get_mut(..4)) {
                field.copy_from_slice(&GenericMapping::KEY.map(mask).to_le_bytes());
            }
            list.push_raw(ace.kind, ace.flags, &body)?;
        }
        Ok(Some(list))
    };
    let dacl = list(Control::DACL_PRESENT, OF_DACL, old.dacl(), change.dacl())?;
    let sacl = list(Control::SACL_PRESENT, OF_SACL, old.sacl(), change.sacl())?;
    let owner = change.owner().or(old.owner());
    let group = change.group().or(old.group());
    Ok(DescriptorBuilder { owner, group, sacl, dacl, control: control.bits() }.to_bytes())
}

fn default_parent() -> Result<Vec<u8>> {
    let mapping = GenericMapping::FILE;
    let dacl = allow(
        AceFlags::INHERIT,
        &[
            (mapping.all, Sid::LOCAL_SYSTEM),
            (mapping.all, Sid::ADMINISTRATORS),
            (mapping.read | mapping.execute, Sid::USERS),
        ],
    )?;
    Ok(DescriptorBuilder { dacl: Some(dacl), ..DescriptorBuilder::default() }.to_bytes())
}

fn allow(flags: AceFlags, entries: &[(u32, Sid)]) -> Result<AclBuilder> {
    let mut list = AclBuilder::new();
    for (mask, sid) in entries {
        list.push(ace_type::ACCESS_ALLOWED, flags, *mask, sid)?;
    }
    Ok(list)
}

fn inherit_list(
    parent: Acl<'_>,
    kind: NodeKind,
    ownership: &Ownership,
    mapping: &GenericMapping,
) -> Result<AclBuilder> {
    let mut list = AclBuilder::new();
    for ace in parent.entries() {
        let kept = ace.flags & (AceFlags::SUCCESSFUL_ACCESS | AceFlags::FAILED_ACCESS) | AceFlags::INHERITED;
        let below = ace.flags & AceFlags::INHERIT;
        let propagates = !ace.flags.contains(AceFlags::NO_PROPAGATE_INHERIT);
        let acts = below.contains(match kind {
            NodeKind::File => AceFlags::OBJECT_INHERIT,
            NodeKind::Directory => AceFlags::CONTAINER_INHERIT,
        });
        let resolved = resolve(&ace, ownership, mapping);
        match (kind, acts) {
            (NodeKind::File, true) => push_acting(&mut list, &ace, kept, &resolved)?,
            (NodeKind::Directory, true) if !propagates => push_acting(&mut list, &ace, kept, &resolved)?,
            (NodeKind::Directory, true) if resolved == ace.body => {
                list.push_raw(ace.kind, kept | below, ace.body)?;
            }
            (NodeKind::Directory, true) => {
                push_acting(&mut list, &ace, kept, &resolved)?;
                list.push_raw(ace.kind, kept | below | AceFlags::INHERIT_ONLY, ace.body)?;
            }
            // A file's entry passes through a directory without acting on it.
            (NodeKind::Directory, false) if propagates && !below.is_empty() => {
                list.push_raw(ace.kind, kept | below | AceFlags::INHERIT_ONLY, ace.body)?;
            }
            _ => {}
        }
    }
    Ok(list)
}

fn push_acting(list: &mut AclBuilder, ace: &Ace<'_>, flags: AceFlags, body: &[u8]) -> Result<()> {
    let said = list.view().entries().any(|earlier| {
        earlier.kind == ace.kind
            && earlier.body == body
            && !earlier.flags.contains(AceFlags::INHERIT_ONLY)
            && (earlier.flags - AceFlags::INHERIT) == flags
    });
    if said { Ok(()) } else { list.push_raw(ace.kind, flags, body) }
}

/// The body of an entry with generic rights and CREATOR SIDs replaced.
fn resolve(ace: &Ace<'_>, ownership: &Ownership, mapping: &GenericMapping) -> Vec<u8> {
    let (Some(offset), Some(mask), Some(sid)) = (ace.sid_offset(), ace.mask(), ace.sid()) else {
        return ace.body.to_vec();
    };
    let resolved = match sid {
        Sid::CREATOR_OWNER => ownership.owner,
        Sid::CREATOR_GROUP => ownership.group,
        other => other,
    };
    let mut body = mapping.map(mask).to_le_bytes().to_vec();
    body.extend(ace.body.get(4..offset).unwrap_or_default());
    body.extend(resolved.to_bytes());
    // Conditions and attributes of callback entries stand behind the SID.
    body.extend(ace.body.get(offset + sid.to_bytes().len()..).unwrap_or_default());
    body
}

fn corrupt(message: impl Into<String>) -> Error {
    Error::new(ErrorClass::Corrupt, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::sddl;

    // What MS-DTYP and Windows' tools print for these accounts.
    #[test]
    fn sids_in_text_and_bytes() {
        for (sid, text) in [
            (Sid::EVERYONE, "S-1-1-0"),
            (Sid::CREATOR_OWNER, "S-1-3-0"),
            (Sid::LOCAL_SYSTEM, "S-1-5-18"),
            (Sid::ADMINISTRATORS, "S-1-5-32-544"),
            (Sid::ALL_APP_PACKAGES, "S-1-15-2-1"),
            (Sid::TRUSTED_INSTALLER, "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"),
        ] {
            assert_eq!(sid.to_string(), text);
            assert_eq!(text.parse::<Sid>().unwrap(), sid);
            assert_eq!(Sid::parse(&sid.to_bytes()).unwrap(), sid);
        }
        assert_eq!(Sid::ADMINISTRATORS.to_bytes(), *b"\x01\x02\0\0\0\0\0\x05\x20\0\0\0\x20\x02\0\0");
        for text in [
            "",
            "S-1",
            "S-2-5-18",
            "S-1-5-",
            "S-1-5-4294967296",
            "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
        ] {
            assert!(text.parse::<Sid>().is_err(), "{text}");
        }
        assert!(Sid::parse(&[1, 16, 0, 0, 0, 0, 0, 5]).is_err());
        assert!(Sid::parse(&[1, 2, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0]).is_err());
    }

    // A directory of Windows XP (the inherited entries of its drive's root) and a file in it, as
    // Windows wrote them; the bytes are those of public test data.
    const DIRECTORY: &str = "0100 04a0 b8000000 c4000000 00000000 14000000 0200a400 07000000 \
        0000 1400 ff011f00 0101000000000005 12000000  0013 1800 ff011f00 0102000000000005 2000000020020000 \
        0013 1400 ff011f00 0101000000000005 12000000  001b 1400 00000010 0101000000000003 00000000 \
        0013 1800 a9001200 0102000000000005 2000000021020000 0012 1800 04000000 0102000000000005 2000000021020000 \
        0012 1800 02000000 0102000000000005 2000000021020000 \
        0101000000000005 12000000 0101000000000005 12000000";

    fn bytes(hexadecimal: &str) -> Vec<u8> {
        let digits: Vec<u32> = hexadecimal.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }

    type Entry = (u8, u8, u32, Sid);

    fn entries(acl: Acl<'_>) -> Vec<Entry> {
        acl.entries()
            .map(|ace| (ace.kind(), ace.flags().bits(), ace.mask().unwrap(), ace.sid().unwrap()))
            .collect()
    }

    const SYSTEM: Ownership = Ownership { owner: Sid::LOCAL_SYSTEM, group: Sid::LOCAL_SYSTEM };

    #[test]
    fn a_descriptor_of_windows_is_read_and_rebuilt() {
        let stored = bytes(DIRECTORY);
        let descriptor = Descriptor::parse(&stored).unwrap();
        assert_eq!(descriptor.control().bits(), 0xA004);
        assert_eq!(
            (descriptor.owner(), descriptor.group()),
            (Some(Sid::LOCAL_SYSTEM), Some(Sid::LOCAL_SYSTEM))
        );
        assert_eq!(descriptor.sacl(), None);
        let dacl = descriptor.dacl().unwrap();
        assert_eq!(
            entries(dacl),
            [
                (0, 0x00, 0x001F_01FF, Sid::LOCAL_SYSTEM),
                (0, 0x13, 0x001F_01FF, Sid::ADMINISTRATORS),
                (0, 0x13, 0x001F_01FF, Sid::LOCAL_SYSTEM),
                (0, 0x1B, 0x1000_0000, Sid::CREATOR_OWNER),
                (0, 0x13, 0x0012_00A9, Sid::USERS),
                (0, 0x12, 0x0000_0004, Sid::USERS),
                (0, 0x12, 0x0000_0002, Sid::USERS),
            ]
        );
        let mut list = AclBuilder::new();
        for ace in dacl.entries() {
            list.push_raw(ace.kind(), ace.flags(), ace.body()).unwrap();
        }
        let builder = DescriptorBuilder {
            owner: descriptor.owner(),
            group: descriptor.group(),
            sacl: None,
            dacl: Some(list),
            control: descriptor.control().bits(),
        };
        assert_eq!(builder.to_bytes(), stored);
    }

    #[test]
    fn a_file_inherits_what_windows_gave_it() {
        // Windows' own file has the three inherited entries behind one that its creator asked for;
        // CREATOR_OWNER's copy for the owner SYSTEM is left out, as SYSTEM has one already.
        let inherited = inherit(Some(&bytes(DIRECTORY)), NodeKind::File, &SYSTEM).unwrap();
        let descriptor = Descriptor::parse(&inherited).unwrap();
        assert_eq!(descriptor.control().bits(), 0x8404);
        assert_eq!(
            entries(descriptor.dacl().unwrap()),
            [
                (0, 0x10, 0x001F_01FF, Sid::ADMINISTRATORS),
                (0, 0x10, 0x001F_01FF, Sid::LOCAL_SYSTEM),
                (0, 0x10, 0x0012_00A9, Sid::USERS),
            ]
        );
    }

    #[test]
    fn inheritance_rules() {
        const FA: u32 = 0x001F_01FF;
        const RX: u32 = 0x0012_00A9;
        let ti = Sid::TRUSTED_INSTALLER;
        // Parent, kind, expected entries. "Program Files" first, whose subdirectories show on every
        // installed Windows.
        let program_files = "D:PAI(A;;FA;;;S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464)\
            (A;CIIO;GA;;;S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464)\
            (A;;0x1301bf;;;SY)(A;OICIIO;GA;;;SY)(A;;0x1301bf;;;BA)(A;OICIIO;GA;;;BA)\
            (A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)(A;OICIIO;GA;;;CO)";
        let table: &[(&str, NodeKind, &[Entry])] = &[
            (
                program_files,
                NodeKind::Directory,
                &[
                    (0, 0x10, FA, ti),
                    (0, 0x1A, access::GENERIC_ALL, ti),
                    (0, 0x10, FA, Sid::LOCAL_SYSTEM),
                    (0, 0x1B, access::GENERIC_ALL, Sid::LOCAL_SYSTEM),
                    (0, 0x10, FA, Sid::ADMINISTRATORS),
                    (0, 0x1B, access::GENERIC_ALL, Sid::ADMINISTRATORS),
                    (0, 0x10, RX, Sid::USERS),
                    (0, 0x1B, access::GENERIC_READ | access::GENERIC_EXECUTE, Sid::USERS),
                    (0, 0x1B, access::GENERIC_ALL, Sid::CREATOR_OWNER),
                ],
            ),
            (
                program_files,
                NodeKind::File,
                &[
                    (0, 0x10, FA, Sid::LOCAL_SYSTEM),
                    (0, 0x10, FA, Sid::ADMINISTRATORS),
                    (0, 0x10, RX, Sid::USERS),
                ],
            ),
            // Object inherit only: passes through a directory.
            ("D:(A;OI;FR;;;WD)", NodeKind::Directory, &[(0, 0x19, 0x0012_0089, Sid::EVERYONE)]),
            ("D:(A;OI;FR;;;WD)", NodeKind::File, &[(0, 0x10, 0x0012_0089, Sid::EVERYONE)]),
            // No propagation: acts below, goes no further.
            ("D:(A;OICINP;FR;;;WD)", NodeKind::Directory, &[(0, 0x10, 0x0012_0089, Sid::EVERYONE)]),
            ("D:(A;CINP;GA;;;CG)", NodeKind::Directory, &[(0, 0x10, FA, Sid::LOCAL_SYSTEM)]),
            // Denials and their order stay.
            (
                "D:(D;OI;FW;;;WD)(A;OICI;FR;;;WD)",
                NodeKind::File,
                &[(1, 0x10, 0x0012_0116, Sid::EVERYONE), (0, 0x10, 0x0012_0089, Sid::EVERYONE)],
            ),
            // Nothing to inherit: the token's default.
            (
                "D:(A;;FA;;;WD)(A;OINPIO;FA;;;WD)",
                NodeKind::Directory,
                &[(0, 0, FA, Sid::LOCAL_SYSTEM), (0, 0, FA, Sid::ADMINISTRATORS)],
            ),
        ];
        for &(parent, kind, expected) in table {
            let parent_bytes = sddl::compile(parent).unwrap();
            let inherited = inherit(Some(&parent_bytes), kind, &Ownership::ADMINISTRATORS).unwrap();
            let descriptor = Descriptor::parse(&inherited).unwrap();
            assert_eq!(entries(descriptor.dacl().unwrap()), expected, "{parent} {kind:?}");
            assert_eq!(descriptor.owner(), Some(Sid::ADMINISTRATORS));
            assert_eq!(descriptor.group(), Some(Sid::LOCAL_SYSTEM));
        }
    }

    #[test]
    fn audit_entries_are_inherited_too() {
        let parent = sddl::compile("D:(A;OICI;FA;;;SY)S:(AU;OICISAFA;FA;;;WD)(AU;SA;FW;;;WD)").unwrap();
        let inherited = inherit(Some(&parent), NodeKind::Directory, &SYSTEM).unwrap();
        let descriptor = Descriptor::parse(&inherited).unwrap();
        assert_eq!(descriptor.control().bits(), 0x8C14);
        assert_eq!(entries(descriptor.sacl().unwrap()), [(2, 0xD3, 0x001F_01FF, Sid::EVERYONE)]);
    }

    #[test]
    fn a_missing_parent_has_a_stand_in() {
        let inherited = inherit(None, NodeKind::File, &Ownership::ADMINISTRATORS).unwrap();
        assert_eq!(
            inherited,
            sddl::compile("O:BAG:SYD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)").unwrap()
        );
    }

    #[test]
    fn broken_descriptors_are_errors() {
        let good = bytes(DIRECTORY);
        for length in 0..good.len() {
            assert!(Descriptor::parse(&good[..length]).is_err(), "{length}");
        }
        for (offset, value) in [(0, 2), (3, 0), (4, 0xFF), (4, 3), (22, 0xFF), (24, 99), (30, 3), (30, 0)] {
            let mut broken = good.clone();
            broken[offset] = value;
            assert!(Descriptor::parse(&broken).is_err(), "{offset} {value}");
        }
    }

    #[test]
    fn null_and_empty_lists_differ() {
        let null =
            DescriptorBuilder { control: Control::DACL_PRESENT.bits(), ..DescriptorBuilder::default() };
        let null = null.to_bytes();
        assert_eq!(Descriptor::parse(&null).unwrap().dacl(), None);
        let empty = DescriptorBuilder { dacl: Some(AclBuilder::new()), ..DescriptorBuilder::default() };
        let empty = empty.to_bytes();
        assert_eq!(Descriptor::parse(&empty).unwrap().dacl().map(|list| list.entries().count()), Some(0));
    }
}
