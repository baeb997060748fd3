// SPDX-License-Identifier: GPL-3.0-or-later
//! Reports on INF files.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Page, Report};
use crate::base::{Error, ErrorClass};
use crate::inf::{
    Configuration, CopyFile, Directories, Finding, Level, PackagePlan, RegistryAction, RegistryOperation,
    Service, Target,
};

/// An INF and what it would do.
#[derive(Debug)]
pub struct InfPlan {
    /// Where it is.
    pub file: PathBuf,
    /// What it would do.
    pub plan: PackagePlan,
}

/// The answer to `inf show`.
#[derive(Debug)]
pub struct InfPlans {
    /// What they were read for.
    pub target: Target,
    /// In the order of the files.
    pub plans: Vec<InfPlan>,
}

/// An INF and what is wrong with it.
#[derive(Debug)]
pub struct InfFindings {
    /// Where it is.
    pub file: PathBuf,
    /// In the order of the lines.
    pub findings: Vec<Finding>,
}

/// The answer to `inf check`.
#[derive(Debug)]
pub struct InfChecks {
    /// In the order given.
    pub files: Vec<InfFindings>,
    error: Option<Error>,
}

impl InfChecks {
    /// Fails as a whole when a finding is an error.
    pub fn new(files: Vec<InfFindings>) -> Self {
        let is_bad = |file: &&InfFindings| file.findings.iter().any(|finding| finding.level == Level::Error);
        let bad = files.iter().filter(is_bad).count();
        let error = (bad > 0).then(|| {
            Error::new(ErrorClass::Corrupt, format!("{bad} of {} INF files have errors", files.len()))
                .with_hint(
                    "what each number means stands in Microsoft's \"INF validation errors and warnings\"",
                )
        });
        Self { files, error }
    }
}

fn level(finding: &Finding) -> &'static str {
    match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
    }
}

impl Report for InfChecks {
    fn json(&self) -> Value {
        let files = self.files.iter().map(|file| {
            json!({
                "file": file.file.to_string_lossy(),
                "findings": file.findings.iter().map(super::json::to_value).collect::<Vec<_>>(),
            })
        });
        json!({ "files": files.collect::<Vec<_>>() })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        for file in &self.files {
            if file.findings.is_empty() {
                page.line(format_args!("{}: no findings", file.file.display()));
            }
            for finding in &file.findings {
                let line = match finding.line {
                    0 => String::new(),
                    line => format!(":{line}"),
                };
                let number = finding.number.map(|number| format!(" {number}")).unwrap_or_default();
                page.line(format_args!(
                    "{}{line}: {}{number}: {}",
                    file.file.display(),
                    level(finding),
                    finding.message
                ));
            }
        }
    }

    fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }
}

/// A path on the running system; ids that only it can tell stay numbers.
fn place(dirid: u32, below: &[&str]) -> String {
    let parts = below.iter().filter(|part| !part.is_empty()).copied();
    let first = match dirid {
        CopyFile::ABSOLUTE => None,
        13 => Some("(driver store)".to_owned()),
        _ => Some(Directories::default().path(dirid).unwrap_or_else(|| format!("%{dirid}%"))),
    };
    let first = first.map(|path| path.trim_end_matches('\\').to_owned());
    first.into_iter().chain(parts.map(str::to_owned)).collect::<Vec<_>>().join("\\")
}

fn file_json(file: &CopyFile) -> Value {
    json!({
        "source": file.source,
        "destination": place(file.dirid, &[&file.subdir, &file.target]),
        "dirid": file.dirid,
        "flags": file.flags,
    })
}

fn registry_json(action: &RegistryAction) -> Value {
    let (operation, kind, data) = match &action.operation {
        RegistryOperation::Set { kind, data } => {
            let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
            ("set", Some(*kind), Some(hex))
        }
        RegistryOperation::KeyOnly => ("create_key", None, None),
        RegistryOperation::DeleteKey => ("delete_key", None, None),
        RegistryOperation::DeleteValue => ("delete_value", None, None),
        RegistryOperation::DeleteString { text } => ("delete_string", None, Some(text.clone())),
        RegistryOperation::Bits { mask, byte, set } => {
            let verb = if *set { "set_bits" } else { "clear_bits" };
            (verb, None, Some(format!("mask {mask:#x}, byte {byte}")))
        }
    };
    json!({
        "root": action.root,
        "key": action.subkey,
        "name": action.name,
        "flags": action.flags,
        "operation": operation,
        "type": kind,
        "data": data,
    })
}

fn all<T>(list: &[T], each: fn(&T) -> Value) -> Vec<Value> {
    list.iter().map(each).collect()
}

fn service_json(service: &Service) -> Value {
    json!({
        "name": service.name,
        "function_driver": service.flags & Service::ASSOCSERVICE != 0,
        "display_name": service.display_name.as_ref().map(|text| &text.text),
        "description": service.description.as_ref().map(|text| &text.text),
        "type": service.service_type,
        "start": service.start_type,
        "error_control": service.error_control,
        "binary": service.binary.as_ref().map(|(dirid, rest)| place(*dirid, &[rest])),
        "group": service.load_order_group,
        "dependencies": service.dependencies,
        "registry": all(&service.registry, registry_json),
    })
}

