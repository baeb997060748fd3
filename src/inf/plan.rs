// SPDX-License-Identifier: GPL-3.0-or-later
//! What an INF would do on one target, as plain data.

use super::{Decoration, Target};
use crate::base::{FileTime, Guid, Version};

/// The facts of `[Version]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InfVersion {
    /// `Class`.
    pub class: Option<String>,
    /// `ClassGuid`.
    pub class_guid: Option<Guid>,
    /// `Provider`, expanded; empty when there is none.
    pub provider: String,
    /// The catalog for the target's architecture, relative to the INF.
    pub catalog: Option<String>,
    /// Date of `DriverVer`.
    pub driver_date: Option<FileTime>,
    /// Version of `DriverVer`; missing parts are zero.
    pub driver_version: Version,
    /// `ExtensionId`.
    pub extension_id: Option<Guid>,
    /// `PnpLockdown=1`.
    pub pnp_lockdown: bool,
}

/// Text, and the token it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenText {
    /// The token in the INF's own spelling, without its percent signs; nothing when the text was
    /// written as it is or is more than one token.
    pub token: Option<String>,
    /// The text with everything put in.
    pub text: String,
}

/// All that one INF would do on one target.
#[derive(Clone, Debug, Default)]
pub struct PackagePlan {
    /// `[Version]`.
    pub version: InfVersion,
    /// Applicable models lines in order. Empty: nothing in the INF is for this target;
    /// [`PackagePlan::offered`] then says what it is for.
    pub devices: Vec<Device>,
    /// Install sections used by the devices, in order of first use.
    pub configurations: Vec<Configuration>,
    /// `[DefaultInstall]`, read only when there are no devices (a primitive driver).
    pub default_install: Option<Configuration>,
    /// Every file of the package except INF and catalog: path relative to the INF's folder with `\`.
    pub source_files: Vec<String>,
    /// Of those, the ones that may lie in a cabinet of the package instead: file, cabinet.
    pub cabinets: Vec<(String, String)>,
    /// INFs that `CopyINF` names: packages of their own beside this one.
    pub copied_infs: Vec<String>,
    /// The lowest Windows version that the selected models ask for; nothing when one of them
    /// asks for none.
    pub os_floor: Option<Version>,
    /// Whether `[ClassInstall32]` exists for the target.
    pub has_class_install: bool,
    /// AddReg and DelReg of `[ClassInstall32]`; HKR is the class key.
    pub class_registry: Vec<RegistryAction>,
    /// Decorations of all `[Manufacturer]` lines, each once, in order.
    pub offered: Vec<Decoration>,
    /// Oddities that do not stop the package, with their lines.
    pub warnings: Vec<String>,
}

impl PackagePlan {
    /// Why there is nothing for the target, in words; nothing when there are devices.
    pub fn not_applicable(&self, target: &Target) -> Option<String> {
        if !self.devices.is_empty() {
            return None;
        }
        let version = target.version;
        let image = format!("{} {}.{}.{}", target.arch, version.major, version.minor, version.build);
        Some(if self.offered.is_empty() {
            "the INF lists no device models".to_owned()
        } else {
            let offered: Vec<String> = self.offered.iter().map(ToString::to_string).collect();
            format!("the INF has models for {}, none for {image}", offered.join(", "))
        })
    }
}

/// One models line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// What the device is called.
    pub description: TokenText,
    /// Who makes it.
    pub manufacturer: TokenText,
    /// Index into `configurations`.
    pub configuration: usize,
    /// The id in the hardware id slot; it may be left empty.
    pub hardware_id: Option<String>,
    /// The ids after it.
    pub compatible_ids: Vec<String>,
}

/// What one install section with its sub-sections does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Chosen install section name in the INF's own spelling.
    pub name: String,
    /// `FeatureScore`, 0xFF when there is none; lower is better.
    pub feature_score: u8,
    /// INFs used through Include and Needs: direct ones before those they include, the last
    /// listed first.
    pub included_infs: Vec<String>,
    /// `ExcludeId`.
    pub exclude_ids: Vec<String>,
    /// `DriverVer` of the section, in place of the package's.
    pub driver_version: Option<(Option<FileTime>, Version)>,
    /// `Reboot` or `Restart`.
    pub reboot: bool,
    /// Files of this package that are copied, those of `.CoInstallers` included.
    pub copy_files: Vec<CopyFile>,
    /// Files that only included INFs copy: they belong to other packages.
    pub external_files: Vec<CopyFile>,
    /// AddService lines in order.
    pub services: Vec<Service>,
    /// Names of DelService lines.
    pub deleted_services: Vec<String>,
    /// Whether an AddService without a name says that the device needs no driver.
    pub null_driver: bool,
    /// HKR lines of the install section and of `.CoInstallers` (but for CoInstallers32).
    pub driver_registry: Vec<RegistryAction>,
    /// HKR lines of `.HW`.
    pub hardware_registry: Vec<RegistryAction>,
    /// Lines with any other root, from every sub-section.
    pub other_registry: Vec<RegistryAction>,
    /// AddInterface lines.
    pub interfaces: Vec<Interface>,
    /// AddProperty lines.
    pub properties: Vec<PropertyAction>,
    /// AddFilter lines.
    pub filters: Vec<Filter>,
    /// Whether the chosen name has a `.HW` section.
    pub has_hw: bool,
    /// Whether it has a `.Services` section.
    pub has_services: bool,
    /// Whether it has an `.Interfaces` section.
    pub has_interfaces: bool,
    /// Whether it has a `.Wdf` section.
    pub has_wdf: bool,
    /// CoInstallers32 entries (file names), WdfCoInstaller* included.
    pub co_installers: Vec<String>,
    /// .Wdf: service -> KmdfLibraryVersion
    pub kmdf_versions: Vec<(String, String)>,
    /// Actions that only a full installer does (DelFiles, RenFiles, RegisterDlls, ProfileItems
    /// ...), named once each.
    pub legacy_actions: Vec<String>,
    /// Actions that are done only when the device is installed, not in the store (AddSoftware,
    /// AddComponent, AddEventProvider ...), named once each.
    pub deferred_actions: Vec<String>,
}

