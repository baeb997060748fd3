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
use super::scope::{Budget, Scope};
use super::service::directive_of;
use super::{Inf, InfError, PackageOptions, Target, path, version};
use crate::base::Result;

/// What one section that is needed costs of the budget: reading it again sets up an included INF.
const NEED_COST: usize = 8 << 10;
/// What a line of a list costs besides its text.
const LINE_COST: usize = 32;
/// How deep Needs may lead through included INFs.
const MAX_DEPTH: usize = 16;
const MAX_WARNINGS: usize = 200;
const NO_FEATURE_SCORE: u8 = 0xFF;

impl CopyFile {
    /// The directory id of an absolute path (written -1 or 65535).
    pub const ABSOLUTE: u32 = 65535;
}

/// The directory id of the package's own folder in the store.
const STORE: u32 = 13;

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

/// Directives whose lines look like models lines when they name several lists.
const DIRECTIVES: [&str; 6] = ["CopyFiles", "AddReg", "DelReg", "BitReg", "Include", "Needs"];

/// Directives that have no effect where they stand, and the section they belong to.
const ELSEWHERE: [(&str, Role, &str); 14] = [
    ("AddService", Role::Services, ".Services"),
    ("DelService", Role::Services, ".Services"),
    ("AddInterface", Role::Interfaces, ".Interfaces"),
    ("AddFilter", Role::Filters, ".Filters"),
    ("AddSoftware", Role::Deferred, ".Software"),
    ("AddComponent", Role::Deferred, ".Components"),
    ("AddEventProvider", Role::Deferred, ".Events"),
    ("KmdfService", Role::Wdf, ".Wdf"),
    ("UmdfService", Role::Wdf, ".Wdf"),
    ("ServiceBinary", Role::Services, "that AddService names"),
    ("ServiceType", Role::Services, "that AddService names"),
    ("StartType", Role::Services, "that AddService names"),
    ("KmdfLibraryVersion", Role::Wdf, "that KmdfService names"),
    ("UmdfLibraryVersion", Role::Wdf, "that UmdfService names"),
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
    /// Sub-sections whose work is done when the device is installed.
    Deferred,
}

const SUB_SECTIONS: [(&str, Role); 10] = [
    (".HW", Role::Hardware),
    (".Services", Role::Services),
    (".CoInstallers", Role::CoInstallers),
    (".Interfaces", Role::Interfaces),
    (".Wdf", Role::Wdf),
    (".Filters", Role::Filters),
    (".Events", Role::Deferred),
    (".Software", Role::Deferred),
    (".Components", Role::Deferred),
    (".WMI", Role::Deferred),
];

/// What is gathered over all configurations of a package.
pub(super) struct Planner<'a> {
    target: &'a Target,
    options: &'a PackageOptions<'a>,
    warnings: Vec<String>,
    budget: &'a Budget,
    includes: HashMap<String, Option<Arc<Inf>>>,
    /// An included INF that is there but cannot be read.
    include_error: Option<crate::base::Error>,
    source_files: Vec<String>,
    seen_files: HashSet<String>,
    cabinets: Vec<(String, String)>,
    copied_infs: Vec<String>,
}

