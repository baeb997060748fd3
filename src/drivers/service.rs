// SPDX-License-Identifier: GPL-3.0-or-later
//! Services of a package that is put to work offline, in every control set.
//!
//! A service in a load order group has a `Tag`: the smallest positive number that is neither in
//! `Control\GroupOrderList\<group>` (REG_BINARY: u32 count, then u32 tags) nor the tag of another
//! service of the group. Up to Windows 8.1 the tag is appended to that list, from Windows 10 on
//! the list stays as it is. Sources: SYSTEM hives of mkorman90/regipy (307 of 312 owned kernel
//! services), captures of lxc/distrobuilder.

use std::collections::BTreeSet;

use crate::base::{Result, Version, WinPath, name};
use crate::hive::{KeyId, Value};
use crate::image::{HiveName, Registry, WindowsInfo};
use crate::inf::{Configuration, Service, TokenText};

use super::destination::{self, STORE_DIRID};
use super::editor::{self, Editor, OWNERS};
use super::published_name::PublishedName;
use super::{registry_action, service_settings};

const NOCLOBBER_DISPLAYNAME: u32 = 0x8;
const NOCLOBBER_STARTTYPE: u32 = 0x10;
const NOCLOBBER_ERRORCONTROL: u32 = 0x20;
const NOCLOBBER_LOADORDERGROUP: u32 = 0x40;
const NOCLOBBER_DEPENDENCIES: u32 = 0x80;
const NOCLOBBER_DESCRIPTION: u32 = 0x100;
const NOCLOBBER_REQUIREDPRIVILEGES: u32 = 0x1000;
const NOCLOBBER_SIDTYPE: u32 = 0x4000;
const NOCLOBBER_DELAYEDAUTOSTART: u32 = 0x8000;
const NOCLOBBER_BOOTFLAGS: u32 = 0x4_0000;

/// SERVICE_KERNEL_DRIVER, _FILE_SYSTEM_DRIVER, _ADAPTER, _RECOGNIZER_DRIVER.
const DRIVER_TYPES: u32 = 0xF;
const BOOT_START: u32 = 0;
const IMAGE_PATH: &str = "ImagePath";
/// Windows 8; a Windows 7 has not one service with owners.
const FIRST_WITH_OWNERS: Version = Version::new(6, 2, 0, 0);

/// What the services of a package are written with.
pub(super) struct ServiceWriter<'a> {
    pub(super) windows: &'a WindowsInfo,
    pub(super) published: PublishedName,
    pub(super) store_name: &'a str,
}

