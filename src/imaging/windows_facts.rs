// SPDX-License-Identifier: GPL-3.0-or-later
//! What the XML says of the Windows in an image, from its registry.
//!
//! | element | source |
//! |---|---|
//! | ARCH, VERSION | as [`crate::image::WindowsInfo`]; SPBUILD is UBR, else SYSTEM `Control\Windows` CSDBuildNumber |
//! | SPLEVEL | SYSTEM `Control\Windows` CSDVersion, its second byte |
//! | PRODUCTNAME, EDITIONID, INSTALLATIONTYPE | SOFTWARE `...\CurrentVersion` ProductName, EditionID, InstallationType |
//! | HAL | SYSTEM `Control\Class\{4D36E966-...}\0000` MatchingDeviceId (before Windows 8) |
//! | PRODUCTTYPE, PRODUCTSUITE | SYSTEM `Control\ProductOptions` |
//! | LANGUAGES | keys of SYSTEM `Control\MUI\UILanguages`; DEFAULT is the one whose LCID is `Control\Nls\Language` InstallLanguage |
//! | SYSTEMROOT | the folder's name, in upper case |
//!
//! Source: ebiggers/wimlib `src/xml_windows.c`. (Microsoft's PRODUCTNAME is that of the version
//! resource of kernel32.dll.)

use crate::base::{Result, name};
use crate::hive::Value;
use crate::image::Session;
use crate::wim::ImageInfo;

const CURRENT_VERSION: &str = "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion";
const CONTROL: &str = "HKLM\\SYSTEM\\CurrentControlSet\\Control";

/// The facts about the Windows of a session; texts and figures of the image are left empty.
///
/// # Errors
/// When a hive cannot be read.
pub(super) fn windows_facts(session: &mut Session) -> Result<ImageInfo> {
    let windows = session.windows().clone();
    let mut text = |key: &str, value: &str| -> Result<Option<String>> {
        let found = session.registry().value(key, value)?;
        Ok(found.and_then(|value| value.as_text()).filter(|text| !text.is_empty()))
    };
    let product_options = format!("{CONTROL}\\ProductOptions");
    let mut info = ImageInfo {
        arch: Some(windows.arch.processor_number().into()),
        product_name: text(CURRENT_VERSION, "ProductName")?,
        edition_id: windows.edition,
        installation_type: windows.installation_type,
        product_type: text(&product_options, "ProductType")?,
        hal: text(
            &format!("{CONTROL}\\Class\\{{4D36E966-E325-11CE-BFC1-08002BE10318}}\\0000"),
            "MatchingDeviceId",
        )?,
        version: Some((
            windows.version.major.into(),
            windows.version.minor.into(),
            windows.version.build.into(),
        )),
        system_root: windows
            .directory
            .components()
            .first()
            .map(|directory| name::display(&name::upcased(directory.units()))),
        ..ImageInfo::default()
    };
    let registry = session.registry();
    let suites = registry.value(&product_options, "ProductSuite")?.as_ref().and_then(Value::as_multi_sz);
    info.product_suite = suites.filter(|suites| !suites.is_empty()).map(|suites| suites.join(" "));
    let mut number = |value: &str| -> Result<Option<u32>> {
        Ok(registry.value(&format!("{CONTROL}\\Windows"), value)?.and_then(|value| value.as_dword()))
    };
    let build = number("CSDBuildNumber")?;
    info.service_pack_level = number("CSDVersion")?.map(|version| (version >> 8) & 0xFF);
    info.service_pack_build = match windows.version.revision {
        0 => build,
        revision => Some(revision.into()),
    };
    let languages = format!("{CONTROL}\\MUI\\UILanguages");
    if let Some((hive, key)) = registry.key(&languages)? {
        let names: Vec<String> = match registry.hive(hive)? {
            Some(hive) => {
                let keys = hive.subkeys(key)?.into_iter();
                keys.map(|key| Ok(hive.name(key)?.to_string())).collect::<Result<_>>()?
            }
            None => Vec::new(),
        };
        for language in names {
            let key = format!("{languages}\\{language}");
            let lcid = registry.value(&key, "LCID")?.and_then(|value| value.as_dword());
            if lcid == Some(windows.language.into()) {
                info.default_language = Some(language.clone());
            }
            info.languages.push(language);
        }
    }
    if let [only] = info.languages.as_slice() {
        info.default_language.get_or_insert_with(|| only.clone());
    }
    Ok(info)
}
