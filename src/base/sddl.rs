// SPDX-License-Identifier: GPL-3.0-or-later
//! Security descriptors written as text (SDDL), as INF files and component manifests carry them.
//!
//! Grammar: MS-DTYP 2.5.1. `O:sid G:sid D:flags(ace)... S:flags(ace)...`, each part optional, an
//! entry being `(type;flags;rights;object;inherited object;sid)`. Generic rights stay as they are
//! written; mapping them is up to whoever applies the descriptor. What needs a domain (`DA`), a
//! condition (`XA`) or an attribute (`RA`) is refused by name.

use super::security::{Ace, AceFlags, AclBuilder, Control, Descriptor, DescriptorBuilder, Sid, ace_type};
use super::{Error, ErrorClass, Guid, Result};

/// Compiles SDDL text into a self-relative security descriptor.
///
/// # Errors
/// `Usage` when the text breaks the grammar, `Unsupported` when it needs a domain or a condition.
pub fn compile(text: &str) -> Result<Vec<u8>> {
    let mut parser = Parser { text, rest: text.trim() };
    let mut descriptor = DescriptorBuilder::default();
    while !parser.rest.is_empty() {
        let (tag, rest) = parser.rest.split_once(':').ok_or_else(|| parser.invalid("a part has no colon"))?;
        parser.rest = rest;
        match tag.trim() {
            "O" if descriptor.owner.is_none() => descriptor.owner = Some(parser.account()?),
            "G" if descriptor.group.is_none() => descriptor.group = Some(parser.account()?),
            "D" if descriptor.control & Control::DACL_PRESENT.bits() == 0 => {
                let list = parser.list()?;
                descriptor.control |= (Control::DACL_PRESENT | list.dacl_control()).bits();
                descriptor.dacl = list.entries;
            }
            "S" if descriptor.control & Control::SACL_PRESENT.bits() == 0 => {
                let list = parser.list()?;
                descriptor.control |= (Control::SACL_PRESENT | list.sacl_control()).bits();
                descriptor.sacl = list.entries;
            }
            _ => return Err(parser.invalid(&format!("{tag}: is unknown or given twice"))),
        }
    }
    Ok(descriptor.to_bytes())
}

/// Writes a self-relative descriptor as text that [`compile`] understands. What the text form has
/// no letters for stands as a number or a SID.
///
/// # Errors
/// `Corrupt` when the descriptor is broken; `Unsupported` when an entry carries a condition or an
/// attribute.
pub fn describe(descriptor: &[u8]) -> Result<String> {
    let descriptor = Descriptor::parse(descriptor)?;
    let control = descriptor.control();
    let mut text = String::new();
    for (letter, sid) in [("O", descriptor.owner()), ("G", descriptor.group())] {
        if let Some(sid) = sid {
            text.push_str(&format!("{letter}:{}", account_text(&sid)));
        }
    }
    let dacl = [
        (Control::DACL_PROTECTED, "P"),
        (Control::DACL_AUTO_INHERIT_REQUIRED, "AR"),
        (Control::DACL_AUTO_INHERITED, "AI"),
    ];
    let sacl = [
        (Control::SACL_PROTECTED, "P"),
        (Control::SACL_AUTO_INHERIT_REQUIRED, "AR"),
        (Control::SACL_AUTO_INHERITED, "AI"),
    ];
    for (letter, present, flags, list) in [
        ("D", Control::DACL_PRESENT, dacl, descriptor.dacl()),
        ("S", Control::SACL_PRESENT, sacl, descriptor.sacl()),
    ] {
        if !control.contains(present) {
            continue;
        }
        text.push_str(letter);
        text.push(':');
        for (_, letters) in flags.iter().filter(|(flag, _)| control.contains(*flag)) {
            text.push_str(letters);
        }
        match list {
            None => text.push_str("NO_ACCESS_CONTROL"),
            Some(list) => {
                for ace in list.entries() {
                    text.push_str(&entry_text(&ace)?);
                }
            }
        }
    }
    Ok(text)
}

