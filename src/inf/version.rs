// SPDX-License-Identifier: GPL-3.0-or-later
//! `[Version]`.

use super::document::{Document, same};
use super::plan::InfVersion;
use super::scope::Scope;
use super::{InfError, Target, path};
use crate::base::{FileTime, Version};

/// Signatures Windows takes, in any case.
const SIGNATURES: [&str; 3] = ["$Windows NT$", "$Chicago$", "$Windows 95$"];

/// Refuses an INF without `[Version]` or with another signature.
pub(super) fn check_signature(document: &Document) -> Result<(), InfError> {
    let section = document
        .section("Version")
        .ok_or_else(|| InfError::WrongStyle { reason: "there is no [Version] section".into() })?;
    let signature = section
        .lines()
        .find(|line| line.key().is_some_and(|key| same(key, "Signature")))
        .map(|line| line.field(1))
        .ok_or_else(|| InfError::WrongStyle { reason: "[Version] has no Signature".into() })?;
    if SIGNATURES.iter().any(|known| known.eq_ignore_ascii_case(signature)) {
        return Ok(());
    }
    Err(InfError::WrongStyle { reason: format!("its Signature is {signature:?}") })
}

pub(super) fn read(
    scope: &Scope<'_>,
    target: &Target,
    warnings: &mut Vec<String>,
) -> Result<InfVersion, InfError> {
    let value = |key: &str| scope.value("Version", key, 1).map(|found| found.map(|(text, _)| text));
    let (driver_date, driver_version) = match scope.find("Version", "DriverVer") {
        Some(line) => {
            let (date, version) = (scope.field(&line, 1)?, scope.field(&line, 2)?);
            driver_ver(&date, &version, line.number(), warnings)
        }
        None => (None, Version::default()),
    };
    let class_guid = match value("ClassGuid")? {
        Some(text) if !text.is_empty() => {
            let guid = text.parse().ok();
            if guid.is_none() {
                warnings.push(format!("ClassGuid {text:?} is not a GUID"));
            }
            guid
        }
        _ => None,
    };
    let present = |text: Option<String>| text.filter(|text| !text.is_empty());
    let extension_id = present(value("ExtensionId")?).and_then(|text| text.parse().ok());
    Ok(InfVersion {
        class: present(value("Class")?),
        class_guid,
        provider: value("Provider")?.unwrap_or_default(),
        catalog: catalog(scope, target)?,
        driver_date,
        driver_version,
        extension_id,
        pnp_lockdown: value("PnpLockdown")?.and_then(|text| super::number::number(&text)) == Some(1),
    })
}

/// The catalog for the target: its architecture's, else the one for all of NT, else the plain one.
fn catalog(scope: &Scope<'_>, target: &Target) -> Result<Option<String>, InfError> {
    let decorated = format!("CatalogFile.NT{}", target.arch);
    for key in [decorated.as_str(), "CatalogFile.NT", "CatalogFile"] {
        let Some((name, line)) = scope.value("Version", key, 1)? else { continue };
        if name.is_empty() {
            continue;
        }
        return match path::join(&[&name]) {
            Some(safe) if !safe.is_empty() => Ok(Some(safe)),
            _ => Err(InfError::UnsafePath { line, what: "catalog", path: name }),
        };
    }
    Ok(None)
}

/// `mm/dd/yyyy[,w.x.y.z]`: date and version, each nothing or zero when bad.
pub(super) fn driver_ver(
    date: &str,
    version: &str,
    line: u32,
    warnings: &mut Vec<String>,
) -> (Option<FileTime>, Version) {
    let mut parts = date.split(['/', '-']).map(|part| part.trim().parse::<u32>().ok());
    let parsed = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Some(month)), Some(Some(day)), Some(Some(year)), None) => {
            i32::try_from(year).ok().and_then(|year| FileTime::from_date(year, month, day))
        }
        _ => None,
    };
    if parsed.is_none() && !date.is_empty() {
        warnings.push(format!("line {line}: {date:?} is no date of the form mm/dd/yyyy"));
    }
    let number = if version.is_empty() {
        Version::default()
    } else {
        version.parse().unwrap_or_else(|_| {
            warnings.push(format!("line {line}: {version:?} is no driver version"));
            Version::default()
        })
    };
    (parsed, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn driver_versions() {
        let date = FileTime::from_date(2021, 12, 2);
        let cases = [
            ("12/02/2021", "100.90.104.21500", date, Version::new(100, 90, 104, 21500), 0),
            ("12-2-2021", "", date, Version::default(), 0),
            ("12/02/2021", "1.2", date, Version::new(1, 2, 0, 0), 0),
            ("02/30/2021", "1", None, Version::new(1, 0, 0, 0), 1),
            ("2021", "1.70000", None, Version::default(), 2),
            ("", "", None, Version::default(), 0),
        ];
        for (date, version, expected_date, expected_version, notes) in cases {
            let mut warnings = Vec::new();
            assert_eq!(
                driver_ver(date, version, 1, &mut warnings),
                (expected_date, expected_version),
                "{date}"
            );
            assert_eq!(warnings.len(), notes, "{date} {warnings:?}");
        }
    }
}
