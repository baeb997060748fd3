// SPDX-License-Identifier: GPL-3.0-or-later
//! From an INF and a target to a [`PackagePlan`].
//!
//! An install section is walked with its sub-sections, each through its own Include and Needs.
//! Sections of included INFs are read with the strings, destinations and disks of those INFs;
//! their files belong to other packages.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::document::{Document, Line, fold};
use super::models::{self, Models};
use super::number::{hex_number, number};
use super::plan::{
    Configuration, CopyFile, Device, Filter, Interface, PackagePlan, PropertyAction, RegistryAction,
};
use super::registry::{self, Directive, strings_of};
use super::scope::Scope;
use super::service::directive_of;
use super::{Inf, InfError, PackageOptions, Target, path, version};
use crate::base::Result;

/// The most bytes of text that one INF may expand to on one target: far above the largest real
/// one (a printer INF of some thousand install sections), far below what memory holds.
const EXPANSION_LIMIT: u64 = 128 << 20;
/// What a line costs besides its text.
const LINE_COST: usize = 64;
/// How deep Needs may lead through included INFs.
const MAX_DEPTH: usize = 16;
const MAX_WARNINGS: usize = 200;
const NO_FEATURE_SCORE: u8 = 0xFF;

impl CopyFile {
    /// The directory id of an absolute path (written -1 or 65535).
    pub const ABSOLUTE: u32 = 65535;
}

/// Directives that only a full installer can do.
const LEGACY: [&str; 9] = [
    "DelFiles",
    "RenFiles",
    "RegisterDlls",
    "UnregisterDlls",
    "ProfileItems",
    "UpdateInis",
    "UpdateIniFields",
    "Ini2Reg",
    "UpdateAutoBat",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Install,
    Hardware,
    Services,
    CoInstallers,
    Interfaces,
    Wdf,
    Filters,
    Class,
}

const SUB_SECTIONS: [(&str, Role); 6] = [
    (".HW", Role::Hardware),
    (".Services", Role::Services),
    (".CoInstallers", Role::CoInstallers),
    (".Interfaces", Role::Interfaces),
    (".Wdf", Role::Wdf),
    (".Filters", Role::Filters),
];

/// What is gathered over all configurations of a package.
pub(super) struct Planner<'a> {
    target: &'a Target,
    options: &'a PackageOptions<'a>,
    warnings: Vec<String>,
    spent: u64,
    includes: HashMap<String, Option<Arc<Inf>>>,
    /// An included INF that is there but cannot be read.
    include_error: Option<crate::base::Error>,
    source_files: Vec<String>,
    seen_files: HashSet<String>,
    cabinets: Vec<(String, String)>,
    copied_infs: Vec<String>,
}

/// How one install section reaches into included INFs.
#[derive(Default)]
struct Walk {
    /// INF and section of each open walk: a section that leads back to itself is a cycle.
    open: Vec<(String, String)>,
    /// INFs used, with the depth they were included at.
    used: Vec<(usize, String)>,
}

pub(super) fn plan(
    document: &Document,
    target: &Target,
    options: &PackageOptions<'_>,
) -> Result<PackagePlan> {
    let scope = Scope::new(document, target, &options.directories, String::new());
    let mut planner = Planner {
        target,
        options,
        warnings: Vec::new(),
        spent: 0,
        includes: HashMap::new(),
        include_error: None,
        source_files: Vec::new(),
        seen_files: HashSet::new(),
        cabinets: Vec::new(),
        copied_infs: Vec::new(),
    };
    let plan = planner.package(&scope);
    match planner.include_error.take() {
        Some(error) => Err(error),
        None => Ok(plan?),
    }
}