/// One entry in parentheses.
fn entry_text(ace: &Ace<'_>) -> Result<String> {
    let unsupported = || {
        let kind = ace.kind();
        Error::new(ErrorClass::Unsupported, format!("an entry of type {kind:#x} has no text form here"))
    };
    let kind = ACE_TYPES.iter().find(|(_, kind)| *kind == ace.kind()).ok_or_else(unsupported)?.0;
    let (mask, sid) = (ace.mask().ok_or_else(unsupported)?, ace.sid().ok_or_else(unsupported)?);
    let mut flags = String::new();
    for (letters, bit) in ACE_FLAGS {
        if u32::from(ace.flags().bits()) & bit != 0 {
            flags.push_str(letters);
        }
    }
    let (mut object, mut inherited) = (String::new(), String::new());
    if (ace_type::ACCESS_ALLOWED_OBJECT..=ace_type::SYSTEM_ALARM_OBJECT).contains(&ace.kind()) {
        let present =
            ace.body().get(4..8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
        let mut at = 8;
        for (bit, text) in [(1, &mut object), (2, &mut inherited)] {
            if present & bit != 0 {
                let bytes = ace.body().get(at..at + 16).and_then(|bytes| bytes.try_into().ok());
                let guid = Guid(bytes.ok_or_else(unsupported)?).to_string();
                *text = guid.trim_matches(['{', '}']).to_ascii_lowercase();
                at += 16;
            }
        }
    }
    Ok(format!("({kind};{flags};{};{object};{inherited};{})", rights_text(mask), account_text(&sid)))
}

/// Letters where a set of rights has its own, else a number.
fn rights_text(mask: u32) -> String {
    const WHOLE: [&str; 10] = ["KA", "KR", "KW", "FA", "FR", "FW", "FX", "GA", "GR", "GW"];
    let whole = RIGHTS.iter().find(|(letters, rights)| *rights == mask && WHOLE.contains(letters));
    whole.map_or_else(|| format!("0x{mask:x}"), |(letters, _)| (*letters).to_owned())
}

fn account_text(sid: &Sid) -> String {
    let known = ACCOUNTS.iter().find(|(_, known)| known == sid);
    known.map_or_else(|| sid.to_string(), |(letters, _)| (*letters).to_owned())
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

#[derive(Default)]
struct List {
    protected: bool,
    inherit_required: bool,
    inherited: bool,
    // Nothing for NO_ACCESS_CONTROL, the null list.
    entries: Option<AclBuilder>,
}

impl List {
    fn dacl_control(&self) -> Control {
        let mut control = Control::empty();
        control.set(Control::DACL_PROTECTED, self.protected);
        control.set(Control::DACL_AUTO_INHERIT_REQUIRED, self.inherit_required);
        control.set(Control::DACL_AUTO_INHERITED, self.inherited);
        control
    }

    fn sacl_control(&self) -> Control {
        let mut control = Control::empty();
        control.set(Control::SACL_PROTECTED, self.protected);
        control.set(Control::SACL_AUTO_INHERIT_REQUIRED, self.inherit_required);
        control.set(Control::SACL_AUTO_INHERITED, self.inherited);
        control
    }
}

impl<'a> Parser<'a> {
    fn invalid(&self, why: &str) -> Error {
        Error::new(ErrorClass::Usage, format!("the security descriptor {:?} is not valid: {why}", self.text))
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::new(
            ErrorClass::Unsupported,
            format!("the security descriptor {:?} uses {what}, which is not supported", self.text),
        )
    }

    /// The account of `O:` or `G:`: two letters, or a SID up to the next part.
    fn account(&mut self) -> Result<Sid> {
        let trimmed = self.rest.trim_start();
        let length = if starts_with_sid(trimmed) {
            let end = trimmed
                .bytes()
                .position(|byte| {
                    !(byte.is_ascii_hexdigit() || matches!(byte, b'-' | b'S' | b's' | b'x' | b'X'))
                })
                .unwrap_or(trimmed.len());
            // The letter of the next part may follow without a break: S-1-5-18D:.
            let next_part = trimmed.get(end..).is_some_and(|rest| rest.starts_with(':'));
            end - usize::from(next_part)
        } else {
            2
        };
        let (name, rest) =
            trimmed.split_at_checked(length).ok_or_else(|| self.invalid("an account is cut short"))?;
        self.rest = rest.trim_start();
        self.sid(name)
    }

    fn sid(&self, name: &str) -> Result<Sid> {
        let name = name.trim();
        if starts_with_sid(name) {
            return name.parse();
        }
        if let Some((_, sid)) = ACCOUNTS.iter().find(|(letters, _)| letters.eq_ignore_ascii_case(name)) {
            return Ok(*sid);
        }
        if DOMAIN_ACCOUNTS.iter().any(|letters| letters.eq_ignore_ascii_case(name)) {
            return Err(self.unsupported(&format!("the account {name} of a domain or machine")));
        }
        Err(self.invalid(&format!("{name:?} is no account")))
    }

    fn list(&mut self) -> Result<List> {
        let mut list = List { entries: Some(AclBuilder::new()), ..List::default() };
        self.rest = self.rest.trim_start();
        loop {
            if let Some(rest) = self.rest.strip_prefix("NO_ACCESS_CONTROL") {
                list.entries = None;
                self.rest = rest;
            } else if let Some(rest) = self.rest.strip_prefix("AR") {
                list.inherit_required = true;
                self.rest = rest;
            } else if let Some(rest) = self.rest.strip_prefix("AI") {
                list.inherited = true;
                self.rest = rest;
            } else if let Some(rest) = self.rest.strip_prefix('P') {
                list.protected = true;
                self.rest = rest;
            } else {
                break;
            }
        }
        loop {
            self.rest = self.rest.trim_start();
            let Some(rest) = self.rest.strip_prefix('(') else { break };
            let (entry, rest) =
                rest.split_once(')').ok_or_else(|| self.invalid("an entry has no closing parenthesis"))?;
            self.rest = rest;
            let Some(entries) = list.entries.as_mut() else {
                return Err(self.invalid("NO_ACCESS_CONTROL has entries"));
            };
            self.entry(entry, entries)?;
        }
        Ok(list)
    }

    fn entry(&self, entry: &str, list: &mut AclBuilder) -> Result<()> {
        let fields: Vec<&str> = entry.split(';').map(str::trim).collect();
        let &[kind, flags, rights, object, inherited_object, sid] = fields.as_slice() else {
            let kind = fields.first().copied().unwrap_or_default();
            if CONDITIONAL_TYPES.contains(&kind) {
                return Err(self.unsupported(&format!("a {kind} entry")));
            }
            return Err(self.invalid(&format!("the entry ({entry}) does not have six fields")));
        };
        if CONDITIONAL_TYPES.contains(&kind) {
            return Err(self.unsupported(&format!("a {kind} entry")));
        }
        let kind = ACE_TYPES
            .iter()
            .find(|(letters, _)| *letters == kind)
            .map(|(_, kind)| *kind)
            .ok_or_else(|| self.invalid(&format!("{kind:?} is no type of entry")))?;
        let flags = self.flags(flags)?;
        let mask = self.rights(rights)?;
        let sid = self.sid(sid)?;
        let is_object = (ace_type::ACCESS_ALLOWED_OBJECT..=ace_type::SYSTEM_ALARM_OBJECT).contains(&kind);
        if !is_object {
            if !object.is_empty() || !inherited_object.is_empty() {
                return Err(self.invalid("an entry of a type without objects names one"));
            }
            return list.push(kind, flags, mask, &sid);
        }
        let mut guids = Vec::new();
        let mut present: u32 = 0;
        for (bit, text) in [(1, object), (2, inherited_object)] {
            if !text.is_empty() {
                let guid: Guid =
                    text.parse().map_err(|_| self.invalid(&format!("{text:?} is no object identifier")))?;
                present |= bit;
                guids.extend(guid.0);
            }
        }
        let mut body = mask.to_le_bytes().to_vec();
        body.extend(present.to_le_bytes());
        body.extend(guids);
        body.extend(sid.to_bytes());
        list.push_raw(kind, flags, &body)
    }

    fn flags(&self, text: &str) -> Result<AceFlags> {
        self.pairs(text, ACE_FLAGS, "flag").map(|bits| AceFlags::from_bits_retain(bits as u8))
    }

    fn rights(&self, text: &str) -> Result<u32> {
        let number = if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(u32::from_str_radix(digits, 16))
        } else if text.starts_with(|first: char| first.is_ascii_digit()) {
            let octal = text.len() > 1 && text.starts_with('0');
            Some(u32::from_str_radix(text, if octal { 8 } else { 10 }))
        } else {
            None
        };
        match number {
            Some(number) => number.map_err(|_| self.invalid(&format!("{text:?} is no number of rights"))),
            None => self.pairs(text, RIGHTS, "right"),
        }
    }

    fn pairs(&self, text: &str, table: &[(&str, u32)], what: &str) -> Result<u32> {
        let mut bits = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let found = rest
                .split_at_checked(2)
                .and_then(|(pair, rest)| Some((table.iter().find(|(letters, _)| *letters == pair)?.1, rest)));
            let (bit, next) = found.ok_or_else(|| self.invalid(&format!("{rest:?} is no {what}")))?;
            bits |= bit;
            rest = next.trim_start();
        }
        Ok(bits)
    }
}