fn configuration_json(configuration: &Configuration) -> Value {
    let interface = |interface: &crate::inf::Interface| {
        json!({
            "class": interface.class_guid,
            "reference": interface.reference,
            "registry": all(&interface.registry, registry_json),
        })
    };
    json!({
        "section": configuration.name,
        "feature_score": configuration.feature_score,
        "includes": configuration.included_infs,
        "reboot": configuration.reboot,
        "files": all(&configuration.copy_files, file_json),
        "files_of_others": all(&configuration.external_files, file_json),
        "services": all(&configuration.services, service_json),
        "deleted_services": configuration.deleted_services,
        "driver_registry": all(&configuration.driver_registry, registry_json),
        "hardware_registry": all(&configuration.hardware_registry, registry_json),
        "other_registry": all(&configuration.other_registry, registry_json),
        "interfaces": configuration.interfaces.iter().map(interface).collect::<Vec<_>>(),
        "filters": configuration.filters.iter().map(|filter| &filter.service).collect::<Vec<_>>(),
        "co_installers": configuration.co_installers,
        "legacy_actions": configuration.legacy_actions,
        "deferred_actions": configuration.deferred_actions,
    })
}

fn plan_json(file: &InfPlan) -> Value {
    let plan = &file.plan;
    let name = |position: usize| plan.configurations.get(position).map(|chosen| chosen.name.as_str());
    let devices = plan.devices.iter().map(|device| {
        json!({
            "description": device.description.text,
            "manufacturer": device.manufacturer.text,
            "section": name(device.configuration),
            "hardware_id": device.hardware_id,
            "compatible_ids": device.compatible_ids,
        })
    });
    json!({
        "file": file.file.to_string_lossy(),
        "class": plan.version.class,
        "class_guid": plan.version.class_guid.map(|guid| guid.to_string()),
        "provider": plan.version.provider,
        "catalog": plan.version.catalog,
        "date": plan.version.driver_date,
        "version": plan.version.driver_version.to_string(),
        "lockdown": plan.version.pnp_lockdown,
        "models_for": plan.offered.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "devices": devices.collect::<Vec<_>>(),
        "configurations": all(&plan.configurations, configuration_json),
        "default_install": plan.default_install.as_ref().map(configuration_json),
        "files": plan.source_files,
        "new_class": plan.has_class_install,
        "warnings": plan.warnings,
    })
}

impl Report for InfPlans {
    fn json(&self) -> Value {
        json!({
            "architecture": self.target.arch.as_str(),
            "windows": self.target.version.to_string(),
            "infs": self.plans.iter().map(plan_json).collect::<Vec<_>>(),
        })
    }

    fn dism(&self, page: &mut Page) {
        self.native(page);
    }

    fn native(&self, page: &mut Page) {
        for (position, file) in self.plans.iter().enumerate() {
            if position > 0 {
                page.blank();
            }
            self.plan(file, page);
        }
    }
}

impl InfPlans {
    fn plan(&self, file: &InfPlan, page: &mut Page) {
        let plan = &file.plan;
        page.field("INF", file.file.display());
        page.field("class", plan.version.class.as_deref().unwrap_or_default());
        page.field("provider", &plan.version.provider);
        page.field("version", plan.version.driver_version);
        if let Some(date) = plan.version.driver_date {
            page.field("date", page.day(date));
        }
        page.field("catalog", plan.version.catalog.as_deref().unwrap_or("none: it cannot be signed"));
        if let Some(reason) = plan.not_applicable(&self.target) {
            page.line(reason);
        }
        for device in &plan.devices {
            let ids = device.hardware_id.iter().chain(&device.compatible_ids);
            let ids: Vec<&str> = ids.map(String::as_str).collect();
            page.line(format_args!("device {}: {}", device.description.text, ids.join(", ")));
        }
        for configuration in plan.configurations.iter().chain(&plan.default_install) {
            page.line(format_args!("[{}]", configuration.name));
            for file in &configuration.copy_files {
                let destination = place(file.dirid, &[&file.subdir, &file.target]);
                page.line(format_args!("  copies {} to {destination}", file.source));
            }
            for service in &configuration.services {
                let binary = service.binary.as_ref().map(|(dirid, rest)| place(*dirid, &[rest]));
                let binary = binary.unwrap_or_default();
                page.line(format_args!("  adds the service {} ({binary})", service.name));
            }
            let counts = [
                ("driver", configuration.driver_registry.len()),
                ("hardware", configuration.hardware_registry.len()),
                ("other", configuration.other_registry.len()),
            ];
            for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
                page.line(format_args!("  {count} registry lines ({what} keys)"));
            }
            for action in configuration.legacy_actions.iter().chain(&configuration.deferred_actions) {
                page.line(format_args!("  left to the device's installation: {action}"));
            }
        }
        for warning in &plan.warnings {
            page.line(format_args!("note: {warning}"));
        }
    }
}
