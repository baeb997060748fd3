// SPDX-License-Identifier: GPL-3.0-or-later
//! What the XML data says about the images.
//!
//! `<WIM><TOTALBYTES>n</TOTALBYTES><IMAGE INDEX="1">...</IMAGE>...</WIM>` in UTF-16LE with a byte
//! order mark. Times are `<HIGHPART>0x%08X</HIGHPART><LOWPART>0x%08X</LOWPART>`. wimlib puts the
//! direct child TOTALBYTES behind the images, Microsoft before them.
//! Element names: ebiggers/wimlib `src/xml.c`, `src/xml_windows.c`, and listings of Microsoft's images.

use crate::base::FileTime;
use crate::xml::{Document, Element};

/// XML facts about an image; every field is optional, as in real files. Field list = what
/// `/Get-ImageInfo /Index` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ImageInfo {
    /// Number of the image, from 1.
    pub index: u32,
    /// NAME.
    pub name: Option<String>,
    /// DESCRIPTION.
    pub description: Option<String>,
    /// DISPLAYNAME.
    pub display_name: Option<String>,
    /// DISPLAYDESCRIPTION.
    pub display_description: Option<String>,
    /// FLAGS: the edition as Setup knows it.
    pub flags: Option<String>,
    /// TOTALBYTES: bytes of all streams of all names.
    pub size: Option<u64>,
    /// DIRCOUNT.
    pub directories: Option<u64>,
    /// FILECOUNT.
    pub files: Option<u64>,
    /// HARDLINKBYTES: bytes counted again for names after a file's first.
    pub hard_link_bytes: Option<u64>,
    /// CREATIONTIME.
    pub created: Option<FileTime>,
    /// LASTMODIFICATIONTIME.
    pub modified: Option<FileTime>,
    /// WIMBOOT: made to be booted from the WIM.
    pub wim_boot: Option<bool>,
    /// ARCH number as stored; absence does not mean x86.
    pub arch: Option<u32>,
    /// HAL.
    pub hal: Option<String>,
    /// PRODUCTNAME.
    pub product_name: Option<String>,
    /// EDITIONID.
    pub edition_id: Option<String>,
    /// INSTALLATIONTYPE.
    pub installation_type: Option<String>,
    /// PRODUCTTYPE.
    pub product_type: Option<String>,
    /// PRODUCTSUITE.
    pub product_suite: Option<String>,
    /// SYSTEMROOT.
    pub system_root: Option<String>,
    /// VERSION: MAJOR, MINOR, BUILD.
    pub version: Option<(u32, u32, u32)>,
    /// VERSION/SPBUILD.
    pub service_pack_build: Option<u32>,
    /// VERSION/SPLEVEL.
    pub service_pack_level: Option<u32>,
    /// LANGUAGES/LANGUAGE.
    pub languages: Vec<String>,
    /// LANGUAGES/DEFAULT.
    pub default_language: Option<String>,
}

fn text(element: &Element, path: &[&str]) -> Option<String> {
    element.find(path).map(Element::text)
}