impl ServiceWriter<'_> {
    /// Writes the services of the configurations; returns what is not exact.
    pub(super) fn write(
        &self,
        registry: &mut Registry,
        configurations: &[Configuration],
    ) -> Result<Vec<String>> {
        let mut exceptions = Vec::new();
        let now = registry.now();
        for set in registry.control_sets()? {
            let mut editor = Editor::new(registry.require(HiveName::System)?, now);
            let control_set = editor.key(editor.hive.root(), &Registry::control_set_key(set))?;
            // A service that several configurations add is one service.
            let mut written: BTreeSet<Vec<u16>> = BTreeSet::new();
            for configuration in configurations {
                for service in &configuration.services {
                    if written.insert(name::upcased(&name::units(&service.name))) {
                        let version = kmdf_version(configuration, service);
                        for exception in self.write_one(&mut editor, control_set, service, version)? {
                            if !exceptions.contains(&exception) {
                                exceptions.push(exception);
                            }
                        }
                    }
                }
            }
        }
        Ok(exceptions)
    }

    fn write_one(
        &self,
        editor: &mut Editor<'_>,
        control_set: KeyId,
        service: &Service,
        kmdf_version: Option<&str>,
    ) -> Result<Vec<String>> {
        let mut exceptions = Vec::new();
        let services = editor.key(control_set, "Services")?;
        let existing = editor.find(services, &service.name)?;
        if let (Some(key), true) = (existing, service.external) {
            self.own(editor, key)?;
            return Ok(exceptions);
        }
        let key = editor.key(services, &service.name)?;
        let owned =
            editor.value(key, OWNERS)?.and_then(|owners| owners.as_multi_sz()).is_some_and(|owners| {
                owners.iter().any(|owner| owner.eq_ignore_ascii_case(&self.published.to_string()))
            });
        // A service that others brought keeps what the INF says not to touch.
        let foreign = existing.is_some() && !owned;
        let keeps = |flag: u32| foreign && service.flags & flag != 0;
        editor.set(key, &Value::dword("Type", service.service_type))?;
        self.set(editor, key, keeps(NOCLOBBER_STARTTYPE), &Value::dword("Start", service.start_type))?;
        self.set(
            editor,
            key,
            keeps(NOCLOBBER_ERRORCONTROL),
            &Value::dword("ErrorControl", service.error_control),
        )?;
        match self.image_path(service) {
            Some(path) => editor.set(key, &Value::expand_sz("ImagePath", &path))?,
            None if service.binary.is_some() => {
                exceptions
                    .push(format!("service {}: the place of its binary is not known offline", service.name));
            }
            None => {}
        }
        let is_driver = service.service_type & DRIVER_TYPES != 0;
        if let Some(name) = &service.start_name {
            editor.set(key, &Value::sz("ObjectName", name))?;
        } else if !is_driver {
            editor.set(key, &Value::sz("ObjectName", "LocalSystem"))?;
        }
        if let Some(text) = &service.display_name {
            let keep = foreign || keeps(NOCLOBBER_DISPLAYNAME);
            self.set(editor, key, keep, &Value::sz("DisplayName", &self.indirect(text)))?;
        }
        if let Some(text) = &service.description {
            self.set(
                editor,
                key,
                keeps(NOCLOBBER_DESCRIPTION),
                &Value::sz("Description", &self.indirect(text)),
            )?;
        }
        if let Some(group) = service.load_order_group.as_deref().filter(|group| !group.is_empty()) {
            self.set(editor, key, keeps(NOCLOBBER_LOADORDERGROUP), &Value::sz("Group", group))?;
            if is_driver {
                self.write_tag(editor, control_set, key, group)?;
            }
            if service.flags & Service::TAGTOFRONT != 0 {
                exceptions.push(format!(
                    "service {}: it asks to be first in group {group}; its tag is the next free one",
                    service.name
                ));
            }
        }
        self.write_dependencies(editor, key, keeps(NOCLOBBER_DEPENDENCIES), &service.dependencies)?;
        let numbers = [
            ("BootFlags", service.boot_flags, NOCLOBBER_BOOTFLAGS),
            ("DelayedAutostart", service.delayed_auto_start, NOCLOBBER_DELAYEDAUTOSTART),
            ("ServiceSidType", service.sid_type, NOCLOBBER_SIDTYPE),
        ];
        for (value, number, flag) in numbers {
            if let Some(number) = number {
                self.set(editor, key, keeps(flag), &Value::dword(value, number))?;
            }
        }
        if !service.required_privileges.is_empty() {
            let value = Value::multi_sz("RequiredPrivileges", &service.required_privileges);
            self.set(editor, key, keeps(NOCLOBBER_REQUIREDPRIVILEGES), &value)?;
        }
        self.own(editor, key)?;
        registry_action::apply(editor, key, &service.registry)?;
        if let Some(version) = kmdf_version {
            let wdf = editor.key(key, "Parameters\\Wdf")?;
            editor.set(wdf, &Value::sz("KmdfLibraryVersion", version))?;
        }
        if let Some(event_log) = &service.event_log {
            let log = editor.key(services, &format!("EventLog\\{}\\{}", event_log.log, event_log.name))?;
            registry_action::apply(editor, log, &event_log.registry)?;
        }
        for what in service_settings::write(editor, key, service)? {
            exceptions.push(format!(
                "service {}: {what} left to the device installation at first boot",
                service.name
            ));
        }
        Ok(exceptions)
    }

    /// Names the INF as an owner, where Windows knows owners.
    fn own(&self, editor: &mut Editor<'_>, key: KeyId) -> Result<()> {
        if self.windows.version < FIRST_WITH_OWNERS {
            return Ok(());
        }
        editor.prepend(key, OWNERS, &self.published.to_string())
    }

    fn set(&self, editor: &mut Editor<'_>, key: KeyId, keep: bool, value: &Value) -> Result<()> {
        if keep { editor.set_new(key, value) } else { editor.set(key, value) }
    }

    /// `@oemN.inf,%token%;text`, or the text where it has no token.
    fn indirect(&self, text: &TokenText) -> String {
        match &text.token {
            Some(token) => format!("@{},%{token}%;{}", self.published, text.text),
            None => text.text.clone(),
        }
    }

    /// `ImagePath`. The boot loader needs a path relative to the Windows directory.
    fn image_path(&self, service: &Service) -> Option<String> {
        let (dirid, rest) = service.binary.as_ref()?;
        let rest = rest.trim_start_matches('\\');
        let below = if *dirid == STORE_DIRID {
            format!("System32\\DriverStore\\FileRepository\\{}", self.store_name)
        } else {
            let directory = destination::directory(*dirid, self.windows)?;
            directory
                .below_windows
                .filter(|path| !path.components().is_empty())
                .map_or_else(|| (*dirid == 10).then(String::new), |path: WinPath| Some(path.to_string()))?
        };
        let path = if below.is_empty() { rest.to_owned() } else { format!("{below}\\{rest}") };
        let is_driver = service.service_type & DRIVER_TYPES != 0;
        Some(match (is_driver, service.start_type) {
            (true, BOOT_START) => path,
            (true, _) => format!("\\SystemRoot\\{path}"),
            (false, _) => format!("%SystemRoot%\\{path}"),
        })
    }

    fn write_dependencies(
        &self,
        editor: &mut Editor<'_>,
        key: KeyId,
        keep: bool,
        dependencies: &[String],
    ) -> Result<()> {
        let groups: Vec<&str> = dependencies.iter().filter_map(|name| name.strip_prefix('+')).collect();
        let services: Vec<&str> =
            dependencies.iter().filter(|name| !name.starts_with('+')).map(String::as_str).collect();
        for (value, names) in [("DependOnGroup", groups), ("DependOnService", services)] {
            if !names.is_empty() {
                self.set(editor, key, keep, &Value::multi_sz(value, &names))?;
            }
        }
        Ok(())
    }

    fn write_tag(&self, editor: &mut Editor<'_>, control_set: KeyId, key: KeyId, group: &str) -> Result<()> {
        let order_list = editor.find(control_set, "Control\\GroupOrderList")?;
        let order = match order_list {
            Some(list) => editor.value(list, group)?.map(|value| value.data).unwrap_or_default(),
            None => Vec::new(),
        };
        let used = tags_of_group(editor, control_set, key, group)?;
        if let Some(old) = editor.value(key, "Tag")?.and_then(|tag| tag.as_dword())
            && old != 0
            && !used.contains(&old)
        {
            return Ok(());
        }
        let tag = free_tag(&order, &used);
        editor.set(key, &Value::dword("Tag", tag))?;
        if self.windows.version.major < 10 {
            let list = editor.key(control_set, "Control\\GroupOrderList")?;
            editor.set(list, &Value::binary(group, with_tag(&order, tag)))?;
        }
        Ok(())
    }
}