impl Configuration {
    /// The device's function driver: the service added with SPSVCINST_ASSOCSERVICE.
    pub fn function_driver(&self) -> Option<&Service> {
        self.services.iter().find(|service| service.flags & Service::ASSOCSERVICE != 0)
    }
}

/// One file that is copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyFile {
    /// The directory id; 65535 is an absolute path.
    pub dirid: u32,
    /// below the dirid, `\` separated, may be empty
    pub subdir: String,
    /// The name it gets.
    pub target: String,
    /// relative to the INF folder, `\`
    pub source: String,
    /// `COPYFLG_*`.
    pub flags: u32,
}

/// One AddService line with its install section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// The service's key name.
    pub name: String,
    /// `SPSVCINST_*`.
    pub flags: u32,
    /// `DisplayName`.
    pub display_name: Option<TokenText>,
    /// `Description`.
    pub description: Option<TokenText>,
    /// `ServiceType`.
    pub service_type: u32,
    /// `StartType`.
    pub start_type: u32,
    /// `ErrorControl`.
    pub error_control: u32,
    /// `%12%\x.sys` as dirid + rest; 65535 and the whole text when there is no dirid.
    pub binary: Option<(u32, String)>,
    /// `StartName`.
    pub start_name: Option<String>,
    /// `LoadOrderGroup`.
    pub load_order_group: Option<String>,
    /// `Dependencies`; a group begins with `+`.
    pub dependencies: Vec<String>,
    /// `Security`, an SDDL text.
    pub security: Option<String>,
    /// `BootFlags`.
    pub boot_flags: Option<u32>,
    /// `DelayedAutoStart`.
    pub delayed_auto_start: Option<u32>,
    /// `ServiceSidType`.
    pub sid_type: Option<u32>,
    /// `RequiredPrivileges`.
    pub required_privileges: Vec<String>,
    /// Sections that `AddTrigger` names, each as key and fields of its lines.
    pub triggers: Vec<Vec<(String, Vec<String>)>>,
    /// Sections that `FailureActions` names, as key and fields of their lines.
    pub failure_actions: Vec<(String, Vec<String>)>,
    /// HKR lines of the service's section; HKR is the service's key.
    pub registry: Vec<RegistryAction>,
    /// The event-log section.
    pub event_log: Option<EventLog>,
    /// Whether it comes from an included INF.
    pub external: bool,
}

impl Service {
    /// The function driver of the device.
    pub const ASSOCSERVICE: u32 = 0x2;
    /// First in its load order group.
    pub const TAGTOFRONT: u32 = 0x1;
}

/// Where a service's events are described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventLog {
    /// `System` unless said otherwise.
    pub log: String,
    /// The service's name unless said otherwise.
    pub name: String,
    /// HKR lines; HKR is `EventLog\<log>\<name>`.
    pub registry: Vec<RegistryAction>,
}

/// One AddInterface line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The interface class, as written.
    pub class_guid: String,
    /// Reference string; empty when there is none.
    pub reference: String,
    /// HKR lines of its section; HKR is the interface's key.
    pub registry: Vec<RegistryAction>,
}

/// One line of an AddProperty section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PropertyAction {
    /// A known name (`DeviceModel` ...) or the GUID of the property's category.
    pub name: String,
    /// Property id within the category; nothing for a known name.
    pub id: Option<u32>,
    /// `DEVPROP_TYPE_*`; nothing for a known name.
    pub kind: Option<u32>,
    /// Flags of the line.
    pub flags: u32,
    /// The values as text.
    pub values: Vec<String>,
}

/// One AddFilter line with its section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The filter's service.
    pub service: String,
    /// Flags of the line.
    pub flags: u32,
    /// `FilterPosition`.
    pub position: Option<String>,
    /// `FilterLevel`.
    pub level: Option<String>,
}

/// One AddReg / DelReg / BitReg line after substitution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryAction {
    /// HKR, HKLM, HKCR, HKCU, HKU
    pub root: String,
    /// As written; may be empty.
    pub subkey: String,
    /// Empty for the default value.
    pub name: String,
    /// As the line gives them.
    pub flags: u32,
    /// What is done.
    pub operation: RegistryOperation,
}

/// What a registry line does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryOperation {
    /// Type and data as the registry stores them.
    Set {
        /// `REG_*`.
        kind: u32,
        /// The bytes.
        data: Vec<u8>,
    },
    /// The key is created.
    KeyOnly,
    /// The value is deleted.
    DeleteValue,
    /// The key is deleted with all below.
    DeleteKey,
    /// A string is taken out of a MULTI_SZ.
    DeleteString {
        /// Which one.
        text: String,
    },
    /// Bits of a value are set or cleared: of a BINARY value in byte `byte`, of a DWORD (flags
    /// bit 2) in the whole.
    Bits {
        /// Which bits.
        mask: u32,
        /// Which byte.
        byte: u32,
        /// Set or cleared.
        set: bool,
    },
}
