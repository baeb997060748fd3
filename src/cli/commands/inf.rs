// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands about INF files.

use super::super::values::Values;
use super::Found;
use super::cat::{parse_version, whole};
use crate::base::{Arch, Context as _, Error, ErrorClass, Result, Version};
use crate::image::Environment;
use crate::inf::{Finding, Inf, Level, PackageOptions, Target};
use crate::report::{InfChecks, InfFindings, InfPlan, InfPlans};

/// What INFs are read for when nothing is named: 25H2.
const NEWEST: Version = Version::new(10, 0, 26200, 0);
const WORKSTATION: u8 = 1;
const SINGLE_USER: u32 = 0x100;
const ENGLISH: u16 = 0x0409;

fn target(values: &Values) -> Result<Target> {
    let arch = match values.text("architecture")? {
        None => Arch::Amd64,
        Some(word) => Arch::parse(word).ok_or_else(|| {
            Error::new(ErrorClass::Usage, format!("{word:?} is no architecture of Windows"))
        })?,
    };
    let version = values.text("windows")?.map(parse_version).transpose()?.unwrap_or(NEWEST);
    Ok(Target { arch, version, product_type: WORKSTATION, suite_mask: SINGLE_USER, language: ENGLISH })
}

/// `inf show`.
pub(crate) fn show(_: &Environment, values: &Values) -> Result<Found> {
    let target = target(values)?;
    let mut plans = Vec::new();
    for path in values.paths("file")? {
        let context = || format!("while reading {}", path.display());
        let plan = Inf::parse(&whole(&path)?).and_then(|inf| inf.package(&target)).context(context)?;
        plans.push(InfPlan { file: path, plan });
    }
    Ok(Box::new(InfPlans { target, plans }))
}

/// `inf check`.
pub(crate) fn check(environment: &Environment, values: &Values) -> Result<Found> {
    let target = target(values)?;
    let universal = values.has("universal");
    let mut files = Vec::new();
    for path in values.paths("file")? {
        environment.cancel.check()?;
        let mut findings = match Inf::parse(&whole(&path)?) {
            Ok(inf) => inf.check(&target, &PackageOptions::default()),
            Err(error) => vec![Finding::refused(&error)],
        };
        for finding in findings.iter_mut().filter(|finding| universal && finding.is_about_universality()) {
            finding.level = Level::Error;
        }
        files.push(InfFindings { file: path, findings });
    }
    Ok(Box::new(InfChecks::new(files)))
}