/// A service that INFs own.
pub(super) struct OwnedService {
    pub(super) name: String,
    pub(super) owners: Vec<String>,
    pub(super) image_path: String,
}

/// Every service with owners in a control set.
pub(super) fn owned(registry: &mut Registry, set: u32) -> Result<Vec<OwnedService>> {
    let hive = registry.require(HiveName::System)?;
    let path = format!("{}\\Services", Registry::control_set_key(set));
    let Some(services) = editor::find(hive, hive.root(), &path)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for key in hive.subkeys(services)? {
        let owners = hive.value(key, &name::units(OWNERS))?.and_then(|value| value.as_multi_sz());
        if let Some(owners) = owners {
            let image_path = editor::text(hive, key, IMAGE_PATH)?.unwrap_or_default();
            found.push(OwnedService { name: hive.name(key)?.to_string(), owners, image_path });
        }
    }
    Ok(found)
}

/// `ImagePath` of a service; nothing when there is no such service.
pub(super) fn image_path(registry: &mut Registry, set: u32, service: &str) -> Result<Option<String>> {
    let hive = registry.require(HiveName::System)?;
    let path = format!("{}\\Services\\{service}", Registry::control_set_key(set));
    match editor::find(hive, hive.root(), &path)? {
        Some(key) => Ok(Some(editor::text(hive, key, IMAGE_PATH)?.unwrap_or_default())),
        None => Ok(None),
    }
}