fn starts_with_sid(text: &str) -> bool {
    text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("S-"))
}

#[rustfmt::skip]
const ACE_TYPES: &[(&str, u8)] = &[
    ("A", ace_type::ACCESS_ALLOWED), ("D", ace_type::ACCESS_DENIED),
    ("AU", ace_type::SYSTEM_AUDIT), ("AL", ace_type::SYSTEM_ALARM),
    ("OA", ace_type::ACCESS_ALLOWED_OBJECT), ("OD", ace_type::ACCESS_DENIED_OBJECT),
    ("OU", ace_type::SYSTEM_AUDIT_OBJECT), ("OL", ace_type::SYSTEM_ALARM_OBJECT),
    ("ML", ace_type::SYSTEM_MANDATORY_LABEL), ("SP", 0x13), ("TL", 0x14),
];

/// Types that carry a condition or an attribute behind the account.
const CONDITIONAL_TYPES: &[&str] = &["XA", "XD", "XU", "ZA", "RA", "FL"];

#[rustfmt::skip]
const ACE_FLAGS: &[(&str, u32)] = &[
    ("OI", 0x01), ("CI", 0x02), ("NP", 0x04), ("IO", 0x08), ("ID", 0x10), ("CR", 0x20), ("SA", 0x40), ("FA", 0x80),
];

