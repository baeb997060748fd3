// SPDX-License-Identifier: GPL-3.0-or-later
//! Security descriptors as a Windows image has them, written as SDDL and compiled here: the
//! sample does not ask the code that it is there to test.

/// A file of the component store and its projection.
pub const STORE_FILE: &str =
    "O:TIG:TID:PAI(A;;FA;;;TI)(A;;0x1200a9;;;BA)(A;;0x1200a9;;;SY)(A;;0x1200a9;;;BU)(A;;0x1200a9;;;AC)";
/// `Windows`, `System32` and the folders below them.
pub const SYSTEM_DIRECTORY: &str = "O:TIG:TID:PAI(A;OICIIO;GA;;;CO)(A;OICIIO;GA;;;SY)(A;;0x1301bf;;;SY)\
    (A;OICIIO;GA;;;BA)(A;;0x1301bf;;;BA)(A;OICIIO;GXGR;;;BU)(A;;0x1200a9;;;BU)(A;CIIO;GA;;;TI)(A;;FA;;;TI)\
    (A;;0x1200a9;;;AC)(A;OICIIO;GXGR;;;AC)";
/// `config` and what only the system may read.
pub const CONFIG_DIRECTORY: &str = "O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";
/// A hive.
pub const CONFIG_FILE: &str = "O:BAG:SYD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)";
/// The driver store.
pub const DRIVER_STORE: &str = "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BA)(A;OICI;0x1200a9;;;WD)";
/// A file in the driver store.
pub const DRIVER_FILE: &str = "O:SYG:SYD:AI(A;ID;FA;;;SY)(A;ID;0x1200a9;;;BA)(A;ID;0x1200a9;;;WD)";
/// The root of the drive.
pub const ROOT: &str = "O:TIG:TID:PAI(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)\
    (A;CI;0x4;;;BU)(A;CIIO;0x2;;;BU)(A;OICIIO;GA;;;CO)";
/// `Program Files`.
pub const PROGRAM_DIRECTORY: &str = SYSTEM_DIRECTORY;
/// A file of a program.
pub const PROGRAM_FILE: &str =
    "O:SYG:SYD:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)(A;ID;0x1200a9;;;AC)";
/// `Users`.
pub const USERS_DIRECTORY: &str =
    "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)(A;;0x1200a9;;;WD)";
/// A profile and what is in it.
pub const PROFILE: &str = "O:SYG:SYD:AI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)";
/// Something with a low integrity label: its system ACL is not empty.
pub const LOW_LABEL: &str = "O:BAG:SYD:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;BA)S:AI(ML;OICI;NW;;;LW)";
/// A junction that may not be listed.
pub const JUNCTION: &str = "O:SYG:SYD:AI(D;;0x1;;;WD)(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;0x1200a9;;;BU)";

/// Every descriptor of this page.
pub const ALL: &[&str] = &[
    STORE_FILE,
    SYSTEM_DIRECTORY,
    CONFIG_DIRECTORY,
    CONFIG_FILE,
    DRIVER_STORE,
    DRIVER_FILE,
    ROOT,
    PROGRAM_FILE,
    USERS_DIRECTORY,
    PROFILE,
    LOW_LABEL,
    JUNCTION,
];

/// The root key of a machine hive.
pub const MACHINE_KEY: &str = "O:BAG:SYD:PAI(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;BU)(A;CI;KR;;;AC)";
/// A key that belongs to the component store.
pub const STORE_KEY: &str = "O:TIG:TID:PAI(A;CI;KA;;;TI)(A;CI;KA;;;SY)(A;CI;KR;;;BA)(A;CI;KR;;;BU)";
/// A key of `SAM` or `SECURITY`.
pub const SECRET_KEY: &str = "O:BAG:SYD:PAI(A;CI;KA;;;SY)(A;CI;0x60000;;;BA)";

