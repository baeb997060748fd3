// SPDX-License-Identifier: GPL-3.0-or-later
//! What is wrong with an INF, by the numbers that Microsoft's InfVerif gives.
//!
//! Source: Microsoft's "INF validation errors and warnings". 1100 to 1299 are errors of form, 1300
//! to 1399 keep a driver from being universal, from 2000 on are warnings. Checked are those numbers
//! whose rule that page tells and that one INF by itself shows:
//!
//! | number | meaning |
//! |---|---|
//! | 1001 | no `[Version]`, or its Signature is wrong |
//! | 1100 | a file that stays in the store gets another place or name there |
//! | 1203 | a directive names a section that is not there |
//! | 1204 | Microsoft as the provider |
//! | 1205 | one section is named by two different directives |
//! | 1212 | both `[DefaultInstall]` and `[Manufacturer]` |
//! | 1221 | AddReg writes below the services key by its whole path |
//! | 1230 | a file that is copied is not in `[SourceDisksFiles]` |
//! | 1233 | no CatalogFile |
//! | 1235 | a token is not defined |
//! | 1285 | `[ClassInstall32]` for a class of Microsoft's |
//! | 1296 | a device without function driver, that does not say so |
//! | 1297 | no models line at all |
//! | 1300 | deprecated sections and directives: co-installers, LogConfig |
//! | 1302 | something outside the package is deleted or renamed |
//! | 1303 | AddReg names a co-installer |
//! | 1304 | a registry line whose root is not HKR |
//! | 1305 | a text is added to or taken out of a list of texts |
//! | 1306 | a file is copied outside of the Windows directory |
//! | 1313 | Needs without the Include that it needs |
//! | 2083 | a section that nothing names |
//! | 2222 | a directive that is ignored |

use std::collections::{HashMap, HashSet};

use super::decoration::{self, Decoration};
use super::document::{Document, Line, Section, fold};
use super::number::number;
use super::scope::{Budget, Scope};
use super::{CopyFile, Directories, PackagePlan, Target};
use crate::base::{Code, Error};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Must be mended.
    Error,
    /// May be meant so.
    Warning,
}

/// One thing that is wrong with an INF.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// InfVerif's; nothing where it has none that is documented.
    pub number: Option<u16>,
    /// How grave it is.
    pub level: Level,
    /// The line, from 1; 0 for the file as a whole.
    pub line: u32,
    /// In words.
    pub message: String,
}

impl Finding {
    fn new(number: u16, line: u32, message: String) -> Self {
        let level = match number {
            1205 | 1300.. => Level::Warning,
            _ => Level::Error,
        };
        Self { number: Some(number), level, line, message }
    }

    /// An INF that is refused as a whole.
    pub fn refused(error: &Error) -> Self {
        let style = error.code() == WRONG_STYLE;
        let message = format!("{} [{}]", error.message(), error.code());
        Self { number: style.then_some(1001), level: Level::Error, line: 0, message }
    }

    /// Whether it keeps a driver from being universal.
    pub fn is_about_universality(&self) -> bool {
        self.number.is_some_and(|number| (1300..1400).contains(&number))
    }
}

/// `ERROR_WRONG_INF_STYLE`.
const WRONG_STYLE: Code = Code(0xE000_0100);
/// The most findings of one INF.
const MAX_FINDINGS: usize = 500;

/// Directives whose fields are sections of lines: files, values, links.
const LISTS: [&str; 18] = [
    "AddReg",
    "DelReg",
    "BitReg",
    "CopyFiles",
    "DelFiles",
    "RenFiles",
    "UpdateInis",
    "UpdateIniFields",
    "Ini2Reg",
    "RegisterDlls",
    "UnregisterDlls",
    "ProfileItems",
    "LogConfig",
    "AddProperty",
    "DelProperty",
    "AddTrigger",
    "FailureActions",
    "AddPowerSetting",
];

/// Directives that name sections of directives, and in which fields.
const NESTED: [(&str, &[usize]); 10] = [
    ("AddService", &[3, 4]),
    ("AddFilter", &[3]),
    ("AddInterface", &[3]),
    ("AddSoftware", &[3]),
    ("AddComponent", &[3]),
    ("AddEventProvider", &[2]),
    ("KmdfService", &[2]),
    ("UmdfService", &[2]),
    ("WMIInterface", &[3]),
    ("AddAutoLogger", &[3]),
];