/// The file of an `ImagePath`; nothing when it is empty or lies outside the Windows directory.
pub(super) fn program(image_path: &str, windows: &WinPath) -> Option<WinPath> {
    let text = image_path.trim().trim_start_matches('"');
    let text = text.split('"').next().unwrap_or_default();
    // Arguments follow a blank behind the file's extension.
    let lower = text.to_ascii_lowercase();
    let end = [".sys", ".exe", ".dll"]
        .iter()
        .filter_map(|extension| lower.find(&format!("{extension} ")).map(|at| at + extension.len()))
        .min()
        .unwrap_or(text.len());
    let mut text = text.get(..end)?;
    let mut rooted = true;
    for prefix in ["\\SystemRoot\\", "%SystemRoot%\\", "%windir%\\", "\\??\\C:\\Windows\\", "C:\\Windows\\"] {
        if text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
            text = text.get(prefix.len()..)?;
            rooted = false;
            break;
        }
    }
    if text.is_empty() || (rooted && (text.starts_with('\\') || text.contains(':'))) {
        return None;
    }
    Some(windows.join_path(&WinPath::parse(text)?))
}

/// A `GroupOrderList` value without a tag.
pub(super) fn without_tag(order: &[u8], tag: u32) -> Vec<u8> {
    let mut tags = order_tags(order);
    tags.retain(|other| *other != tag);
    let count = u32::try_from(tags.len()).unwrap_or(u32::MAX);
    std::iter::once(count).chain(tags).flat_map(u32::to_le_bytes).collect()
}

fn kmdf_version<'a>(configuration: &'a Configuration, service: &Service) -> Option<&'a str> {
    let mut versions = configuration.kmdf_versions.iter();
    versions.find(|(name, _)| name.eq_ignore_ascii_case(&service.name)).map(|(_, version)| version.as_str())
}

/// Tags that the group's other services have.
fn tags_of_group(
    editor: &Editor<'_>,
    control_set: KeyId,
    except: KeyId,
    group: &str,
) -> Result<BTreeSet<u32>> {
    let mut tags = BTreeSet::new();
    let Some(services) = editor.find(control_set, "Services")? else { return Ok(tags) };
    for service in editor.hive.subkeys(services)? {
        if service == except {
            continue;
        }
        let Some(of) = editor.value(service, "Group")?.and_then(|value| value.as_text()) else { continue };
        if of.eq_ignore_ascii_case(group) {
            tags.extend(editor.value(service, "Tag")?.and_then(|value| value.as_dword()));
        }
    }
    Ok(tags)
}

/// Tags of a `GroupOrderList` value, as many as its count says and its length holds.
fn order_tags(order: &[u8]) -> Vec<u32> {
    let mut numbers = order.chunks_exact(4).filter_map(|bytes| bytes.try_into().ok().map(u32::from_le_bytes));
    let count = numbers.next().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    numbers.take(count).collect()
}

/// The smallest positive number that is in neither.
fn free_tag(order: &[u8], used: &BTreeSet<u32>) -> u32 {
    let listed: BTreeSet<u32> = order_tags(order).into_iter().collect();
    (1..u32::MAX).find(|tag| !listed.contains(tag) && !used.contains(tag)).unwrap_or(u32::MAX)
}