/// Positions of configurations.
#[derive(Default)]
struct Chosen {
    /// By the name that models lines give.
    by_install: HashMap<String, usize>,
    /// By the decorated name that was chosen for it.
    by_name: HashMap<String, usize>,
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
    let budget = Budget::default();
    let scope = Scope::new(document, target, &options.directories, &budget, String::new());
    let mut planner = Planner {
        target,
        options,
        warnings: Vec::new(),
        budget: &budget,
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
        let mut chosen = Chosen::default();
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
            plan.class_registry.extend(class.other_registry);
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
        chosen: &mut Chosen,
        plan: &mut PackagePlan,
    ) -> Result<(), InfError> {
        for line in models.section.lines() {
            let Some(key) = line.key() else { continue };
            let fields = scope.fields(&line)?;
            let (Some(install), ids) = (fields.first(), fields.get(1..).unwrap_or_default()) else {
                continue;
            };
            // Some INFs use one section as models and install section: its directives are no models.
            let directive = DIRECTIVES.iter().any(|name| name.eq_ignore_ascii_case(key));
            if directive || install.is_empty() || ids.iter().all(String::is_empty) {
                continue;
            }
            let description = scope.token_text(key, line.number())?;
            self.budget.spend(line.number(), models.manufacturer.text.len())?;
            let configuration = self.device_configuration(scope, install, line.number(), chosen, plan)?;
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
        chosen: &mut Chosen,
        plan: &mut PackagePlan,
    ) -> Result<usize, InfError> {
        if let Some(position) = chosen.by_install.get(fold(install).as_str()) {
            return Ok(*position);
        }
        let section = scope.install_section(install);
        let name = section.map_or(install, |section| section.name());
        let position = match chosen.by_name.get(fold(name).as_str()) {
            Some(position) => *position,
            None => {
                if section.is_none() {
                    self.warn(scope, line, || format!("there is no install section [{install}]"));
                }
                let configuration = self.configuration(scope, name)?;
                plan.configurations.push(configuration);
                plan.configurations.len() - 1
            }
        };
        chosen.by_install.insert(fold(install), position);
        chosen.by_name.insert(fold(name), position);
        Ok(position)
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
        let mut seen = HashSet::new();
        let used = walk.used.into_iter().map(|(_, inf)| inf);
        out.included_infs = used.filter(|inf| seen.insert(fold(inf))).collect();
        self.check_services(scope, &out);
        Ok(out)
    }

    /// Says which services name a file that the package does not copy.
    fn check_services(&mut self, scope: &Scope<'_>, out: &Configuration) {
        if !out.included_infs.is_empty() {
            return;
        }
        let copied: HashSet<(u32, String)> = out
            .copy_files
            .iter()
            .chain(&out.external_files)
            .filter_map(|file| {
                // Files that stay in the store keep the folder they came from.
                let place = if file.dirid == STORE {
                    path::join(&[&file.source])?
                } else {
                    path::join(&[&file.subdir, &file.target])?
                };
                Some((file.dirid, fold(&place)))
            })
            .collect();
        for service in out.services.iter().filter(|service| !service.external) {
            let Some((dirid, file)) = &service.binary else { continue };
            // Arguments may follow the program.
            let program = file.split_once(" -").map_or(file.as_str(), |(program, _)| program);
            let inbox = program.eq_ignore_ascii_case("WUDFRd.sys");
            if *dirid != CopyFile::ABSOLUTE && !inbox && !copied.contains(&(*dirid, fold(program))) {
                let name = &service.name;
                self.warn(scope, 0, || {
                    format!("the service {name} runs %{dirid}%\\{program}, which the package does not copy")
                });
            }
        }
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
        for line in section.lines().filter(|line| {
            line.key().is_some_and(|key| scope.key(key, line.number()).eq_ignore_ascii_case("Include"))
        }) {
            include.extend(scope.fields(&line)?.into_iter().filter(|inf| !inf.is_empty()));
        }
        let mut used = HashSet::new();
        for line in section.lines() {
            let Some(key) = line.key() else { continue };
            self.budget.spend(line.number(), 0)?;
            let key = scope.key(key, line.number());
            if key.eq_ignore_ascii_case("Needs") {
                self.needs(scope, &line, &include, role, out, walk, &mut used)?;
            } else {
                self.directive(scope, &key, &line, role, own, out)?;
            }
        }
        walk.open.pop();
        let depth = walk.open.len();
        for inf in include.iter().rev().filter(|inf| used.contains(fold(inf).as_str())) {
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
        used: &mut HashSet<String>,
    ) -> Result<(), InfError> {
        for needed in scope.fields(line)? {
            self.budget.spend(line.number(), NEED_COST)?;
            let mut found = false;
            let mut absent = Vec::new();
            for name in include {
                self.budget.spend(line.number(), name.len())?;
                let Some(inf) = self.included(name) else {
                    absent.push(fold(name));
                    continue;
                };
                let included = Scope::new(
                    &inf.document,
                    self.target,
                    &self.options.directories,
                    self.budget,
                    fold(name),
                );
                let Some(section) = included.install_section(&needed) else { continue };
                self.walk(&included, section.name(), role, out, walk)?;
                used.insert(fold(name));
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
        if role == Role::Deferred && !key.eq_ignore_ascii_case("CopyFiles") {
            if !out.deferred_actions.iter().any(|known| known.eq_ignore_ascii_case(key)) {
                out.deferred_actions.push(key.to_owned());
            }
            return Ok(());
        }
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
                if let Some((name, belongs, section)) =
                    ELSEWHERE.into_iter().find(|(name, ..)| name.eq_ignore_ascii_case(key))
                    && belongs != role
                {
                    self.warn(scope, line.number(), || {
                        format!("{name} has no effect here; it belongs into the section {section}")
                    });
                }
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
            for entry in self.listed(scope, line.number(), &list)? {
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
                self.budget.spend(number, action.subkey.len() + action.name.len() + data)?;
                if action.root == "HKR" { own_root.push(action) } else { other.push(action) }
            }
        }
        Ok(())
    }

    /// The lines of a section that a directive lists; a missing one is said and is empty.
    pub(super) fn listed<'d>(
        &mut self,
        scope: &Scope<'d>,
        line: u32,
        name: &str,
    ) -> Result<Vec<Line<'d>>, InfError> {
        if name.is_empty() {
            return Ok(Vec::new());
        }
        let Some(section) = scope.section(name) else {
            self.warn(scope, line, || format!("there is no section [{name}]"));
            return Ok(Vec::new());
        };
        let lines: Vec<Line<'d>> = section.lines().collect();
        self.budget.spend(line, lines.len() * LINE_COST)?;
        Ok(lines)
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
            let entries = self.listed(scope, line.number(), &list)?;
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
        let mut external = scope.is_external();
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
            // Windows' own layout lists the file, so it is in the image already.
            None if scope.find("Version", "LayoutFile").is_some() => external = true,
            None => self.warn(scope, line, || format!("[SourceDisksFiles] does not list {source:?}")),
        }
        let safe_source = path::join(&[&folder.0, &folder.1, source]).filter(|path| !path.is_empty());
        let source = safe_source
            .ok_or_else(|| unsafe_path("source path", &format!("{}\\{}\\{source}", folder.0, folder.1)))?;
        self.budget.spend(line, target.len() + source.len() + subdir.len())?;
        if !external && self.seen_files.insert(fold(&source)) {
            if let Some(tag) = cabinet {
                let cabinet = path::join(&[&folder.0, &tag]).ok_or_else(|| unsafe_path("cabinet", &tag))?;
                self.cabinets.push((source.clone(), cabinet));
            }
            self.source_files.push(source.clone());
        }
        let file = CopyFile { dirid, subdir: subdir.to_owned(), target, source, flags };
        let files = if external { &mut out.external_files } else { &mut out.copy_files };
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
        for entry in self.listed(scope, line.number(), &scope.field(line, 3)?)? {
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
            for entry in self.listed(scope, line.number(), &list)? {
                let mut fields = scope.fields(&entry)?;
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

    /// Notes an oddity of the package itself; those of included INFs are their owners' business.
    pub(super) fn warn(&mut self, scope: &Scope<'_>, line: u32, text: impl FnOnce() -> String) {
        if !scope.is_external() && self.warnings.len() < MAX_WARNINGS {
            let text = if line == 0 { text() } else { format!("line {line}: {}", text()) };
            if !self.warnings.contains(&text) {
                self.warnings.push(text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Arch, Code, Version};
    use crate::inf::{
        Decoration, Directories, IncludeSource, NoIncludes, RegistryOperation, Service, TokenText,
        UndecoratedModels,
    };

    const HEAD: &str = "[Version]\nSignature=\"$Windows NT$\"\nCatalogFile=a.cat\n";
    const MODELS: &str = "[Manufacturer]\n%m%=M,NTamd64\n[M.NTamd64]\nDevice=I,ID\\1\n[Strings]\nm=Maker\n";
    const FILES: &str = "[DestinationDirs]\nDefaultDestDir=12\n[SourceDisksNames]\n1=d\n";

    fn target() -> Target {
        Target {
            arch: Arch::Amd64,
            version: Version::new(10, 0, 19041, 0),
            product_type: 1,
            suite_mask: 0,
            language: 0x0409,
        }
    }

    fn inf(text: &str) -> Inf {
        Inf::parse(format!("{HEAD}{text}").as_bytes()).unwrap()
    }

    fn package(text: &str) -> PackagePlan {
        inf(text).package(&target()).unwrap()
    }

    fn refused(text: &str) -> crate::base::Error {
        inf(text).package(&target()).unwrap_err()
    }

    /// The one configuration of an INF whose install section is `I`.
    fn configuration(text: &str) -> (Configuration, Vec<String>) {
        let mut plan = package(&format!("{MODELS}{FILES}{text}"));
        assert_eq!(plan.configurations.len(), 1);
        (plan.configurations.remove(0), plan.warnings)
    }

    struct Inbox(Vec<(&'static str, &'static str)>);

    impl IncludeSource for Inbox {
        fn inf(&self, name: &str) -> Result<Option<Arc<Inf>>> {
            let found = self.0.iter().find(|(file, _)| file.eq_ignore_ascii_case(name));
            found.map(|(_, text)| Inf::parse(text.as_bytes()).map(Arc::new)).transpose()
        }
    }

    fn with_inbox(text: &str, inbox: Vec<(&'static str, &'static str)>) -> Result<PackagePlan> {
        let inbox = Inbox(inbox);
        let options = PackageOptions { includes: &inbox, ..PackageOptions::default() };
        inf(&format!("{MODELS}{FILES}{text}")).package_with(&target(), &options)
    }

    #[test]
    fn install_sections_by_decoration() {
        let cases = [
            ("[I]\n[I.NT]\n[I.NTamd64]\n[I.NTx86]", "I.NTamd64"),
            ("[I]\n[i.nt]\n[I.NTx86]", "i.nt"),
            ("[I]\n[I.NTamd64.10.0]\n[I.NTamd64.6.1]\n[I.NTamd64.10.0...22000]", "I.NTamd64.10.0"),
            ("[I]\n[I.NTamd64.Services]\n[I.NTx]\n[I2.NT]", "I"),
        ];
        for (text, expected) in cases {
            assert_eq!(configuration(text).0.name, expected, "{text}");
        }
    }

    #[test]
    fn sub_sections_hang_on_the_chosen_name() {
        let (found, _) = configuration(
            "[I]\n[I.NT]\nFeatureScore=DA\nExcludeId=A\\1,B\\2\nDriverVer=1-2-2020,1.2\nReboot\nDelFiles=x\n\
             RegisterDlls=y\nRegisterDlls=z\n[I.Services]\nAddService=no,2,s\n[I.NT.Services]\n\
             AddService=,2\nAddService=svc,%flags%,s,e,Application,other\nDelService=old,0x204\n[s]\n\
             ServiceType=0x10\nStartType=2\nServiceBinary=%11%\\x.exe\nDependencies=RpcSs,+TDI\n\
             StartName=LocalService\nAddTrigger=t\nDelayedAutoStart=1\nFailureActions=f\n\
             RequiredPrivileges=SeA,SeB\nAddReg=r\n[t]\nTriggerType=1\nAction=1\nSubType={g}\n[f]\nResetPeriod=5\nAction=1,100\n\
             [e]\nAddReg=r\n[r]\nHKR,K,N,,v\nHKLM,K,N,,v\n[I.NT.Interfaces]\nAddInterface={i},ref,a\n[a]\nAddReg=r\n\
             [I.NT.Wdf]\nKmdfService=svc,w\n[w]\nKmdfLibraryVersion=1.15\n[I.NT.Filters]\nAddFilter=flt,,p\n[p]\n\
             FilterLevel=Upper\n[I.NT.CoInstallers]\nAddReg=c\n[c]\nHKR,,CoInstallers32,0x10000,\"a.dll,Entry\",b.dll\n\
             HKR,,Other,,x\n[Strings]\nflags=2",
        );
        let registry = |root: &str| RegistryAction {
            root: root.into(),
            subkey: "K".into(),
            name: "N".into(),
            flags: 0,
            operation: RegistryOperation::Set { kind: 1, data: b"v\0\0\0".to_vec() },
        };
        let service = Service {
            name: "svc".into(),
            flags: 2,
            service_type: 0x10,
            start_type: 2,
            binary: Some((11, "x.exe".into())),
            start_name: Some("LocalService".into()),
            dependencies: vec!["RpcSs".into(), "+TDI".into()],
            delayed_auto_start: Some(1),
            required_privileges: vec!["SeA".into(), "SeB".into()],
            triggers: vec![vec![
                ("TriggerType".into(), vec!["1".into()]),
                ("Action".into(), vec!["1".into()]),
                ("SubType".into(), vec!["{g}".into()]),
            ]],
            failure_actions: vec![
                ("ResetPeriod".into(), vec!["5".into()]),
                ("Action".into(), vec!["1".into(), "100".into()]),
            ],
            registry: vec![registry("HKR")],
            event_log: Some(super::super::EventLog {
                log: "Application".into(),
                name: "other".into(),
                registry: vec![registry("HKR")],
            }),
            ..Service::default()
        };
        let expected = Configuration {
            name: "I.NT".into(),
            feature_score: 0xDA,
            exclude_ids: vec!["A\\1".into(), "B\\2".into()],
            driver_version: Some((crate::base::FileTime::from_date(2020, 1, 2), Version::new(1, 2, 0, 0))),
            reboot: true,
            services: vec![service],
            deleted_services: vec!["old".into()],
            null_driver: true,
            driver_registry: vec![RegistryAction {
                name: "Other".into(),
                subkey: String::new(),
                operation: RegistryOperation::Set { kind: 1, data: b"x\0\0\0".to_vec() },
                ..registry("HKR")
            }],
            other_registry: vec![registry("HKLM"), registry("HKLM"), registry("HKLM")],
            interfaces: vec![Interface {
                class_guid: "{i}".into(),
                reference: "ref".into(),
                registry: vec![registry("HKR")],
            }],
            filters: vec![Filter { service: "flt".into(), level: Some("Upper".into()), ..Filter::default() }],
            has_services: true,
            has_interfaces: true,
            has_wdf: true,
            co_installers: vec!["a.dll".into(), "b.dll".into()],
            kmdf_versions: vec![("svc".into(), "1.15".into())],
            legacy_actions: vec!["DelFiles".into(), "RegisterDlls".into()],
            ..Configuration::default()
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn files_with_their_places() {
        let text = "[I]\nCopyFiles=list,@c.dll\n[I.CoInstallers]\nCopyFiles=co\n[list]\na.sys,,,0x10\n\
                    \"new name.bin\",b.bin\n[co]\nco.dll\n[DestinationDirs]\nlist=13\nco=11,sub\\dir\n\
                    [SourceDisksNames.amd64]\n2=d,x.cab,,\\x64\n[SourceDisksFiles.amd64]\na.sys=2,deep\n\
                    [SourceDisksFiles]\na.sys=1\nb.bin=0x1,other\nc.dll=1\nco.dll=1\n";
        let plan = package(&format!("{MODELS}{FILES}{text}"));
        let file = |dirid, subdir: &str, target: &str, source: &str, flags| CopyFile {
            dirid,
            subdir: subdir.into(),
            target: target.into(),
            source: source.into(),
            flags,
        };
        let expected = [
            file(13, "", "a.sys", r"x64\deep\a.sys", 0x10),
            file(13, "", "new name.bin", r"other\b.bin", 0),
            file(12, "", "c.dll", "c.dll", 0),
            file(11, r"sub\dir", "co.dll", "co.dll", 0),
        ];
        assert_eq!(plan.configurations[0].copy_files, expected);
        assert_eq!(plan.source_files, [r"x64\deep\a.sys", r"other\b.bin", "c.dll", "co.dll"]);
        assert_eq!(plan.cabinets, [(r"x64\deep\a.sys".to_owned(), r"x64\x.cab".to_owned())]);
        assert_eq!(plan.warnings, Vec::<String>::new());
    }

    #[test]
    fn files_of_the_system_layout() {
        let text = format!(
            "LayoutFile=layout.inf\n{MODELS}{FILES}[I]\nCopyFiles=@own.sys,@inbox.sys\n[SourceDisksFiles]\nown.sys=1\n"
        );
        let plan = package(&text);
        let names = |files: &[CopyFile]| files.iter().map(|file| file.target.clone()).collect::<Vec<_>>();
        assert_eq!(names(&plan.configurations[0].copy_files), ["own.sys"]);
        assert_eq!(names(&plan.configurations[0].external_files), ["inbox.sys"]);
        assert_eq!((plan.source_files, plan.warnings.len()), (vec!["own.sys".to_owned()], 0));
    }

    #[test]
    fn what_is_left_to_the_device_installation() {
        let (found, _) = configuration(
            "[I]\n[I.Software]\nAddSoftware=x,,s\nAddSoftware=y\nCopyFiles=@a.exe\n[I.Components]\nAddComponent=c\n\
             [SourceDisksFiles]\na.exe=1",
        );
        assert_eq!(found.deferred_actions, ["AddSoftware", "AddComponent"]);
        assert_eq!(found.copy_files.len(), 1);
    }

    #[test]
    fn an_absolute_destination() {
        let (found, _) = configuration(
            "[I]\nCopyFiles=list\n[list]\na\n[DestinationDirs]\nlist=-1,C:\\x\\y\n[SourceDisksFiles]\na=1",
        );
        let file = &found.copy_files[0];
        assert_eq!((file.dirid, file.subdir.as_str()), (CopyFile::ABSOLUTE, r"C:\x\y"));
    }

    #[test]
    fn included_sections() {
        let inbox = vec![
            (
                "one.inf",
                "[Version]\nSignature=$CHICAGO$\n[DestinationDirs]\nDefaultDestDir=12\n[Base.NT]\nAddReg=r\n\
                 CopyFiles=f\nInclude=two.inf\nNeeds=Deep\n[r]\nHKR,,N,,%t%\n[f]\ninbox.sys\n[Strings]\nt=theirs\n\
                 [Base.NT.Services]\nAddService=inboxsvc,2,s\n[s]\nStartType=3\n",
            ),
            ("two.inf", "[Version]\nSignature=$CHICAGO$\n[Deep]\nAddReg=r\n[r]\nHKR,,Deep,,x\n"),
            ("unused.inf", "[Version]\nSignature=$CHICAGO$\n"),
        ];
        let text = "[I]\nInclude=unused.inf,ONE.inf\nNeeds=Base,Own\nAddReg=r\n[r]\nHKR,,Mine,,%t%\n[Own]\nReboot\n\
                    [I.Services]\nInclude=one.inf\nNeeds=Base.NT.Services\n[Strings]\nt=mine";
        let plan = with_inbox(text, inbox).unwrap();
        let found = &plan.configurations[0];
        let names: Vec<(&str, &RegistryOperation)> =
            found.driver_registry.iter().map(|action| (action.name.as_str(), &action.operation)).collect();
        let sz = |text: &str| RegistryOperation::Set {
            kind: 1,
            data: text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect(),
        };
        assert_eq!(names, [("N", &sz("theirs")), ("Deep", &sz("x")), ("Mine", &sz("mine"))]);
        assert_eq!(found.included_infs, ["ONE.inf", "two.inf"]);
        assert_eq!(found.copy_files, []);
        assert_eq!(found.external_files[0].target, "inbox.sys");
        assert_eq!(plan.source_files, Vec::<String>::new());
        assert!(found.reboot && found.services[0].external);
        assert_eq!(found.services[0].name, "inboxsvc");
        assert_eq!(plan.warnings, Vec::<String>::new());
    }

    #[test]
    fn absent_includes_are_believed() {
        let (found, warnings) = configuration("[I]\nInclude=a.inf,b.inf\nNeeds=X\nAddReg=r\n[r]\nHKR,,N");
        assert_eq!(found.included_infs, ["b.inf", "a.inf"]);
        assert_eq!((found.driver_registry.len(), warnings.len()), (1, 0));
    }

    #[test]
    fn a_broken_include_is_an_error() {
        let error = with_inbox("[I]\nInclude=bad.inf\nNeeds=X", vec![("bad.inf", "[Version")]).unwrap_err();
        assert_eq!(error.code(), Code(0xE000_0001));
        assert!(error.to_string().contains("bad.inf"), "{error}");
    }

    #[test]
    fn cycles_of_include_end() {
        let inbox = vec![
            ("a.inf", "[Version]\nSignature=$CHICAGO$\n[X]\nInclude=b.inf\nNeeds=X\nReboot\n"),
            ("b.inf", "[Version]\nSignature=$CHICAGO$\n[X]\nInclude=a.inf,b.inf\nNeeds=X,X,X,X\n"),
        ];
        let plan = with_inbox("[I]\nInclude=a.inf\nNeeds=X", inbox).unwrap();
        assert!(plan.configurations[0].reboot);
        let (_, warnings) = configuration("[I]\nNeeds=I");
        assert_eq!(warnings, ["line 14: [I] is needed by itself; it is read once"]);
    }

    /// Each INF needs the next one many times over: without a limit this would not end.
    #[test]
    fn needs_cannot_grow_without_bound() {
        let needs = vec!["X"; 800].join(",");
        let texts: Vec<(&'static str, &'static str)> = (0..15)
            .map(|number| {
                let text = format!(
                    "[Version]\nSignature=$CHICAGO$\n[X]\nInclude={}.inf\nNeeds={needs}\n",
                    number + 1
                );
                let name: &'static str = Box::leak(format!("{number}.inf").into_boxed_str());
                (name, &*Box::leak(text.into_boxed_str()))
            })
            .collect();
        let error = with_inbox("[I]\nInclude=0.inf\nNeeds=X", texts).unwrap_err();
        assert_eq!(error.code(), Code(0xE000_0003), "{error}");
    }

    #[test]
    fn paths_that_leave_their_folder_are_refused() {
        let cases = [
            ("[I]\nCopyFiles=@..\\a.sys", "destination"),
            ("[I]\nCopyFiles=l\n[l]\na.sys,..\\..\\b.sys", "source path"),
            ("[I]\nCopyFiles=l\n[l]\nC:\\a.sys,b.sys", "destination"),
            ("[I]\nCopyFiles=l\n[l]\na.sys\n[SourceDisksFiles]\na.sys=1,..\\..", "source path"),
            (
                "[I]\nCopyFiles=l\n[l]\na.sys\n[SourceDisksFiles]\na.sys=2\n[SourceDisksNames]\n2=d,,,..",
                "source path",
            ),
            ("[I]\nCopyFiles=l\n[l]\na.sys\n[DestinationDirs]\nl=12,..\\x", "destination"),
            ("[I]\nCopyFiles=l\n[l]\na.sys\n[DestinationDirs]\nl=-1,C:\\..\\x", "destination"),
            ("[I]\nCopyINF=..\\x.inf", "INF"),
        ];
        for (text, what) in cases {
            let error = refused(&format!("{MODELS}{FILES}{text}"));
            assert_eq!(error.code(), Code::win32(161), "{text}: {error}");
            assert!(error.to_string().contains(&format!("the {what} ")), "{text}: {error}");
        }
        let error = refused("CatalogFile=x\n[Version]\nCatalogFile.ntamd64=..\\a.cat");
        assert_eq!(error.code(), Code::win32(161));
    }

    #[test]
    fn a_list_without_destination_is_refused() {
        let error = refused(&format!("{MODELS}[I]\nCopyFiles=l\n[l]\na.sys"));
        assert_eq!(error.code(), Code(0xE000_0102));
        assert!(error.to_string().starts_with("line 11: "), "{error}");
    }

    #[test]
    fn expansion_has_a_limit() {
        let models = "D=I,ID\n".repeat(1000);
        let manufacturers = "%m%=M,NTamd64\n".repeat(1000);
        let text = format!(
            "[Manufacturer]\n{manufacturers}[M.NTamd64]\n{}[I]\n[Strings]\nm=x",
            models.replace('D', &"d".repeat(200))
        );
        assert_eq!(refused(&text).code(), Code(0xE000_0003));
    }

    #[test]
    fn models_for_other_targets() {
        let text = "[Manufacturer]\n%a%=A,NTx86,NTamd64.10.0...99999\nB=B\n[A]\n[A.NTx86]\nx=I,ID\n\
                    [A.NTamd64.10.0...99999]\nx=I,ID\n[B]\ny=I,,ID2,ID3\nbad=I\nworse=,ID\n[I]\n";
        let found = inf(text);
        let plan = found.package(&target()).unwrap();
        assert_eq!((plan.devices.len(), plan.configurations.len()), (0, 0));
        let offered: Vec<String> = plan.offered.iter().map(Decoration::to_string).collect();
        assert_eq!(offered, ["(undecorated)", "NTx86", "NTamd64.10.0...99999"]);
        let options = PackageOptions {
            includes: &NoIncludes,
            directories: Directories::default(),
            undecorated: UndecoratedModels::AnyArch,
        };
        let lenient = found.package_with(&target(), &options).unwrap();
        let device = Device {
            description: TokenText { token: None, text: "y".into() },
            manufacturer: TokenText { token: None, text: "B".into() },
            configuration: 0,
            hardware_id: None,
            compatible_ids: vec!["ID2".into(), "ID3".into()],
        };
        assert_eq!(lenient.devices, [device]);
    }

    #[test]
    fn directory_ids_in_text() {
        let (found, _) = configuration("[I]\nAddReg=r\n[r]\nHKR,,a,,%11%\\x.dll\nHKR,,b,,%13%\\x.dll");
        let texts: Vec<Vec<String>> = found
            .driver_registry
            .iter()
            .map(|action| match &action.operation {
                RegistryOperation::Set { data, .. } => strings_of(data),
                _ => Vec::new(),
            })
            .collect();
        assert_eq!(texts, [[r"C:\Windows\System32\x.dll"], [r"%13%\x.dll"]]);
    }

    #[test]
    fn findings() {
        let (_, warnings) = configuration(
            "[I]\nAddService=a,2,s\nserviceBinary=%12%\\a.sys\n[I.Services]\nAddService=b,2,s\n[s]\n\
             ServiceBinary=%12%\\b.sys\n[I.HW]\nAddReg=gone\n",
        );
        let expected = [
            "line 15: AddService has no effect here; it belongs into the section .Services",
            "line 16: ServiceBinary has no effect here; it belongs into the section that AddService names",
            "line 22: there is no section [gone]",
            r"the service b runs %12%\b.sys, which the package does not copy",
        ];
        let mut sorted = warnings.clone();
        sorted.sort();
        assert_eq!(sorted, expected, "{warnings:?}");
    }

    #[test]
    fn one_section_for_models_and_installation() {
        let plan = package(&format!(
            "[Manufacturer]\nm=I,NTamd64\n[I.NTamd64]\nDevice=I,ID\nAddReg=r,r\n[r]\nHKR,,N\n{FILES}"
        ));
        assert_eq!((plan.devices.len(), plan.configurations.len()), (1, 1));
        assert_eq!(plan.configurations[0].driver_registry.len(), 2);
    }

    #[test]
    fn class_installation() {
        let plan = package(
            "[ClassInstall32.NTamd64]\nAddReg=c\n[c]\nHKR,,Icon,,-5\nHKLM,K,N\n[ClassInstall32.NTx86]\nAddReg=x\n",
        );
        assert!(plan.has_class_install);
        let roots: Vec<&str> = plan.class_registry.iter().map(|action| action.root.as_str()).collect();
        assert_eq!(roots, ["HKR", "HKLM"]);
    }

    proptest::proptest! {
        #[test]
        fn any_inf_is_planned_or_refused(lines in proptest::collection::vec(
            "(\\[I\\]|\\[l\\]|\\[M\\]|\\[I.Services\\]|CopyFiles=l|AddReg=l|Needs=I,l|AddService=a,2,l|HKR,,%m%,1,2|\
             Include=x|a,b,c,%x%|Device=l,ID|FeatureScore=zz|[-=,%\\\\a1]{0,12})", 0..40)) {
            let text = format!("{HEAD}{MODELS}{FILES}{}", lines.join("\n"));
            let inf = Inf::parse(text.as_bytes());
            if let Ok(inf) = inf {
                let _ = inf.package(&target());
            }
        }
    }
}