#[rustfmt::skip]
const RIGHTS: &[(&str, u32)] = &[
    ("GA", 0x1000_0000), ("GX", 0x2000_0000), ("GW", 0x4000_0000), ("GR", 0x8000_0000),
    ("SD", 0x0001_0000), ("RC", 0x0002_0000), ("WD", 0x0004_0000), ("WO", 0x0008_0000),
    ("CC", 0x001), ("DC", 0x002), ("LC", 0x004), ("SW", 0x008), ("RP", 0x010), ("WP", 0x020),
    ("DT", 0x040), ("LO", 0x080), ("CR", 0x100),
    ("FA", 0x001F_01FF), ("FR", 0x0012_0089), ("FW", 0x0012_0116), ("FX", 0x0012_00A0),
    ("KA", 0x000F_003F), ("KR", 0x0002_0019), ("KW", 0x0002_0006), ("KX", 0x0002_0019),
    ("NW", 0x1), ("NR", 0x2), ("NX", 0x4),
];

const fn builtin(number: u32) -> [u32; 2] {
    [32, number]
}

#[rustfmt::skip]
const ACCOUNTS: &[(&str, Sid)] = &[
    ("WD", Sid::EVERYONE), ("CO", Sid::CREATOR_OWNER), ("CG", Sid::CREATOR_GROUP), ("OW", Sid::OWNER_RIGHTS),
    ("NU", Sid::well_known(5, [2])), ("IU", Sid::well_known(5, [4])), ("SU", Sid::well_known(5, [6])),
    ("AN", Sid::well_known(5, [7])), ("ED", Sid::well_known(5, [9])), ("PS", Sid::well_known(5, [10])),
    ("AU", Sid::AUTHENTICATED_USERS), ("RC", Sid::well_known(5, [12])), ("WR", Sid::well_known(5, [33])),
    ("SY", Sid::LOCAL_SYSTEM), ("LS", Sid::LOCAL_SERVICE), ("NS", Sid::NETWORK_SERVICE),
    ("UD", Sid::well_known(5, [84, 0, 0, 0, 0, 0])),
    ("BA", Sid::ADMINISTRATORS), ("BU", Sid::USERS), ("BG", Sid::well_known(5, builtin(546))),
    ("PU", Sid::well_known(5, builtin(547))), ("AO", Sid::well_known(5, builtin(548))),
    ("SO", Sid::well_known(5, builtin(549))), ("PO", Sid::well_known(5, builtin(550))),
    ("BO", Sid::well_known(5, builtin(551))), ("RE", Sid::well_known(5, builtin(552))),
    ("RU", Sid::well_known(5, builtin(554))), ("RD", Sid::well_known(5, builtin(555))),
    ("NO", Sid::well_known(5, builtin(556))), ("MU", Sid::well_known(5, builtin(558))),
    ("LU", Sid::well_known(5, builtin(559))), ("IS", Sid::well_known(5, builtin(568))),
    ("CY", Sid::well_known(5, builtin(569))), ("ER", Sid::well_known(5, builtin(573))),
    ("CD", Sid::well_known(5, builtin(574))), ("RA", Sid::well_known(5, builtin(575))),
    ("ES", Sid::well_known(5, builtin(576))), ("MS", Sid::well_known(5, builtin(577))),
    ("HA", Sid::well_known(5, builtin(578))), ("AA", Sid::well_known(5, builtin(579))),
    ("RM", Sid::well_known(5, builtin(580))), ("AC", Sid::ALL_APP_PACKAGES),
    ("LW", Sid::well_known(16, [0x1000])), ("ME", Sid::well_known(16, [0x2000])),
    ("MP", Sid::well_known(16, [0x2100])), ("HI", Sid::well_known(16, [0x3000])),
    ("SI", Sid::well_known(16, [0x4000])), ("AS", Sid::well_known(18, [1])), ("SS", Sid::well_known(18, [2])),
];