impl Planner<'_> {
    fn package(&mut self, scope: &Scope<'_>) -> Result<PackagePlan, InfError> {
        let mut plan = PackagePlan {
            version: version::read(scope, self.target, &mut self.warnings)?,
            offered: models::offered(scope.document),
            ..PackagePlan::default()
        };
        let selected = models::select(scope, self.options.undecorated, &mut self.warnings)?;
        let mut chosen = HashMap::new();
        let mut floors = Vec::new();
        for models in &selected {
            let before = plan.devices.len();
            self.devices(scope, models, &mut chosen, &mut plan)?;
            if plan.devices.len() > before {
                floors.push(models.decoration.os_floor());
            }
        }
        plan.os_floor = floors.into_iter().min().flatten();
        if plan.devices.is_empty()
            && let Some(section) = scope.install_section("DefaultInstall")
        {
            plan.default_install = Some(self.configuration(scope, section.name())?);
        }
        if let Some(section) = scope.install_section("ClassInstall32") {
            plan.has_class_install = true;
            let mut class = Configuration::default();
            self.walk(scope, section.name(), Role::Class, &mut class, &mut Walk::default())?;
            plan.class_registry = class.driver_registry;
        }
        plan.source_files = std::mem::take(&mut self.source_files);
        plan.cabinets = std::mem::take(&mut self.cabinets);
        plan.copied_infs = std::mem::take(&mut self.copied_infs);
        plan.warnings = std::mem::take(&mut self.warnings);
        Ok(plan)
    }

    fn devices(
        &mut self,
        scope: &Scope<'_>,
        models: &Models<'_>,
        chosen: &mut HashMap<String, usize>,
        plan: &mut PackagePlan,
    ) -> Result<(), InfError> {
        for line in models.section.lines() {
            let Some(key) = line.key() else { continue };
            let fields = scope.fields(&line)?;
            let (Some(install), ids) = (fields.first(), fields.get(1..).unwrap_or_default()) else {
                continue;
            };
            if install.is_empty() || ids.iter().all(String::is_empty) {
                // Such lines are directives: some INFs use one section as models and install section.
                continue;
            }
            let description = scope.token_text(key, line.number())?;
            self.spend(
                line.number(),
                description.text.len() + fields.iter().map(String::len).sum::<usize>(),
            )?;
            let configuration = match chosen.get(fold(install).as_str()) {
                Some(position) => *position,
                None => {
                    let position = self.device_configuration(scope, install, line.number(), plan)?;
                    chosen.insert(fold(install), position);
                    position
                }
            };
            let mut ids = ids.iter().map(|id| id.trim().to_owned());
            plan.devices.push(Device {
                description,
                manufacturer: models.manufacturer.clone(),
                configuration,
                hardware_id: ids.next().filter(|id| !id.is_empty()),
                compatible_ids: ids.filter(|id| !id.is_empty()).collect(),
            });
        }
        Ok(())
    }

    /// Position of the configuration that a models line leads to, made when it is new.
    fn device_configuration(
        &mut self,
        scope: &Scope<'_>,
        install: &str,
        line: u32,
        plan: &mut PackagePlan,
    ) -> Result<usize, InfError> {
        let section = scope.install_section(install);
        let name = section.map_or(install, |section| section.name());
        let known = plan.configurations.iter().position(|known| super::document::same(&known.name, name));
        if let Some(position) = known {
            return Ok(position);
        }
        if section.is_none() {
            self.warn(scope, line, || format!("there is no install section [{install}]"));
        }
        let configuration = self.configuration(scope, name)?;
        plan.configurations.push(configuration);
        Ok(plan.configurations.len() - 1)
    }

    fn configuration(&mut self, scope: &Scope<'_>, name: &str) -> Result<Configuration, InfError> {
        let mut out = Configuration {
            name: name.to_owned(),
            feature_score: NO_FEATURE_SCORE,
            ..Configuration::default()
        };
        let mut walk = Walk::default();
        if scope.section(name).is_some() {
            self.walk(scope, name, Role::Install, &mut out, &mut walk)?;
        }
        for (suffix, role) in SUB_SECTIONS {
            let sub_section = format!("{name}{suffix}");
            if scope.section(&sub_section).is_none() {
                continue;
            }
            match role {
                Role::Hardware => out.has_hw = true,
                Role::Services => out.has_services = true,
                Role::Interfaces => out.has_interfaces = true,
                Role::Wdf => out.has_wdf = true,
                _ => {}
            }
            self.walk(scope, &sub_section, role, &mut out, &mut walk)?;
        }
        // Stable: within a depth the order of the sections stays.
        walk.used.sort_by_key(|(depth, _)| *depth);
        for (_, inf) in walk.used {
            if !out.included_infs.iter().any(|known| super::document::same(known, &inf)) {
                out.included_infs.push(inf);
            }
        }
        Ok(out)
    }

    fn walk(
        &mut self,
        scope: &Scope<'_>,
        name: &str,
        role: Role,
        out: &mut Configuration,
        walk: &mut Walk,
    ) -> Result<(), InfError> {
        let Some(section) = scope.section(name) else { return Ok(()) };
        let here = (scope.inf.clone(), fold(name));
        if walk.open.contains(&here) || walk.open.len() >= MAX_DEPTH {
            self.warn(scope, section.number(), || format!("[{name}] is needed by itself; it is read once"));
            return Ok(());
        }
        let own = walk.open.is_empty();
        walk.open.push(here);
        let mut include = Vec::new();
        for line in section.lines().filter(|line| line.key().is_some_and(|key| scope.is_key(key, "Include")))
        {
            include.extend(scope.fields(&line)?.into_iter().filter(|inf| !inf.is_empty()));
        }
        let mut used = Vec::new();
        for line in section.lines() {
            let Some(key) = line.key() else { continue };
            self.spend(line.number(), 0)?;
            let key = if key.contains('%') { scope.expand(key, line.number())? } else { key.to_owned() };
            if key.eq_ignore_ascii_case("Needs") {
                self.needs(scope, &line, &include, role, out, walk, &mut used)?;
            } else {
                self.directive(scope, &key, &line, role, own, out)?;
            }
        }
        walk.open.pop();
        let depth = walk.open.len();
        for inf in include.iter().rev().filter(|inf| used.contains(&fold(inf))) {
            walk.used.push((depth, inf.clone()));
        }
        Ok(())
    }

    /// Reads the sections that a Needs line names, out of included INFs or this one.
    #[expect(clippy::too_many_arguments, reason = "one step of a recursion, with its whole state")]
    fn needs(
        &mut self,
        scope: &Scope<'_>,
        line: &Line<'_>,
        include: &[String],
        role: Role,
        out: &mut Configuration,
        walk: &mut Walk,
        used: &mut Vec<String>,
    ) -> Result<(), InfError> {
        for needed in scope.fields(line)? {
            let mut found = false;
            let mut absent = Vec::new();
            for name in include {
                let Some(inf) = self.included(name) else {
                    absent.push(fold(name));
                    continue;
                };
                let included = Scope::new(&inf.document, self.target, &self.options.directories, fold(name));
                let Some(section) = included.install_section(&needed) else { continue };
                self.walk(&included, section.name(), role, out, walk)?;
                used.push(fold(name));
                found = true;
                break;
            }
            if !found && let Some(section) = scope.install_section(&needed) {
                self.walk(scope, section.name(), role, out, walk)?;
                found = true;
            }
            if found {
                continue;
            }
            if absent.is_empty() {
                self.warn(scope, line.number(), || format!("no included INF has the section [{needed}]"));
            }
            // What cannot be looked into is believed to hold what is needed.
            used.extend(absent);
        }
        Ok(())
    }

    fn included(&mut self, name: &str) -> Option<Arc<Inf>> {
        let key = fold(name);
        if let Some(known) = self.includes.get(&key) {
            return known.clone();
        }
        // A path would leave the folder of the system's INFs.
        let safe = !name.contains(['\\', '/', ':']);
        let found = if safe { self.options.includes.inf(name) } else { Ok(None) };
        let inf = found.unwrap_or_else(|error| {
            let context = format!("while reading the included {name}");
            self.include_error.get_or_insert(error.with_context(context));
            None
        });
        self.includes.insert(key, inf.clone());
        inf
    }

    fn directive(
        &mut self,
        scope: &Scope<'_>,
        key: &str,
        line: &Line<'_>,
        role: Role,
        own: bool,
        out: &mut Configuration,
    ) -> Result<(), InfError> {
        if let Some(directive) = directive_of(Some(key)) {
            return self.role_registry(scope, directive, line, role, out);
        }
        match (role, fold(key).as_str()) {
            (_, "COPYFILES") => self.copy_files(scope, line, out)?,
            (_, "COPYINF") if !scope.is_external() => {
                for name in scope.fields(line)? {
                    match path::join(&[&name]) {
                        Some(safe) if safe.is_empty() => {}
                        Some(safe) => self.copied_infs.push(safe),
                        None => {
                            return Err(InfError::UnsafePath {
                                line: line.number(),
                                what: "INF",
                                path: name,
                            });
                        }
                    }
                }
            }
            (Role::Services, "ADDSERVICE") => self.add_service(scope, line, out)?,
            (Role::Services, "DELSERVICE") => out.deleted_services.push(scope.field(line, 1)?),
            (Role::Interfaces, "ADDINTERFACE") => self.add_interface(scope, line, out)?,
            (Role::Wdf, "KMDFSERVICE") => self.kmdf_service(scope, line, out)?,
            (Role::Filters, "ADDFILTER") => self.add_filter(scope, line, out)?,
            (Role::Install, "ADDPROPERTY") => self.add_property(scope, line, out)?,
            (Role::Install, "FEATURESCORE") if own => match hex_number(&scope.field(line, 1)?) {
                Some(score) if score <= 0xFF => out.feature_score = score.to_le_bytes()[0],
                _ => self.warn(scope, line.number(), || "FeatureScore is no byte".into()),
            },
            (Role::Install, "EXCLUDEID") if own => {
                out.exclude_ids.extend(scope.fields(line)?.into_iter().filter(|id| !id.is_empty()));
            }
            (Role::Install, "DRIVERVER") if own => {
                let (date, number) = (scope.field(line, 1)?, scope.field(line, 2)?);
                out.driver_version =
                    Some(version::driver_ver(&date, &number, line.number(), &mut self.warnings));
            }
            (Role::Install, "REBOOT" | "RESTART") => out.reboot = true,
            _ => {
                if let Some(name) = LEGACY.into_iter().find(|name| name.eq_ignore_ascii_case(key))
                    && !out.legacy_actions.iter().any(|known| known == name)
                {
                    out.legacy_actions.push(name.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Puts registry lines where their section says.
    fn role_registry(
        &mut self,
        scope: &Scope<'_>,
        directive: Directive,
        line: &Line<'_>,
        role: Role,
        out: &mut Configuration,
    ) -> Result<(), InfError> {
        let mut own_root = Vec::new();
        self.registry(scope, directive, line, &mut own_root, &mut out.other_registry)?;
        match role {
            Role::Hardware => out.hardware_registry.extend(own_root),
            Role::CoInstallers => {
                for action in own_root {
                    match &action.operation {
                        super::RegistryOperation::Set { data, .. }
                            if action.name.eq_ignore_ascii_case("CoInstallers32") =>
                        {
                            out.co_installers.extend(strings_of(data).iter().map(|entry| {
                                entry
                                    .split_once(',')
                                    .map_or(entry.as_str(), |(file, _)| file)
                                    .trim()
                                    .to_owned()
                            }));
                        }
                        _ => out.driver_registry.push(action),
                    }
                }
            }
            _ => out.driver_registry.extend(own_root),
        }
        Ok(())
    }

    /// The lines of the list sections that a directive names; HKR apart from other roots.
    pub(super) fn registry(
        &mut self,
        scope: &Scope<'_>,
        directive: Directive,
        line: &Line<'_>,
        own_root: &mut Vec<RegistryAction>,
        other: &mut Vec<RegistryAction>,
    ) -> Result<(), InfError> {
        for list in scope.fields(line)? {
            for entry in self.listed(scope, line.number(), &list) {
                let number = entry.number();
                let expand = |text: &str| scope.expand(text, number);
                let (action, note) = registry::action(directive, &entry, &expand)?;
                if let Some(note) = note {
                    self.warn(scope, number, || note);
                }
                let Some(action) = action else { continue };
                let data = match &action.operation {
                    super::RegistryOperation::Set { data, .. } => data.len(),
                    _ => 0,
                };
                self.spend(number, action.subkey.len() + action.name.len() + data)?;
                if action.root == "HKR" { own_root.push(action) } else { other.push(action) }
            }
        }
        Ok(())
    }

    /// The lines of a section that a directive lists; a missing one is said and is empty.
    pub(super) fn listed<'d>(&mut self, scope: &Scope<'d>, line: u32, name: &str) -> Vec<Line<'d>> {
        if name.is_empty() {
            return Vec::new();
        }
        let Some(section) = scope.section(name) else {
            self.warn(scope, line, || format!("there is no section [{name}]"));
            return Vec::new();
        };
        section.lines().collect()
    }

    fn copy_files(
        &mut self,
        scope: &Scope<'_>,
        line: &Line<'_>,
        out: &mut Configuration,
    ) -> Result<(), InfError> {
        for list in scope.fields(line)? {
            if let Some(name) = list.strip_prefix('@') {
                if let Some((dirid, subdir)) = self.destination(scope, "", &list, line.number())? {
                    self.copy_file(scope, name, name, 0, (dirid, &subdir), line.number(), out)?;
                }
                continue;
            }
            let entries = self.listed(scope, line.number(), &list);
            if entries.is_empty() {
                continue;
            }
            let Some((dirid, subdir)) = self.destination(scope, &list, &list, line.number())? else {
                continue;
            };
            for entry in entries {
                let target = scope.field(&entry, 1)?;
                let source = scope.field(&entry, 2)?;
                if target.is_empty() && source.is_empty() {
                    continue;
                }
                let source = if source.is_empty() { &target } else { &source };
                let target = if target.is_empty() { source } else { &target };
                let flags = self.number_field(scope, &entry, 4)?;
                self.copy_file(scope, target, source, flags, (dirid, &subdir), entry.number(), out)?;
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "all are parts of one line")]
    fn copy_file(
        &mut self,
        scope: &Scope<'_>,
        target: &str,
        source: &str,
        flags: u32,
        (dirid, subdir): (u32, &str),
        line: u32,
        out: &mut Configuration,
    ) -> Result<(), InfError> {
        let unsafe_path = |what, path: &str| InfError::UnsafePath { line, what, path: path.to_owned() };
        let safe_target = path::join(&[target]).filter(|path| !path.is_empty());
        let target = safe_target.ok_or_else(|| unsafe_path("destination", target))?;
        let mut folder = (String::new(), String::new());
        let mut cabinet = None;
        match scope.disk_file(source) {
            Some(file) => {
                folder.1 = scope.field(&file, 2)?;
                let id = scope.field(&file, 1)?;
                match scope.disk(&id) {
                    Some(disk) => {
                        folder.0 = scope.field(&disk, 4)?;
                        let tag = scope.field(&disk, 2)?;
                        cabinet = tag.to_ascii_lowercase().ends_with(".cab").then_some(tag);
                    }
                    None => self.warn(scope, file.number(), || format!("there is no source disk {id:?}")),
                }
            }
            None => self.warn(scope, line, || format!("[SourceDisksFiles] does not list {source:?}")),
        }
        let safe_source = path::join(&[&folder.0, &folder.1, source]).filter(|path| !path.is_empty());
        let source = safe_source
            .ok_or_else(|| unsafe_path("source path", &format!("{}\\{}\\{source}", folder.0, folder.1)))?;
        self.spend(line, target.len() + source.len() + subdir.len())?;
        if !scope.is_external() && self.seen_files.insert(fold(&source)) {
            if let Some(tag) = cabinet {
                let cabinet = path::join(&[&folder.0, &tag]).ok_or_else(|| unsafe_path("cabinet", &tag))?;
                self.cabinets.push((source.clone(), cabinet));
            }
            self.source_files.push(source.clone());
        }
        let file = CopyFile { dirid, subdir: subdir.to_owned(), target, source, flags };
        let files = if scope.is_external() { &mut out.external_files } else { &mut out.copy_files };
        files.push(file);
        Ok(())
    }

    /// Where the files of a list go. Nothing when an included INF does not say.
    fn destination(
        &mut self,
        scope: &Scope<'_>,
        list: &str,
        shown: &str,
        line: u32,
    ) -> Result<Option<(u32, String)>, InfError> {
        let own = if list.is_empty() { None } else { scope.find("DestinationDirs", list) };
        let found = own.or_else(|| scope.find("DestinationDirs", "DefaultDestDir"));
        let dirid = match &found {
            Some(entry) => number(&scope.field(entry, 1)?),
            None => None,
        };
        let (Some(entry), Some(dirid)) = (found, dirid) else {
            if scope.is_external() {
                return Ok(None);
            }
            return Err(InfError::NoDestination { line, list: shown.to_owned() });
        };
        let dirid = if dirid == u32::MAX { CopyFile::ABSOLUTE } else { dirid };
        let subdir = scope.field(&entry, 2)?;
        // An absolute destination begins with its drive.
        let (drive, below) = match subdir.split_at_checked(2) {
            Some((drive, below)) if dirid == CopyFile::ABSOLUTE && drive.ends_with(':') => (drive, below),
            _ => ("", subdir.as_str()),
        };
        let Some(below) = path::join(&[below]) else {
            return Err(InfError::UnsafePath { line: entry.number(), what: "destination", path: subdir });
        };
        let subdir = if drive.is_empty() { below } else { format!("{drive}\\{below}") };
        Ok(Some((dirid, subdir)))
    }

    fn add_interface(
        &mut self,
        scope: &Scope<'_>,
        line: &Line<'_>,
        out: &mut Configuration,
    ) -> Result<(), InfError> {
        let mut interface = Interface {
            class_guid: scope.field(line, 1)?,
            reference: scope.field(line, 2)?,
            registry: Vec::new(),
        };
        self.spend(line.number(), interface.class_guid.len() + interface.reference.len())?;
        for entry in self.listed(scope, line.number(), &scope.field(line, 3)?) {
            if let Some(directive) = directive_of(entry.key()) {
                self.registry(scope, directive, &entry, &mut interface.registry, &mut out.other_registry)?;
            } else if entry.key().is_some_and(|key| key.eq_ignore_ascii_case("CopyFiles")) {
                self.copy_files(scope, &entry, out)?;
            }
        }
        out.interfaces.push(interface);
        Ok(())
    }

    fn kmdf_service(
        &mut self,
        scope: &Scope<'_>,
        line: &Line<'_>,
        out: &mut Configuration,
    ) -> Result<(), InfError> {
        let (service, section) = (scope.field(line, 1)?, scope.field(line, 2)?);
        match scope.value(&section, "KmdfLibraryVersion", 1)? {
            Some((version, _)) => out.kmdf_versions.push((service, version)),
            None => self.warn(scope, line.number(), || format!("[{section}] has no KmdfLibraryVersion")),
        }
        Ok(())
    }

    fn add_filter(
        &mut self,
        scope: &Scope<'_>,
        line: &Line<'_>,
        out: &mut Configuration,
    ) -> Result<(), InfError> {
        let section = scope.field(line, 3)?;
        let value = |key| scope.value(&section, key, 1).map(|found| found.map(|(text, _)| text));
        out.filters.push(Filter {
            service: scope.field(line, 1)?,
            flags: self.number_field(scope, line, 2)?,
            position: value("FilterPosition")?,
            level: value("FilterLevel")?,
        });
        Ok(())
    }

    /// Lines of `name-or-{category}, [id], [type], [flags], value, ...`.
    fn add_property(
        &mut self,
        scope: &Scope<'_>,
        line: &Line<'_>,
        out: &mut Configuration,
    ) -> Result<(), InfError> {
        for list in scope.fields(line)? {
            for entry in self.listed(scope, line.number(), &list) {
                let mut fields = scope.fields(&entry)?;
                self.spend(entry.number(), fields.iter().map(String::len).sum())?;
                let values = if fields.len() > 4 { fields.split_off(4) } else { Vec::new() };
                let field = |position: usize| fields.get(position).map(String::as_str).unwrap_or_default();
                out.properties.push(PropertyAction {
                    name: field(0).to_owned(),
                    id: number(field(1)),
                    kind: number(field(2)),
                    flags: number(field(3)).unwrap_or(0),
                    values,
                });
            }
        }
        Ok(())
    }

    /// A number in a field; an empty one is 0, and so is one that is none, with a warning.
    pub(super) fn number_field(
        &mut self,
        scope: &Scope<'_>,
        line: &Line<'_>,
        position: usize,
    ) -> Result<u32, InfError> {
        let text = scope.field(line, position)?;
        if text.is_empty() {
            return Ok(0);
        }
        Ok(number(&text).unwrap_or_else(|| {
            self.warn(scope, line.number(), || format!("{text:?} is no number and counts as 0"));
            0
        }))
    }

    /// Counts what a line produced.
    pub(super) fn spend(&mut self, line: u32, bytes: usize) -> Result<(), InfError> {
        self.spent = self.spent.saturating_add((bytes + LINE_COST) as u64);
        if self.spent > EXPANSION_LIMIT {
            return Err(InfError::ExpansionLimit { line, limit: EXPANSION_LIMIT });
        }
        Ok(())
    }

    /// Notes an oddity of the package itself; those of included INFs are their owners' business.
    pub(super) fn warn(&mut self, scope: &Scope<'_>, line: u32, text: impl FnOnce() -> String) {
        if !scope.is_external() && self.warnings.len() < MAX_WARNINGS {
            let text = format!("line {line}: {}", text());
            if !self.warnings.contains(&text) {
                self.warnings.push(text);
            }
        }
    }
}