/// Decimal, or hexadecimal after `0x`.
fn number(element: &Element, path: &[&str]) -> Option<u64> {
    let text = text(element, path)?;
    let text = text.trim();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn number32(element: &Element, path: &[&str]) -> Option<u32> {
    number(element, path).and_then(|value| value.try_into().ok())
}

fn time(element: &Element, name: &str) -> Option<FileTime> {
    let high = number32(element, &[name, "HIGHPART"])?;
    let low = number32(element, &[name, "LOWPART"])?;
    Some(FileTime((u64::from(high) << 32) | u64::from(low)))
}

/// The INDEX attribute of an IMAGE element.
pub(super) fn image_index(element: &Element) -> Option<u32> {
    if element.local_name() != "IMAGE" {
        return None;
    }
    element.attribute("INDEX")?.trim().parse().ok()
}

impl ImageInfo {
    /// The facts in one IMAGE element.
    fn of(element: &Element, index: u32) -> Self {
        let windows = |name: &str| text(element, &["WINDOWS", name]);
        let version = |name: &str| number32(element, &["WINDOWS", "VERSION", name]);
        let languages = element.find(&["WINDOWS", "LANGUAGES"]);
        Self {
            index,
            name: text(element, &["NAME"]),
            description: text(element, &["DESCRIPTION"]),
            display_name: text(element, &["DISPLAYNAME"]),
            display_description: text(element, &["DISPLAYDESCRIPTION"]),
            flags: text(element, &["FLAGS"]),
            size: number(element, &["TOTALBYTES"]),
            directories: number(element, &["DIRCOUNT"]),
            files: number(element, &["FILECOUNT"]),
            hard_link_bytes: number(element, &["HARDLINKBYTES"]),
            created: time(element, "CREATIONTIME"),
            modified: time(element, "LASTMODIFICATIONTIME"),
            wim_boot: number(element, &["WIMBOOT"]).map(|value| value != 0),
            arch: number32(element, &["WINDOWS", "ARCH"]),
            hal: windows("HAL"),
            product_name: windows("PRODUCTNAME"),
            edition_id: windows("EDITIONID"),
            installation_type: windows("INSTALLATIONTYPE"),
            product_type: windows("PRODUCTTYPE"),
            product_suite: windows("PRODUCTSUITE"),
            system_root: windows("SYSTEMROOT"),
            version: version("MAJOR")
                .zip(version("MINOR"))
                .zip(version("BUILD"))
                .map(|((a, b), c)| (a, b, c)),
            service_pack_build: version("SPBUILD"),
            service_pack_level: version("SPLEVEL"),
            languages: languages.map_or_else(Vec::new, |languages| {
                languages
                    .elements()
                    .filter(|child| child.local_name() == "LANGUAGE")
                    .map(Element::text)
                    .collect()
            }),
            default_language: languages.and_then(|languages| text(languages, &["DEFAULT"])),
        }
    }
}

/// The facts of images 1 to `count`; an image that the XML leaves out has its index only.
pub(super) fn images(document: Option<&Document>, count: u32) -> Vec<ImageInfo> {
    let mut infos: Vec<ImageInfo> =
        (1..=count).map(|index| ImageInfo { index, ..ImageInfo::default() }).collect();
    let elements = document.into_iter().flat_map(|document| document.root.elements());
    for (element, index) in elements.filter_map(|element| Some((element, image_index(element)?))) {
        if let Some(info) = (index as usize).checked_sub(1).and_then(|position| infos.get_mut(position)) {
            *info = ImageInfo::of(element, index);
        }
    }
    infos
}

/// Whether the data is encrypted: such files say so in `ESD/ENCRYPTED`.
pub(super) fn is_encrypted(document: &Document) -> bool {
    document.root.find(&["ESD", "ENCRYPTED"]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_facts() {
        let document = Document::parse(
            "<WIM><TOTALBYTES>9</TOTALBYTES><IMAGE INDEX=\"2\"><DIRCOUNT>3</DIRCOUNT><TOTALBYTES>70</TOTALBYTES>\
             <CREATIONTIME><HIGHPART>0x01CA0431</HIGHPART><LOWPART>0x0000000A</LOWPART></CREATIONTIME>\
             <WIMBOOT>0</WIMBOOT><WINDOWS><ARCH>9</ARCH><LANGUAGES><LANGUAGE>en-US</LANGUAGE>\
             <LANGUAGE>de-DE</LANGUAGE><FALLBACK LANGUAGE=\"de-DE\">en-US</FALLBACK><DEFAULT>en-US</DEFAULT></LANGUAGES>\
             <VERSION><MAJOR>10</MAJOR><MINOR>0</MINOR><BUILD>26100</BUILD><SPBUILD>1</SPBUILD><SPLEVEL>0</SPLEVEL>\
             </VERSION></WINDOWS><NAME>A &amp; B</NAME></IMAGE></WIM>",
        )
        .unwrap();
        let infos = images(Some(&document), 2);
        assert_eq!(infos[0], ImageInfo { index: 1, ..ImageInfo::default() });
        assert_eq!(
            infos[1],
            ImageInfo {
                index: 2,
                name: Some("A & B".to_owned()),
                size: Some(70),
                directories: Some(3),
                created: Some(FileTime(0x01CA_0431_0000_000A)),
                wim_boot: Some(false),
                arch: Some(9),
                version: Some((10, 0, 26100)),
                service_pack_build: Some(1),
                service_pack_level: Some(0),
                languages: vec!["en-US".to_owned(), "de-DE".to_owned()],
                default_language: Some("en-US".to_owned()),
                ..ImageInfo::default()
            }
        );
        assert!(!is_encrypted(&document));
        let esd = Document::parse("<WIM><ESD><ENCRYPTED>x</ENCRYPTED></ESD></WIM>").unwrap();
        assert!(is_encrypted(&esd));
    }
}