/// Revision, authority and sub-authorities of an SDDL alias.
fn sid(alias: &str) -> Vec<u8> {
    let (authority, numbers): (u8, &[u32]) = match alias {
        "SY" => (5, &[18]),
        "BA" => (5, &[32, 544]),
        "BU" => (5, &[32, 545]),
        "WD" => (1, &[0]),
        "CO" => (3, &[0]),
        "AC" => (15, &[2, 1]),
        "LW" => (16, &[4096]),
        // NT SERVICE\TrustedInstaller
        "TI" => (5, &[80, 956_008_885, 3_418_522_649, 1_831_038_044, 1_853_292_631, 2_271_478_464]),
        other => panic!("no such alias: {other}"),
    };
    let mut bytes = vec![1, numbers.len() as u8, 0, 0, 0, 0, 0, authority];
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

fn ace_flags(text: &str) -> u8 {
    text.as_bytes().chunks(2).fold(0, |flags, pair| {
        flags
            | match pair {
                b"OI" => 0x01,
                b"CI" => 0x02,
                b"NP" => 0x04,
                b"IO" => 0x08,
                b"ID" => 0x10,
                other => panic!("no such ACE flag: {other:?}"),
            }
    })
}

fn rights(text: &str) -> u32 {
    if let Some(hex) = text.strip_prefix("0x") {
        return u32::from_str_radix(hex, 16).expect("hexadecimal rights");
    }
    text.as_bytes().chunks(2).fold(0, |rights, pair| {
        rights
            | match pair {
                b"GA" => 0x1000_0000,
                b"GX" => 0x2000_0000,
                b"GR" => 0x8000_0000,
                b"FA" => 0x001F_01FF,
                b"KA" => 0x000F_003F,
                b"KR" => 0x0002_0019,
                b"NW" => 0x1,
                other => panic!("no such right: {other:?}"),
            }
    })
}

/// The ACL of the `(...)` groups of a text.
fn acl(text: &str) -> Vec<u8> {
    let mut aces = Vec::new();
    let mut count = 0u16;
    for ace in text.split('(').skip(1) {
        let fields: Vec<&str> = ace.trim_end_matches(')').split(';').collect();
        let kind: u8 = match fields[0] {
            "A" => 0x00,
            "D" => 0x01,
            "ML" => 0x11,
            other => panic!("no such kind of ACE: {other}"),
        };
        let sid = sid(fields[5]);
        aces.extend([kind, ace_flags(fields[1])]);
        aces.extend((8 + sid.len() as u16).to_le_bytes());
        aces.extend(rights(fields[2]).to_le_bytes());
        aces.extend(sid);
        count += 1;
    }
    let mut bytes = vec![2, 0];
    bytes.extend((8 + aces.len() as u16).to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(aces);
    bytes
}

/// Compiles the SDDL of this page into a self-relative descriptor, its parts in the order in which
/// Windows stores them: system ACL, discretionary ACL, owner, group.
///
/// # Panics
/// When the text is not SDDL as this page writes it.
pub fn descriptor(sddl: &str) -> Vec<u8> {
    let owner = sid(&sddl[2..4]);
    let group = sid(&sddl[6..8]);
    let lists = sddl[8..].strip_prefix("D:").expect("a discretionary ACL");
    let (dacl_text, sacl_text) = match lists.split_once("S:") {
        Some((dacl, sacl)) => (dacl, Some(sacl)),
        None => (lists, None),
    };
    let mut control: u16 = 0x8004;
    let dacl_flags = dacl_text.split('(').next().unwrap_or_default();
    if dacl_flags.contains("AI") {
        control |= 0x0400;
    }
    if dacl_flags.contains('P') {
        control |= 0x1000;
    }
    if let Some(text) = sacl_text {
        control |= 0x0010;
        if text.starts_with("AI") {
            control |= 0x0800;
        }
    }
    let sacl = sacl_text.map(acl).unwrap_or_default();
    let dacl = acl(dacl_text);
    let sacl_offset = if sacl.is_empty() { 0 } else { 20 };
    let dacl_offset = 20 + sacl.len() as u32;
    let owner_offset = dacl_offset + dacl.len() as u32;
    let group_offset = owner_offset + owner.len() as u32;
    let mut bytes = vec![1, 0];
    bytes.extend(control.to_le_bytes());
    for offset in [owner_offset, group_offset, sacl_offset, dacl_offset] {
        bytes.extend(offset.to_le_bytes());
    }
    for part in [sacl, dacl, owner, group] {
        bytes.extend(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_descriptor_byte_by_byte() {
        let expected: &[u8] = &[
            1, 0, 0x04, 0x80, 48, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, // header
            2, 0, 28, 0, 1, 0, 0, 0, // list
            0, 3, 20, 0, 0xFF, 0x01, 0x1F, 0, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, // entry
            1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, // owner
            1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, // group
        ];
        assert_eq!(descriptor("O:SYG:WDD:(A;OICI;FA;;;SY)"), expected);
    }

    #[test]
    fn all_compile_and_differ() {
        let mut all: Vec<Vec<u8>> = ALL.iter().map(|sddl| descriptor(sddl)).collect();
        all.extend([MACHINE_KEY, STORE_KEY, SECRET_KEY].map(descriptor));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(descriptor(LOW_LABEL)[2..4], [0x14, 0x8C]);
    }
}