/// Accounts whose SID holds the identifier of a domain or machine, which text does not tell.
const DOMAIN_ACCOUNTS: &[&str] =
    &["AP", "CA", "CN", "DA", "DC", "DD", "DG", "DU", "EA", "EK", "KA", "LA", "LG", "PA", "RO", "RS", "SA"];

#[cfg(test)]
mod tests {
    use super::*;

    fn hexadecimal(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn compiled_bytes() {
        for (text, expected) in [
            // The layout that the driver store keeps for a device's Security property.
            (
                "D:P(A;;GA;;;SY)(A;;GRGWGX;;;BA)",
                concat!(
                    "01000490",
                    "00000000",
                    "00000000",
                    "00000000",
                    "14000000",
                    "02003400",
                    "02000000",
                    "00001400",
                    "00000010",
                    "010100000000000512000000",
                    "00001800",
                    "000000e0",
                    "01020000000000052000000020020000",
                ),
            ),
            ("D:NO_ACCESS_CONTROL", "0100048000000000000000000000000000000000"),
            ("D:", concat!("0100048000000000000000000000000014000000", "0200080000000000")),
            ("", "0100008000000000000000000000000000000000"),
            (
                "O:BAG:S-1-5-18D:AI(A;OICIID;0x1200a9;;;WD)",
                concat!(
                    "01000484",
                    "30000000",
                    "40000000",
                    "00000000",
                    "14000000",
                    "02001c00",
                    "01000000",
                    "00131400",
                    "a9001200",
                    "010100000000000100000000",
                    "01020000000000052000000020020000",
                    "010100000000000512000000",
                ),
            ),
            // A SID before the SACL, whose letter could belong to it.
            (
                "O:S-1-5-18S:(AU;SAFA;GA;;;WD)",
                concat!(
                    "01001080",
                    "30000000",
                    "00000000",
                    "14000000",
                    "00000000",
                    "02001c00",
                    "01000000",
                    "02c01400",
                    "00000010",
                    "010100000000000100000000",
                    "010100000000000512000000",
                ),
            ),
            (
                "O:S-1-5-18D:(OA;;CR;00299570-246d-11d0-a768-00aa006e0529;;AU)",
                concat!(
                    "01000480",
                    "44000000",
                    "00000000",
                    "00000000",
                    "14000000",
                    "04003000",
                    "01000000",
                    "05002800",
                    "00010000",
                    "01000000",
                    "709529006d24d011a76800aa006e0529",
                    "01010000000000050b000000",
                    "010100000000000512000000",
                ),
            ),
        ] {
            let compiled = compile(text).unwrap();
            assert_eq!(hexadecimal(&compiled), expected, "{text}");
            Descriptor::parse(&compiled).unwrap();
        }
    }

    #[test]
    fn described_as_it_was_written() {
        for text in [
            "O:BAG:SYD:PAI(A;CI;KA;;;SY)(A;CIIOID;GA;;;CO)(D;;KR;;;S-1-5-21-1-2-3-1001)",
            "D:NO_ACCESS_CONTROL",
            "O:SYD:",
            "D:(OA;;0x100;00299570-246d-11d0-a768-00aa006e0529;;AU)S:AI(AU;SAFA;0x30001;;;WD)(ML;;0x1;;;HI)",
            "",
        ] {
            assert_eq!(describe(&compile(text).unwrap()).unwrap(), text);
        }
        assert!(describe(b"short").is_err());
    }

    #[test]
    fn refusals() {
        for (text, class, word) in [
            ("nonsense", ErrorClass::Usage, "colon"),
            ("Q:BA", ErrorClass::Usage, "unknown"),
            ("D:(A;;GA;;;SY)D:", ErrorClass::Usage, "twice"),
            ("D:(A;;GA;;;SY", ErrorClass::Usage, "parenthesis"),
            ("D:(A;;GA;;SY)", ErrorClass::Usage, "six fields"),
            ("D:(A;;QQ;;;SY)", ErrorClass::Usage, "right"),
            ("D:(A;;0xZZ;;;SY)", ErrorClass::Usage, "number"),
            ("D:(A;XX;GA;;;SY)", ErrorClass::Usage, "flag"),
            ("D:(Q;;GA;;;SY)", ErrorClass::Usage, "type"),
            ("D:(A;;GA;;;QQ)", ErrorClass::Usage, "account"),
            ("D:(A;;GA;;;DA)", ErrorClass::Unsupported, "DA"),
            ("D:(XA;;GA;;;BU;(Exists x))", ErrorClass::Unsupported, "XA"),
            ("O:B", ErrorClass::Usage, "cut short"),
        ] {
            let error = compile(text).unwrap_err();
            assert_eq!(error.class(), class, "{text}: {error}");
            assert!(error.to_string().contains(word), "{text}: {error}");
        }
    }
}