/// A `GroupOrderList` value with one more tag at its end.
fn with_tag(order: &[u8], tag: u32) -> Vec<u8> {
    let mut tags = order_tags(order);
    if !tags.contains(&tag) {
        tags.push(tag);
    }
    let count = u32::try_from(tags.len()).unwrap_or(u32::MAX);
    std::iter::once(count).chain(tags).flat_map(u32::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Arch;
    use crate::drivers::destination::tests::windows;

    fn order(tags: impl IntoIterator<Item = u32>) -> Vec<u8> {
        let tags: Vec<u32> = tags.into_iter().collect();
        std::iter::once(tags.len() as u32).chain(tags).flat_map(u32::to_le_bytes).collect()
    }

    #[test]
    fn tags() {
        let scsi = order((1..=32).chain(35..=63));
        assert_eq!(free_tag(&scsi, &BTreeSet::new()), 33);
        assert_eq!(free_tag(&scsi, &BTreeSet::from([33])), 34);
        assert_eq!(free_tag(&scsi, &BTreeSet::from([33, 34])), 64);
        assert_eq!(free_tag(&order((1..=15).chain(17..=20)), &BTreeSet::new()), 16);
        assert_eq!(free_tag(&[], &BTreeSet::from([1, 2])), 3);
        // A count beyond the data is not believed.
        assert_eq!(order_tags(&[9, 0, 0, 0, 5, 0, 0, 0, 7]), [5]);
        assert_eq!(with_tag(&order([1, 2]), 4), order([1, 2, 4]));
        assert_eq!(with_tag(&[], 1), order([1]));
        assert_eq!(without_tag(&order([1, 2, 4]), 2), order([1, 4]));
        assert_eq!(without_tag(&order([1]), 7), order([1]));
    }

    #[test]
    fn programs_of_services() {
        let windows = WinPath::root().join("Windows");
        let cases = [
            ("System32\\drivers\\x.sys", Some("Windows\\System32\\drivers\\x.sys")),
            ("\\SystemRoot\\System32\\x.sys", Some("Windows\\System32\\x.sys")),
            ("%SystemRoot%\\System32\\svchost.exe -k netsvcs", Some("Windows\\System32\\svchost.exe")),
            ("\"C:\\Windows\\x y.exe\" -a", Some("Windows\\x y.exe")),
            ("\\??\\D:\\x.sys", None),
            ("C:\\Program Files\\x.exe", None),
            ("%SystemRoot%\\..\\x.sys", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(program(text, &windows).map(|path| path.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn image_paths() {
        let windows = windows(Arch::Amd64);
        let writer =
            ServiceWriter { windows: &windows, published: PublishedName(7), store_name: "x.inf_amd64_00" };
        let path = |dirid, rest: &str, service_type, start_type| {
            writer.image_path(&Service {
                binary: Some((dirid, rest.to_owned())),
                service_type,
                start_type,
                ..Service::default()
            })
        };
        let cases = [
            (path(12, "x.sys", 1, 0), Some("System32\\drivers\\x.sys")),
            (path(12, "\\x.sys", 1, 3), Some("\\SystemRoot\\System32\\drivers\\x.sys")),
            (path(13, "x.sys", 1, 0), Some("System32\\DriverStore\\FileRepository\\x.inf_amd64_00\\x.sys")),
            (
                path(13, "x.sys", 1, 3),
                Some("\\SystemRoot\\System32\\DriverStore\\FileRepository\\x.inf_amd64_00\\x.sys"),
            ),
            (path(11, "x.exe -k", 0x10, 2), Some("%SystemRoot%\\System32\\x.exe -k")),
            (path(10, "x.exe", 0x10, 2), Some("%SystemRoot%\\x.exe")),
            (path(16422, "V\\x.exe", 0x10, 2), None),
        ];
        for (found, expected) in cases {
            assert_eq!(found.as_deref(), expected);
        }
        let token = TokenText { token: Some("Svc.Desc".into()), text: "The Service".into() };
        assert_eq!(writer.indirect(&token), "@oem7.inf,%Svc.Desc%;The Service");
    }
}