/// What may hang on an install section.
const SUFFIXES: [&str; 14] = [
    ".HW",
    ".Services",
    ".CoInstallers",
    ".Interfaces",
    ".Wdf",
    ".Filters",
    ".Events",
    ".Software",
    ".Components",
    ".WMI",
    ".COM",
    ".FactDef",
    ".LogConfigOverride",
    ".PosDup",
];

/// Sections that Windows looks for by name, decorated or not.
const KNOWN: [&str; 12] = [
    "Version",
    "Manufacturer",
    "Strings",
    "DestinationDirs",
    "SourceDisksNames",
    "SourceDisksFiles",
    "ControlFlags",
    "ClassInstall32",
    "InterfaceInstall32",
    "DefaultInstall",
    "DefaultUninstall",
    "SignatureAttributes",
];

/// Classes of Microsoft's besides those of the first family, `4d36e9..-e325-11ce-...`
/// ("System-defined device setup classes available to vendors", and those reserved).
const CLASSES: [&str; 22] = [
    "745a17a0-74d3-11d0-b6fe-00a0c90f57da",
    "36fc9e60-c465-11cf-8056-444553540000",
    "88bae032-5a81-49f0-bc3d-a4ff138216d6",
    "e0cbf06c-cd8b-4647-bb8a-263b43f0f974",
    "72631e54-78a4-11d0-bcf7-00aa00b7b32a",
    "53d29ef7-377c-4d14-864b-eb3a85769359",
    "ca3e7ab9-b4c3-4ae6-8251-579ef933890f",
    "6bdd1fc6-810f-11d0-bec7-08002be2092f",
    "6bdd1fc1-810f-11d0-bec7-08002be2092f",
    "5175d334-c371-4806-b3ba-71fd53c9258d",
    "50dd5230-ba8a-11d1-bf5d-0000f805f530",
    "71a27cdd-812a-11d0-bec7-08002be2092f",
    "d94ee5d8-d189-4994-83d2-f68d7d41b0e6",
    "eec5ad98-8080-425f-922a-dabf3de3f69a",
    "62f9c741-b25a-46ce-b54c-9bccce08b6f2",
    "5c4c3332-344d-483c-8739-259e934c9cc8",
    "e2f84ce7-8efa-411c-aa69-97454ca4cb57",
    "f2e7dd72-6468-4e36-b6f1-6488f42c1b52",
    "f01a9d53-3ff6-48d2-9f97-c8a7004be10c",
    "268c95a1-edfe-11d3-95c3-0010dc4050a5",
    "ce5939ae-ebde-11d0-b181-0000f8753ec4",
    "7ebefbc0-3200-11d2-b4c2-00a0c9697d07",
];
const FIRST_FAMILY: (&str, &str) = ("4d36e9", "-e325-11ce-bfc1-08002be10318");

const APPEND: u32 = 0x8;
const DELETE_STRING: u32 = 0x0001_8002;
const STORE: u32 = 13;
/// Directory ids outside of the Windows directory.
const OUTSIDE: [u32; 10] = [24, 30, 54, 16406, 16419, 16422, 16426, 16427, 16428, CopyFile::ABSOLUTE];

struct Checker<'a> {
    scope: Scope<'a>,
    findings: Vec<Finding>,
    /// Sections that something names, in upper case, and the directive that did.
    named: HashMap<String, String>,
    /// Sections of directives that were walked.
    walked: HashSet<String>,
    tokens: HashSet<String>,
}

/// Checks an INF for a target; `plan` is what it would do there, where it can be told.
pub(super) fn check(document: &Document, target: &Target, plan: Option<&PackagePlan>) -> Vec<Finding> {
    let directories = Directories::default();
    let budget = Budget::default();
    let scope = Scope::new(document, target, &directories, &budget, String::new());
    let mut checker = Checker {
        scope,
        findings: Vec::new(),
        named: HashMap::new(),
        walked: HashSet::new(),
        tokens: HashSet::new(),
    };
    checker.version();
    checker.manufacturers();
    checker.fixed_sections();
    checker.unused();
    if let Some(plan) = plan {
        checker.plan(plan);
    }
    let mut findings = checker.findings;
    findings.sort_by_key(|finding| (finding.line, finding.number));
    findings.dedup();
    findings
}

