// SPDX-License-Identifier: GPL-3.0-or-later
//! What real packages would do, in full.

mod inf_corpus;

use inf_corpus::{corpus, inf, target};
use transom::base::{Arch, FileTime, Version};
use transom::inf::{
    Configuration, CopyFile, Device, EventLog, InfVersion, PackagePlan, RegistryAction, RegistryOperation,
    Service, TokenText,
};

const REG_EXPAND_SZ: u32 = 2;
const REG_DWORD: u32 = 4;
const REG_MULTI_SZ: u32 = 7;

fn token(token: &str, text: &str) -> TokenText {
    TokenText { token: Some(token.into()), text: text.into() }
}

fn set(subkey: &str, name: &str, flags: u32, kind: u32, data: &[u8]) -> RegistryAction {
    let operation = RegistryOperation::Set { kind, data: data.to_vec() };
    RegistryAction { root: "HKR".into(), subkey: subkey.into(), name: name.into(), flags, operation }
}

fn dword(subkey: &str, name: &str, value: u32) -> RegistryAction {
    set(subkey, name, 0x0001_0001, REG_DWORD, &value.to_le_bytes())
}

fn key_only(subkey: &str) -> RegistryAction {
    RegistryAction {
        root: "HKR".into(),
        subkey: subkey.into(),
        name: String::new(),
        flags: 0x10,
        operation: RegistryOperation::KeyOnly,
    }
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn driver(target: &str, source: &str, flags: u32) -> CopyFile {
    CopyFile { dirid: 12, subdir: String::new(), target: target.into(), source: source.into(), flags }
}

#[test]
fn viostor_on_windows_10() {
    let Some(corpus) = corpus("drivers") else { return };
    let inf = inf(&corpus.join("inf/viostor_100.90.104.21500_w10_amd64.inf"));
    let plan = inf.package(&target(Arch::Amd64, "10.0.14393")).unwrap();

    let version = InfVersion {
        class: Some("SCSIAdapter".into()),
        class_guid: Some("{4d36e97b-e325-11ce-bfc1-08002be10318}".parse().unwrap()),
        provider: "Red Hat, Inc.".into(),
        catalog: Some("viostor.cat".into()),
        driver_date: FileTime::from_date(2021, 12, 2),
        driver_version: Version::new(100, 90, 104, 21500),
        extension_id: None,
        pnp_lockdown: true,
    };
    assert_eq!(plan.version, version);

    let device = |hardware: &str, compatible: &str| Device {
        description: token("VioStorScsi.DeviceDesc", "Red Hat VirtIO SCSI controller"),
        manufacturer: token("VENDOR", "Red Hat, Inc."),
        configuration: 0,
        hardware_id: Some(hardware.into()),
        compatible_ids: vec![compatible.into()],
    };
    let devices = [
        device(r"PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00", r"PCI\VEN_1AF4&DEV_1001"),
        device(r"PCI\VEN_1AF4&DEV_1042&SUBSYS_11001AF4&REV_01", r"PCI\VEN_1AF4&DEV_1042"),
    ];
    assert_eq!(plan.devices, devices);

    let messages = set(
        "",
        "EventMessageFile",
        0x0002_0000,
        REG_EXPAND_SZ,
        &utf16("%SystemRoot%\\System32\\IoLogMsg.dll\0"),
    );
    let service = Service {
        name: "viostor".into(),
        flags: Service::ASSOCSERVICE,
        service_type: 1,
        start_type: 0,
        error_control: 1,
        binary: Some((12, "viostor.sys".into())),
        load_order_group: Some("SCSI miniport".into()),
        registry: vec![dword(r"Parameters\PnpInterface", "5", 1), dword("Parameters", "BusType", 1)],
        event_log: Some(EventLog {
            log: "System".into(),
            name: "viostor".into(),
            registry: vec![messages, dword("", "TypesSupported", 7)],
        }),
        ..Service::default()
    };
    const MSI: &str = r"Interrupt Management\MessageSignaledInterruptProperties";
    const AFFINITY: &str = r"Interrupt Management\Affinity Policy";
    let configuration = Configuration {
        name: "scsi_inst".into(),
        feature_score: 0xFF,
        copy_files: vec![driver("viostor.sys", "viostor.sys", 2)],
        services: vec![service],
        hardware_registry: vec![
            key_only("Interrupt Management"),
            key_only(MSI),
            dword(MSI, "MSISupported", 1),
            dword(MSI, "MessageNumberLimit", 256),
            key_only(AFFINITY),
            dword(AFFINITY, "DevicePolicy", 5),
        ],
        has_hw: true,
        has_services: true,
        ..Configuration::default()
    };
    assert_eq!(plan.configurations, [configuration]);
    assert_eq!(plan.configurations[0].function_driver().unwrap().name, "viostor");
    assert_eq!(plan.source_files, ["viostor.sys"]);
    assert_eq!(plan.os_floor, Some(Version::new(6, 3, 0, 0)));
    assert_eq!((plan.default_install, plan.has_class_install), (None, false));
    assert_eq!(plan.warnings, Vec::<String>::new());
}

#[test]
fn viostor_is_not_for_others() {
    let Some(corpus) = corpus("drivers") else { return };
    let inf = inf(&corpus.join("inf/viostor_100.90.104.21500_w10_amd64.inf"));
    for (arch, version) in [(Arch::X86, "10.0.14393"), (Arch::Arm64, "10.0.14393"), (Arch::Amd64, "6.2.9200")]
    {
        let plan = inf.package(&target(arch, version)).unwrap();
        assert_eq!(plan.devices, [], "{arch} {version}");
        assert_eq!(plan.source_files, Vec::<String>::new());
        let offered: Vec<String> = plan.offered.iter().map(ToString::to_string).collect();
        assert_eq!(offered, ["NTamd64.6.3"]);
        let reason = format!("the INF has models for NTamd64.6.3, none for {arch} {version}");
        assert_eq!(plan.not_applicable(&target(arch, version)), Some(reason));
    }
}

#[test]
fn vboxguest_uses_one_section_as_models_and_install_section() {
    let Some(corpus) = corpus("drivers/packages") else { return };
    let inf = inf(&corpus.join("vboxguest_7.2.22_amd64_whql/VBoxGuest.inf"));
    let plan = inf.package(&target(Arch::Amd64, "10.0.19041")).unwrap();
    let device = Device {
        description: token("VBoxGuest_DeviceDesc", "VirtualBox Guest Device"),
        manufacturer: token("ORACLE", "Oracle Corporation"),
        configuration: 0,
        hardware_id: Some(r"PCI\VEN_80ee&DEV_cafe".into()),
        compatible_ids: Vec::new(),
    };
    assert_eq!(plan.devices, [device]);
    let tool = |name: &str| CopyFile {
        dirid: 11,
        subdir: String::new(),
        target: name.into(),
        source: name.into(),
        flags: 0x4000,
    };
    let run = RegistryAction {
        root: "HKLM".into(),
        ..set(
            r"SOFTWARE\Microsoft\Windows\CurrentVersion\Run",
            "VBoxTray",
            0x0002_0000,
            REG_EXPAND_SZ,
            &utf16("%SystemRoot%\\system32\\VBoxTray.exe\0"),
        )
    };
    let service = Service {
        name: "VBoxGuest".into(),
        flags: Service::ASSOCSERVICE,
        display_name: Some(token("VBoxGuest_SvcDesc", "VirtualBox Guest Driver")),
        service_type: 1,
        start_type: 0,
        error_control: 1,
        binary: Some((12, "VBoxGuest.sys".into())),
        load_order_group: Some("Base".into()),
        ..Service::default()
    };
    let configuration = Configuration {
        name: "VBoxGuest.NTAMD64".into(),
        feature_score: 0xFF,
        copy_files: vec![
            driver("VBoxGuest.sys", "VBoxGuest.sys", 0x4000),
            tool("VBoxTray.exe"),
            tool("VBoxControl.exe"),
        ],
        services: vec![service],
        deleted_services: vec!["VBoxTray".into()],
        other_registry: vec![run],
        has_services: true,
        ..Configuration::default()
    };
    assert_eq!(plan.configurations, [configuration]);
    assert_eq!(plan.source_files, ["VBoxGuest.sys", "VBoxTray.exe", "VBoxControl.exe"]);
    assert_eq!(plan.version.catalog.as_deref(), Some("VBoxGuest.cat"));
    assert!(plan.has_class_install);
    assert_eq!((plan.os_floor, plan.class_registry, plan.warnings), (None, Vec::new(), Vec::new()));
}

#[test]
fn vboxvideo_by_the_closest_models() {
    let Some(corpus) = corpus("drivers/packages") else { return };
    let inf = inf(&corpus.join("vboxvideo_7.2.22_amd64_legacycat/VBoxVideo.inf"));
    for (version, floor) in [("10.0.19041", Some(Version::new(6, 0, 0, 0))), ("5.2.3790", None)] {
        let plan = inf.package(&target(Arch::Amd64, version)).unwrap();
        assert_eq!(plan.os_floor, floor);
        assert_eq!(plan.devices.len(), 1);
        let configuration = &plan.configurations[0];
        assert_eq!((configuration.name.as_str(), configuration.feature_score), ("VBoxVideo_Install", 0xF8));
        assert_eq!(plan.source_files, ["VBoxVideo.sys", "VBoxDisp.dll"]);
        // .SoftwareSettings is no sub-section that anything refers to.
        assert_eq!(configuration.driver_registry, []);
        let log = configuration.services[0].event_log.as_ref().unwrap();
        assert_eq!((log.log.as_str(), log.name.as_str(), log.registry.len()), ("System", "VBoxVideo", 2));
    }
}

#[test]
fn vboxmouse_is_a_primitive_driver() {
    let Some(corpus) = corpus("drivers/packages") else { return };
    let inf = inf(&corpus.join("vboxmouse_7.2.22_amd64_whql/VBoxMouse.inf"));
    let plan = inf.package(&target(Arch::Amd64, "10.0.19041")).unwrap();
    assert_eq!((plan.devices.len(), plan.offered.len()), (0, 0));
    let install = plan.default_install.unwrap();
    assert_eq!(install.name, "DefaultInstall.NTAMD64");
    assert_eq!(install.copy_files, [driver("VBoxMouse.sys", "VBoxMouse.sys", 0)]);
    assert_eq!(plan.source_files, ["VBoxMouse.sys"]);
    assert_eq!(install.services[0].start_type, 3);
    let filters = RegistryAction {
        root: "HKLM".into(),
        ..set(
            r"System\CurrentControlSet\Control\Class\{4D36E96F-E325-11CE-BFC1-08002BE10318}",
            "UpperFilters",
            0x0001_0000,
            REG_MULTI_SZ,
            &utf16("VBoxMouse\0mouclass\0\0"),
        )
    };
    assert_eq!(install.other_registry, [filters]);
    let x86: PackagePlan = inf.package(&target(Arch::X86, "10.0.19041")).unwrap();
    assert_eq!(x86.default_install, None);
}

#[test]
fn synapticstouch_for_two_architectures() {
    let Some(corpus) = corpus("drivers/packages") else { return };
    let inf = inf(&corpus.join("synapticstouch_arm_arm64/SynapticsTouch.inf"));
    for (arch, folder) in [(Arch::Arm, "arm"), (Arch::Arm64, "arm64")] {
        let plan = inf.package(&target(arch, "10.0.17763")).unwrap();
        assert_eq!(plan.version.catalog, Some(format!("SynapticsTouch.{folder}.cat")));
        let source = format!(r"{folder}\SynapticsTouch.sys");
        assert_eq!(plan.source_files, std::slice::from_ref(&source));
        let configuration = &plan.configurations[0];
        assert_eq!(configuration.copy_files, [driver("SynapticsTouch.sys", &source, 0)]);
        let hardware = [
            set("", "UpperFilters", 0x0001_0000, REG_MULTI_SZ, &utf16("mshidkmdf\0\0")),
            dword("", "MultiportDevice", 0),
        ];
        assert_eq!(configuration.hardware_registry, hardware);
        let ids: Vec<&str> = plan.devices.iter().filter_map(|device| device.hardware_id.as_deref()).collect();
        assert_eq!(ids, [r"ACPI\MSHW1003", r"ACPI\NOKIA_TOUCH"]);
    }
    let plan = inf.package(&target(Arch::Amd64, "10.0.17763")).unwrap();
    let offered: Vec<String> = plan.offered.iter().map(ToString::to_string).collect();
    assert_eq!((plan.devices.len(), offered), (0, vec!["NTarm".to_owned(), "NTarm64".to_owned()]));
}

/// The template of vioser, expanded as the corpus says, against what Windows captured of it.
#[test]
fn vioser_template() {
    let Some(corpus) = corpus("drivers") else { return };
    let text = std::fs::read_to_string(corpus.join("inf/kvm_vioser.inx")).unwrap();
    let text = [
        ("$ARCH$", "amd64"),
        ("_INX_SUBSYS_VENDOR_ID", "1AF4"),
        ("INX_COMPANY", "Red Hat, Inc."),
        ("INX_PREFIX_VIRTIO", ""),
        ("$KMDFVERSION$", "1.15"),
        ("$KMDFCOINSTALLERVERSION$", "01009"),
    ]
    .iter()
    .fold(text, |text, (from, to)| text.replace(from, to));
    let inf = transom::inf::Inf::parse(text.as_bytes()).unwrap();
    let plan = inf.package(&target(Arch::Amd64, "10.0.14393")).unwrap();
    let configuration = &plan.configurations[0];
    assert_eq!(configuration.name, "VirtioSerial_Device.NT");
    assert_eq!(configuration.co_installers, ["WdfCoInstaller01009.dll"]);
    assert_eq!(configuration.kmdf_versions, [("VirtioSerial".to_owned(), "1.15".to_owned())]);
    assert_eq!(configuration.driver_registry, []);
    assert!(configuration.has_hw && configuration.has_services && configuration.has_wdf);
    assert_eq!(plan.source_files, ["vioser.sys", "WdfCoInstaller01009.dll"]);
    assert_eq!(plan.devices[0].description, token("VirtioSerial.DeviceDesc", "VirtIO Serial Driver"));
    let hardware: Vec<&str> =
        configuration.hardware_registry.iter().map(|action| action.name.as_str()).collect();
    assert_eq!(hardware, ["", "", "MSISupported", "MessageNumberLimit"]);
}