impl<'a> Checker<'a> {
    fn add(&mut self, number: u16, line: u32, message: String) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding::new(number, line, message));
        }
    }

    /// A field with its tokens put in; as it is where that fails, which the plan tells.
    fn text(&self, line: &Line<'a>, position: usize) -> String {
        self.scope.field(line, position).unwrap_or_else(|_| line.field(position).to_owned())
    }

    fn version(&mut self) {
        let Some(section) = self.scope.section("Version") else { return };
        self.line_tokens(&section);
        let value = |checker: &Self, key| {
            let line = checker.scope.find("Version", key)?;
            Some((checker.text(&line, 1), line.number()))
        };
        if let Some((provider, line)) = value(self, "Provider")
            && provider.eq_ignore_ascii_case("Microsoft")
        {
            self.add(1204, line, "the provider cannot be Microsoft".into());
        }
        let catalog = section.lines().any(|line| {
            line.key()
                .is_some_and(|key| key.get(..11).is_some_and(|head| head.eq_ignore_ascii_case("CatalogFile")))
        });
        if !catalog {
            let line = section.number();
            self.add(1233, line, "[Version] has no CatalogFile, which a signature needs".into());
        }
        let class = value(self, "ClassGuid").map(|(class, _)| class.trim_matches(['{', '}']).to_lowercase());
        let microsofts = class.is_some_and(|class| {
            CLASSES.contains(&class.as_str())
                || (class.starts_with(FIRST_FAMILY.0) && class.ends_with(FIRST_FAMILY.1))
        });
        if microsofts && let Some(section) = self.scope.install_section("ClassInstall32") {
            let (name, line) = (section.name(), section.number());
            self.add(1285, line, format!("[{name}] is not for classes that Microsoft defines"));
        }
        if let Some(manufacturer) = self.scope.section("Manufacturer")
            && self.scope.install_section("DefaultInstall").is_some()
        {
            let line = manufacturer.number();
            self.add(1212, line, "an INF has either [DefaultInstall] or [Manufacturer]".into());
        }
    }

    fn manufacturers(&mut self) {
        let Some(section) = self.scope.section("Manufacturer") else { return };
        self.line_tokens(&section);
        let mut models = 0;
        for line in section.lines() {
            let base = self.text(&line, 1);
            let mut names: Vec<String> = line
                .fields()
                .skip(1)
                .filter(|text| Decoration::parse(text.trim()).is_some())
                .map(|text| format!("{base}.{}", text.trim()))
                .collect();
            // The plain one need not be there when there are others.
            if names.is_empty() || self.scope.section(&base).is_some() {
                names.push(base);
            }
            for name in names {
                if let Some(section) = self.name(&name, "Manufacturer", line.number()) {
                    models += self.models(&section);
                }
            }
        }
        if models == 0 {
            self.add(1297, section.number(), "[Manufacturer] leads to no device".into());
        }
    }

    /// Walks the install sections of models lines; gives the number of the lines.
    fn models(&mut self, section: &Section<'a>) -> usize {
        // Many lines may lead to one section.
        if !self.walked.insert(format!("{}|models", fold(section.name()))) {
            return 1;
        }
        self.line_tokens(section);
        let mut count = 0;
        for line in section.lines().filter(|line| line.fields().len() > 1) {
            count += 1;
            let install = self.text(&line, 1);
            if !self.install(&install) {
                self.add(1203, line.number(), format!("there is no install section [{install}]"));
            }
        }
        count
    }

    /// Walks an install section with all its decorations and sub-sections.
    fn install(&mut self, base: &str) -> bool {
        if !self.walked.insert(format!("{}*", fold(base))) {
            return true;
        }
        let decorated = self.scope.document.decorated(base);
        let decorated =
            decorated.into_iter().filter(|section| decoration::of_section(base, section).is_some());
        let sections: Vec<Section<'a>> = self.scope.section(base).into_iter().chain(decorated).collect();
        for section in &sections {
            self.named.entry(fold(section.name())).or_insert_with(|| "a models line".into());
            self.walk(section);
            for suffix in SUFFIXES {
                let name = format!("{}{suffix}", section.name());
                let Some(below) = self.scope.section(&name) else { continue };
                self.named.entry(fold(&name)).or_insert_with(|| "its install section".into());
                match suffix {
                    ".CoInstallers" => {
                        self.add(1300, below.number(), format!("[{name}]: co-installers are legacy"));
                    }
                    ".LogConfigOverride" => {
                        self.add(2222, below.number(), format!("[{name}] is legacy and ignored"));
                    }
                    _ => {}
                }
                self.walk(&below);
            }
        }
        !sections.is_empty()
    }

    /// A section that a directive names, unless it is missing.
    fn name(&mut self, name: &str, directive: &str, line: u32) -> Option<Section<'a>> {
        let Some(section) = self.scope.section(name) else {
            self.add(1203, line, format!("{directive} names [{name}], which is not there"));
            return None;
        };
        let before = self.named.insert(fold(name), directive.to_owned());
        if let Some(before) = before.filter(|before| !before.eq_ignore_ascii_case(directive)) {
            self.add(1205, line, format!("[{name}] is named by both {before} and {directive}"));
        }
        Some(section)
    }

    /// Looks at the directives of a section.
    fn walk(&mut self, section: &Section<'a>) {
        if !self.walked.insert(fold(section.name())) {
            return;
        }
        self.line_tokens(section);
        let includes = section.lines().any(|line| is_key(&line, "Include"));
        for line in section.lines() {
            let Some(key) = line.key() else { continue };
            let number = line.number();
            if let Some(directive) = LISTS.iter().find(|known| key.eq_ignore_ascii_case(known)) {
                match *directive {
                    "LogConfig" => self.add(1300, number, "LogConfig is legacy".into()),
                    "DelFiles" | "RenFiles" => {
                        self.add(1302, number, format!("{directive} changes what is outside of the package"));
                    }
                    _ => {}
                }
                for position in 1..=line.fields().len() {
                    let name = self.text(&line, position);
                    if name.is_empty() || name.starts_with('@') {
                        continue;
                    }
                    if let Some(list) = self.name(&name, directive, number) {
                        self.list(&list, directive);
                    }
                }
            } else if let Some((directive, positions)) =
                NESTED.iter().find(|(known, _)| key.eq_ignore_ascii_case(known))
            {
                for position in *positions {
                    let name = self.text(&line, *position);
                    if name.is_empty() {
                        continue;
                    }
                    if let Some(nested) = self.name(&name, directive, number) {
                        self.walk(&nested);
                    }
                }
            } else if key.eq_ignore_ascii_case("DelService") {
                self.add(1302, number, "DelService changes what is outside of the package".into());
            } else if key.eq_ignore_ascii_case("Needs") {
                for position in 1..=line.fields().len() {
                    let name = self.text(&line, position);
                    if name.is_empty() {
                        continue;
                    }
                    if let Some(needed) = self.scope.section(&name) {
                        self.named.entry(fold(&name)).or_insert_with(|| "Needs".into());
                        self.walk(&needed);
                    } else if !includes {
                        let message = format!("Needs names [{name}], and no Include says where it is");
                        self.add(1313, number, message);
                    }
                }
            }
        }
    }

    /// Looks at the lines of a section of files or values.
    fn list(&mut self, section: &Section<'a>, directive: &str) {
        if !self.walked.insert(format!("{}|{directive}", fold(section.name()))) {
            return;
        }
        self.line_tokens(section);
        if !matches!(directive, "AddReg" | "DelReg" | "BitReg") {
            return;
        }
        for line in section.lines() {
            let [root, key, name, flags] = [1, 2, 3, 4].map(|position| self.text(&line, position));
            if root.is_empty() {
                continue;
            }
            let number_of_line = line.number();
            let flags = number(&flags).unwrap_or(0);
            if !root.eq_ignore_ascii_case("HKR") {
                self.add(1304, number_of_line, format!("{directive} with the root {root}, not HKR"));
            }
            if directive == "AddReg" && root.eq_ignore_ascii_case("HKLM") && is_services(&key) {
                let message = format!("{key}: values of a service are written as HKR in its own section");
                self.add(1221, number_of_line, message);
            }
            if directive == "AddReg" && name.eq_ignore_ascii_case("CoInstallers32") {
                self.add(1303, number_of_line, "AddReg names a co-installer".into());
            }
            let adds = directive == "AddReg" && flags & APPEND != 0;
            if adds || (directive == "DelReg" && flags & DELETE_STRING == DELETE_STRING) {
                self.add(1305, number_of_line, format!("{directive} changes a list of texts that is there"));
            }
        }
    }

    fn fixed_sections(&mut self) {
        for base in ["DefaultInstall", "DefaultUninstall", "ClassInstall32"] {
            self.install(base);
        }
        if let Some(section) = self.scope.section("InterfaceInstall32") {
            for line in section.lines() {
                let name = self.text(&line, 1);
                if let Some(install) = self.name(&name, "InterfaceInstall32", line.number()) {
                    self.walk(&install);
                }
            }
        }
    }

    fn unused(&mut self) {
        let sections: Vec<Section<'a>> = self.scope.document.sections().collect();
        for section in sections {
            let name = section.name();
            let base = name.split_once('.').map_or(name, |(base, _)| base);
            let known = KNOWN.iter().any(|known| base.eq_ignore_ascii_case(known));
            if !known && !self.named.contains_key(&fold(name)) {
                self.add(2083, section.number(), format!("[{name}] is not used"));
            }
        }
    }

    /// Tokens that are not defined.
    fn line_tokens(&mut self, section: &Section<'a>) {
        for line in section.lines() {
            let key = line.key().filter(|_| line.fields().len() > 0);
            for text in key.into_iter().chain(line.fields()) {
                let mut rest = text;
                while let Some((_, opened)) = rest.split_once('%') {
                    let Some((token, behind)) = opened.split_once('%') else { break };
                    rest = behind;
                    let known = token.is_empty()
                        || self.scope.strings.get(token).is_some()
                        || token.bytes().all(|byte| byte.is_ascii_digit());
                    if !known && self.tokens.insert(fold(token)) {
                        self.add(1235, line.number(), format!("%{token}% is not defined in [Strings]"));
                    }
                }
            }
        }
    }

    fn plan(&mut self, plan: &PackagePlan) {
        for (position, configuration) in plan.configurations.iter().enumerate() {
            let section = self.scope.section(&configuration.name);
            let line = section.map_or(0, |section| section.number());
            for file in &configuration.copy_files {
                let name = file.source.rsplit('\\').next().unwrap_or_default();
                if self.scope.disk_file(name).is_none() {
                    self.add(1230, line, format!("[SourceDisksFiles] does not list {name}"));
                }
                let place = match file.subdir.as_str() {
                    "" => file.target.clone(),
                    subdir => format!("{subdir}\\{}", file.target),
                };
                if file.dirid == STORE && fold(&place) != fold(&file.source) {
                    let message = format!("{} stays in the store, but as {place}", file.source);
                    self.add(1100, line, message);
                }
                if OUTSIDE.contains(&file.dirid) {
                    let message = format!("{} is copied outside of the Windows directory", file.source);
                    self.add(1306, line, message);
                }
            }
            // Extensions and components add to what another INF installs.
            let class = plan.version.class.as_deref().unwrap_or_default();
            let adds =
                ["Extension", "SoftwareComponent"].iter().any(|known| class.eq_ignore_ascii_case(known));
            let used = plan.devices.iter().any(|device| device.configuration == position);
            let served = configuration.function_driver().is_some()
                || configuration.null_driver
                || self.needs_services(&configuration.name);
            if used && !adds && !served {
                let name = &configuration.name;
                let message = format!("[{name}] names no service for its device, not even `AddService = ,2`");
                self.add(1296, line, message);
            }
        }
    }

    /// Whether the service is another INF's.
    fn needs_services(&self, install: &str) -> bool {
        let section = self.scope.section(&format!("{install}.Services"));
        section.is_some_and(|section| section.lines().any(|line| is_key(&line, "Needs")))
    }
}

fn is_key(line: &Line<'_>, wanted: &str) -> bool {
    line.key().is_some_and(|key| key.eq_ignore_ascii_case(wanted))
}

/// Whether a path below HKLM is that of a service.
fn is_services(key: &str) -> bool {
    const PREFIX: &str = "system\\currentcontrolset\\services\\";
    key.get(..PREFIX.len()).is_some_and(|head| head.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::super::{Inf, PackageOptions};
    use super::*;
    use crate::base::{Arch, Version};

    fn target() -> Target {
        let version = Version::new(10, 0, 19045, 0);
        Target { arch: Arch::Amd64, version, product_type: 1, suite_mask: 0x100, language: 0x0409 }
    }

    /// Numbers and lines.
    fn found(text: &str) -> Vec<(u16, u32)> {
        let inf = Inf::parse(text.as_bytes()).unwrap();
        let options = PackageOptions::default();
        let findings = inf.check(&target(), &options);
        findings.iter().map(|finding| (finding.number.unwrap(), finding.line)).collect()
    }

    const CLEAN: &str = "[Version]\nSignature=$Windows NT$\nClass=Sample\n\
        ClassGuid={78A1C341-4539-11d3-B88D-00C04FAD5171}\nProvider=%P%\nCatalogFile=a.cat\n\
        [Manufacturer]\n%P%=M,NTamd64\n[M.NTamd64]\n%P%=I,PCI\\VEN_1\n[I.NT]\nCopyFiles=@a.sys\n\
        AddReg=R\n[I.NT.Services]\nAddService=a,2,S\n[S]\nServiceType=1\nStartType=3\nErrorControl=1\n\
        ServiceBinary=%13%\\a.sys\n[R]\nHKR,,x,,y\n[DestinationDirs]\nDefaultDestDir=13\n\
        [SourceDisksNames]\n1=d\n[SourceDisksFiles]\na.sys=1\n[Strings]\nP=\"Maker\"\n";

    #[test]
    fn a_clean_one_has_no_findings() {
        assert_eq!(found(CLEAN), []);
    }

    #[test]
    fn one_of_each() {
        let without = |line: &str| CLEAN.replacen(line, "", 1);
        let with = |old: &str, new: &str| CLEAN.replacen(old, new, 1);
        let cases: [(String, &[u16]); 22] = [
            (with("DefaultDestDir=13", "DefaultDestDir=13,sub"), &[1100]),
            (with("AddReg=R\n", "AddReg=R,Nowhere\n"), &[1203]),
            (with("[I.NT]", "[Other.NT]"), &[1203, 1296, 2083, 2083, 2083, 2083]),
            (with("P=\"Maker\"", "P=Microsoft"), &[1204]),
            (with("AddReg=R\n", "AddReg=R\nDelReg=R\n"), &[1205]),
            (with("[Strings]", "[DefaultInstall.NT]\n[Strings]"), &[1212]),
            (with("HKR,,x,,y", "HKLM,System\\CurrentControlSet\\Services\\a,x,,y"), &[1221, 1304]),
            (without("a.sys=1\n"), &[1230]),
            (without("CatalogFile=a.cat\n"), &[1233]),
            (with("HKR,,x,,y", "HKR,,x,%REG_DWORD%,%SystemRoot%\\y"), &[1235, 1235]),
            (with("HKR,,x,,y", "HKR,,x,,%%SystemRoot%%\\y"), &[]),
            (
                with("{78A1C341-4539-11d3-B88D-00C04FAD5171}", "{4D36E972-E325-11CE-BFC1-08002BE10318}")
                    .replace("[Strings]", "[ClassInstall32]\n[Strings]"),
                &[1285],
            ),
            (with("AddService=a,2,S", "AddService=a,,S"), &[1296]),
            (with("AddService=a,2,S", "AddService=a,,S\nAddService=,2"), &[]),
            (with("%P%=I,PCI\\VEN_1\n", ""), &[1297, 2083, 2083, 2083, 2083]),
            (
                with("[S]\n", "[I.NT.CoInstallers]\nAddReg=C\n[C]\nHKR,,CoInstallers32,0x10000,x.dll\n[S]\n"),
                &[1300, 1303],
            ),
            (with("AddReg=R\n", "AddReg=R\nDelFiles=F\n[F]\nold.sys\n"), &[1302]),
            (with("HKR,,x,,y", "HKLM,Software\\x,x,,y"), &[1304]),
            (with("HKR,,x,,y", "HKR,,x,0x10008,y"), &[1305]),
            (with("DefaultDestDir=13", "DefaultDestDir=24"), &[1306]),
            (with("AddReg=R\n", "AddReg=R\nNeeds=Nowhere\n"), &[1313]),
            (with("[Strings]", "[Unused]\nx=y\n[I.NT.LogConfigOverride]\n[Strings]"), &[2083, 2222]),
        ];
        for (text, expected) in cases {
            let mut numbers: Vec<u16> = found(&text).iter().map(|(number, _)| *number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, expected, "{text}");
        }
    }

    #[test]
    fn refusals_have_their_number_where_there_is_one() {
        let style = Inf::parse(b"[Version]\nSignature=x\n").unwrap_err();
        assert_eq!(Finding::refused(&style).number, Some(1001));
        let header = Inf::parse(b"[Version\n").unwrap_err();
        assert_eq!(Finding::refused(&header).number, None);
    }

    #[test]
    fn levels() {
        for (number, level) in
            [(1203, Level::Error), (1205, Level::Warning), (1304, Level::Warning), (2083, Level::Warning)]
        {
            assert_eq!(Finding::new(number, 1, String::new()).level, level);
        }
    }
}
