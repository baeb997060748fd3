// SPDX-License-Identifier: GPL-3.0-or-later
//! The tree of an image shaped like Windows 11: the folders and files that every image has, then
//! components, programs and profiles until the number of files is reached.

use transom::base::Arch;

use crate::content::{Content, ProgramKind};
use crate::drivers::{InboxPackage, inbox_packages};
use crate::plan::{Kind, Plan, attribute};
use crate::random::Random;
use crate::spec::Spec;
use crate::{hives::HiveFile, security};

const WORDS: &[&str] = &[
    "audio",
    "boot",
    "cache",
    "client",
    "config",
    "core",
    "crypto",
    "device",
    "dialog",
    "display",
    "dns",
    "event",
    "filter",
    "font",
    "frame",
    "gateway",
    "graphics",
    "help",
    "host",
    "identity",
    "image",
    "input",
    "kernel",
    "language",
    "license",
    "logon",
    "media",
    "mobile",
    "monitor",
    "network",
    "object",
    "package",
    "policy",
    "power",
    "print",
    "profile",
    "provider",
    "proxy",
    "query",
    "radio",
    "recovery",
    "remote",
    "schedule",
    "search",
    "security",
    "sensor",
    "service",
    "session",
    "setup",
    "share",
    "shell",
    "speech",
    "storage",
    "sync",
    "system",
    "task",
    "telemetry",
    "theme",
    "time",
    "token",
    "trace",
    "update",
    "user",
    "video",
    "virtual",
    "web",
    "wireless",
    "zone",
];

/// Files that programs look for, below `Windows`; each has a twin in the component store.
const ESSENTIAL: &[(&str, ProgramKind, u32)] = &[
    ("explorer.exe", ProgramKind::Console, 120_000),
    ("notepad.exe", ProgramKind::Console, 40_000),
    ("regedit.exe", ProgramKind::Console, 50_000),
    ("System32/cmd.exe", ProgramKind::Console, 60_000),
    ("System32/csrss.exe", ProgramKind::Native, 12_000),
    ("System32/drivers/acpi.sys", ProgramKind::Native, 90_000),
    ("System32/drivers/ndis.sys", ProgramKind::Native, 150_000),
    ("System32/drivers/ntfs.sys", ProgramKind::Native, 300_000),
    ("System32/drivers/partmgr.sys", ProgramKind::Native, 30_000),
    ("System32/drivers/pci.sys", ProgramKind::Native, 60_000),
    ("System32/drivers/storport.sys", ProgramKind::Native, 110_000),
    ("System32/drivers/volmgr.sys", ProgramKind::Native, 20_000),
    ("System32/drivers/Wdf01000.sys", ProgramKind::Native, 110_000),
    ("System32/advapi32.dll", ProgramKind::Library, 90_000),
    ("System32/crypt32.dll", ProgramKind::Library, 200_000),
    ("System32/hal.dll", ProgramKind::Native, 60_000),
    ("System32/kernel32.dll", ProgramKind::Library, 130_000),
    ("System32/KernelBase.dll", ProgramKind::Library, 350_000),
    ("System32/lsass.exe", ProgramKind::Console, 16_000),
    ("System32/ntdll.dll", ProgramKind::Library, 280_000),
    ("System32/ntoskrnl.exe", ProgramKind::Native, 900_000),
    ("System32/services.exe", ProgramKind::Console, 80_000),
    ("System32/setupapi.dll", ProgramKind::Library, 500_000),
    ("System32/smss.exe", ProgramKind::Native, 30_000),
    ("System32/svchost.exe", ProgramKind::Console, 20_000),
    ("System32/user32.dll", ProgramKind::Library, 180_000),
    ("System32/wininit.exe", ProgramKind::Console, 40_000),
    ("System32/winload.efi", ProgramKind::Native, 150_000),
    ("System32/winload.exe", ProgramKind::Native, 150_000),
    ("System32/winlogon.exe", ProgramKind::Console, 90_000),
];

const FOLDERS: &[&str] = &[
    "PerfLogs",
    "Program Files/Common Files/System",
    "Program Files/Windows Defender",
    "Program Files/WindowsApps",
    "ProgramData/Microsoft/Windows/Start Menu/Programs",
    "Users/Default/AppData/Local/Temp",
    "Users/Default/AppData/Roaming",
    "Users/Default/Documents",
    "Users/Public/Documents",
    "Windows/Boot/EFI",
    "Windows/Boot/PCAT",
    "Windows/Fonts",
    "Windows/Globalization",
    "Windows/INF",
    "Windows/Logs/CBS",
    "Windows/Logs/DISM",
    "Windows/Microsoft.NET",
    "Windows/Panther",
    "Windows/Resources/Themes",
    "Windows/servicing/Packages",
    "Windows/servicing/Sessions",
    "Windows/SoftwareDistribution",
    "Windows/System32/catroot2",
    "Windows/System32/config/RegBack",
    "Windows/System32/config/systemprofile",
    "Windows/System32/config/TxR",
    "Windows/System32/Dism",
    "Windows/System32/drivers/en-US",
    "Windows/System32/drivers/etc",
    "Windows/System32/DriverStore/en-US",
    "Windows/System32/DriverStore/FileRepository",
    "Windows/System32/en-US",
    "Windows/System32/oobe",
    "Windows/System32/SMI/Store/Machine",
    "Windows/System32/spool/drivers",
    "Windows/System32/Sysprep",
    "Windows/System32/Tasks",
    "Windows/System32/wbem",
    "Windows/Temp",
    "Windows/WinSxS/Backup",
    "Windows/WinSxS/Catalogs",
    "Windows/WinSxS/FileMaps",
    "Windows/WinSxS/Manifests",
    "Windows/WinSxS/Temp",
];

/// Where the catalogs of drivers and packages are.
const CATALOGS: &str = "Windows/System32/CatRoot/{F750E6C3-38EE-11D1-85E5-00C04FC295EE}";
const REPOSITORY: &str = "Windows/System32/DriverStore/FileRepository";

/// How many packages are in the driver store of an image with so many files.
pub(crate) fn package_count(files: u32) -> usize {
    (files / 60).clamp(6, 700) as usize
}

struct Builder<'a> {
    spec: &'a Spec,
    plan: Plan,
    random: Random,
    /// Names that are still to be made.
    remaining: usize,
    components: usize,
}

/// The tree of one image.
pub(crate) fn tree(spec: &Spec, image: u32, hives: Vec<HiveFile>) -> Plan {
    let seed = spec.image_seed(image);
    let mut builder =
        Builder { spec, plan: Plan::new(), random: Random::of(seed, "tree"), remaining: 0, components: 0 };
    builder.folders();
    builder.essentials();
    builder.hives(hives);
    builder.drivers(&inbox_packages(package_count(spec.files), spec.arch, spec.build, spec.seed));
    builder.profiles();
    builder.fill();
    builder.plan
}

impl Builder<'_> {
    fn folders(&mut self) {
        let plan = &mut self.plan;
        for (path, short_name, descriptor) in [
            ("Program Files", Some("PROGRA~1"), security::PROGRAM_DIRECTORY),
            ("ProgramData", Some("PROGRA~3"), security::USERS_DIRECTORY),
            ("Users", None, security::USERS_DIRECTORY),
            ("Users/Default", None, security::PROFILE),
            ("Users/Public", None, security::PROFILE),
            ("Windows", None, security::SYSTEM_DIRECTORY),
            ("Windows/System32", None, security::SYSTEM_DIRECTORY),
            ("Windows/System32/config", None, security::CONFIG_DIRECTORY),
            (REPOSITORY, Some("FILERE~1"), security::DRIVER_STORE),
            ("Windows/Temp", None, security::LOW_LABEL),
        ] {
            let number = plan.directory(path);
            plan.entry(number).security = descriptor;
            plan.entry(number).short_name = short_name.map(str::to_owned);
        }
        for path in FOLDERS {
            plan.directory(path);
        }
        plan.directory(CATALOGS);
        if matches!(self.spec.arch, Arch::Amd64 | Arch::Arm64) {
            let number = plan.directory("Program Files (x86)");
            plan.entry(number).short_name = Some("PROGRA~2".into());
            plan.directory("Program Files (x86)/Common Files");
            plan.directory("Windows/SysWOW64/en-US");
        }
        let data = plan.find("ProgramData").unwrap();
        plan.entry(data).attributes = attribute::HIDDEN | attribute::NOT_CONTENT_INDEXED;
        let winsxs = plan.find("Windows/WinSxS").unwrap();
        plan.entry(winsxs).streams.push(("sample".into(), b"a named stream of a directory".to_vec()));
        let fonts = plan.find("Windows/Fonts").unwrap();
        plan.entry(fonts).attributes = attribute::READONLY | attribute::SYSTEM;
    }

    /// A folder of the component store for a component of this name.
    fn component_folder(&mut self, name: &str) -> String {
        self.components += 1;
        let hash = Random::of(self.spec.seed, &format!("{name} {}", self.components)).bits();
        // The store's rule: more than 24 characters are cut in the middle.
        let short = match name.len() {
            0..=24 => name.to_owned(),
            length => format!("{}..{}", &name[..11], &name[length - 11..]),
        };
        format!("{}_{short}_31bf3856ad364e35_10.0.{}.1_none_{hash:016x}", self.spec.arch, self.spec.build)
    }

    /// A component of one file: the file in the store, its twin, its manifest.
    fn component_file(&mut self, folder: &str, twin: &str, content: Content) -> usize {
        let name = twin.rsplit('/').next().unwrap_or(twin);
        let path = format!("Windows/WinSxS/{folder}/{name}");
        let number = self.plan.file(&path, content, security::STORE_FILE);
        self.plan.link(twin, number);
        number
    }

    fn manifest(&mut self, folder: &str, name: &str) {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\r\n\
             <assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\">\r\n  \
             <assemblyIdentity name=\"{name}\" version=\"10.0.{}.1\" processorArchitecture=\"{}\" \
             language=\"neutral\" buildType=\"release\" publicKeyToken=\"31bf3856ad364e35\" \
             versionScope=\"nonSxS\" />\r\n</assembly>\r\n",
            self.spec.build, self.spec.arch
        );
        let path = format!("Windows/WinSxS/Manifests/{folder}.manifest");
        self.plan.file(&path, Content::text(text), security::STORE_FILE);
    }

    fn essentials(&mut self) {
        for (path, kind, length) in ESSENTIAL {
            let stem = path.rsplit('/').next().unwrap_or(path);
            let stem = stem.split('.').next().unwrap_or(stem).to_ascii_lowercase();
            let folder = self.component_folder(&format!("microsoft-windows-{stem}"));
            let seed = Random::of(self.spec.seed, path).bits();
            // Only the kernel and what is near it is large in small images.
            let length = if self.spec.files < 20_000 { length / 4 } else { *length };
            let content = Content::Program { arch: self.spec.arch, kind: *kind, seed, length };
            let number = self.component_file(&folder, &format!("Windows/{path}"), content);
            self.plan.entry(number).object_id = (stem == "kernel32").then(|| {
                let mut id = [0; 16];
                Random::new(seed).fill(&mut id);
                id
            });
        }
        let plan = &mut self.plan;
        let hosts = plan.file(
            "Windows/System32/drivers/etc/hosts",
            Content::text("# sample\r\n127.0.0.1 localhost\r\n"),
            security::PROGRAM_FILE,
        );
        plan.entry(hosts).attributes = attribute::ARCHIVE | attribute::READONLY;
        let ini = plan.file(
            "Windows/win.ini",
            Content::text("; for 16-bit app support\r\n"),
            security::PROGRAM_FILE,
        );
        plan.entry(ini)
            .streams
            .extend([("second".into(), vec![b'2'; 3000]), ("first".into(), b"1".to_vec())]);
        plan.file("Windows/setupact.log", Content::Bytes(Vec::new().into()), security::PROGRAM_FILE);
        // A name that has to be kept in its case, and one outside Latin.
        plan.file(
            "Windows/Web/\u{c4}pfel \u{6f22}\u{5b57} \u{1f680}.txt",
            Content::text("unicode"),
            security::PROGRAM_FILE,
        );
    }

    fn hives(&mut self, hives: Vec<HiveFile>) {
        for hive in hives {
            let number = self.plan.file(&hive.path, Content::Bytes(hive.bytes), security::CONFIG_FILE);
            if hive.is_log {
                self.plan.entry(number).attributes =
                    attribute::ARCHIVE | attribute::HIDDEN | attribute::SYSTEM;
            }
        }
    }

    fn drivers(&mut self, packages: &[InboxPackage]) {
        for package in packages {
            let InboxPackage { inf, service, folder, text, .. } = package;
            let seed = Random::of(self.spec.seed, folder).bits();
            let length = 4096 + (seed % u64::from(2 * self.spec.mean_length())) as u32;
            let program = Content::Program { arch: self.spec.arch, kind: ProgramKind::Native, seed, length };
            let plan = &mut self.plan;
            let inf_file = plan.file(
                &format!("{REPOSITORY}/{folder}/{inf}"),
                Content::text(text),
                security::DRIVER_FILE,
            );
            plan.link(&format!("Windows/INF/{inf}"), inf_file);
            let driver =
                plan.file(&format!("{REPOSITORY}/{folder}/{service}.sys"), program, security::DRIVER_FILE);
            let twin = format!("Windows/System32/drivers/{service}.sys");
            if plan.find(&twin).is_none() {
                plan.link(&twin, driver);
            }
        }
    }

    fn profiles(&mut self) {
        let plan = &mut self.plan;
        plan.reparse("Documents and Settings", Kind::Junction("C:\\Users".into()));
        plan.reparse("Users/All Users", Kind::Symlink { target: "C:\\ProgramData".into(), directory: true });
        plan.reparse("Users/Default User", Kind::Junction("C:\\Users\\Default".into()));
        plan.reparse(
            "Users/Default/Application Data",
            Kind::Junction("C:\\Users\\Default\\AppData\\Roaming".into()),
        );
        plan.reparse(
            "Windows/System32/oobe/hosts.lnk",
            Kind::Symlink { target: "..\\drivers\\etc\\hosts".into(), directory: false },
        );
        let all = plan.find("Documents and Settings").unwrap();
        plan.entry(all).short_name = Some("DOCUME~1".into());
        let desktop = plan.file(
            "Users/Public/desktop.ini",
            Content::text(
                "[.ShellClassInfo]\r\nLocalizedResourceName=@%SystemRoot%\\system32\\shell32.dll\r\n",
            ),
            security::PROFILE,
        );
        plan.entry(desktop).attributes = attribute::ARCHIVE | attribute::HIDDEN | attribute::SYSTEM;
        let download = plan.file(
            "Users/Public/Documents/downloaded example.txt",
            Content::text("from elsewhere\r\n"),
            security::PROFILE,
        );
        plan.entry(download)
            .streams
            .push(("Zone.Identifier".into(), b"[ZoneTransfer]\r\nZoneId=3\r\n".to_vec()));
        plan.entry(download).short_name = Some("DOWNLO~1.TXT".into());
    }

    /// Makes components, packages, programs and the rest until the number of files is reached.
    fn fill(&mut self) {
        let fixed = self.plan.files();
        let wanted = self.spec.files as usize;
        assert!(fixed <= wanted, "{fixed} files are in every image; {wanted} were asked for");
        self.remaining = wanted - fixed;
        let mut number = 0;
        while self.remaining > 0 {
            number += 1;
            let before = self.plan.files();
            match self.random.below(100) {
                0..70 => self.component(number),
                70..76 => self.servicing_package(number),
                76..86 => self.program(number),
                86..92 => self.font_or_resource(number),
                _ => self.user_file(number),
            }
            self.remaining -= self.plan.files() - before;
        }
    }

    fn words(&mut self) -> (&'static str, &'static str) {
        (*self.random.pick(WORDS), *self.random.pick(WORDS))
    }

    fn length(&mut self) -> u32 {
        // Most files are small and a few are large, as on real disks.
        let mean = u64::from(self.spec.mean_length());
        let length = match self.random.below(10) {
            0..6 => self.random.below(mean / 2),
            6..9 => self.random.below(2 * mean),
            _ => self.random.below(9 * mean),
        };
        1024 + length as u32
    }

    fn component(&mut self, number: usize) {
        let (first, second) = self.words();
        let name = format!("microsoft-windows-{first}-{second}-{number}");
        let folder = self.component_folder(&name);
        let files = 1 + self.random.below(3);
        for file in 0..files {
            if self.remaining_after(self.plan.files()) < 2 {
                break;
            }
            let resource = file > 0;
            let (place, extension) = match (self.spec.arch, resource, self.random.below(6)) {
                (_, true, 0..4) => ("System32/en-US", "dll.mui"),
                (Arch::Amd64 | Arch::Arm64, _, 4..6) => ("SysWOW64", "dll"),
                (_, _, 0) => ("System32/wbem", "dll"),
                (_, _, 1) => ("System32", "exe"),
                _ => ("System32", "dll"),
            };
            let twin = format!("Windows/{place}/{first}{second}{number:x}{file}.{extension}");
            let kind = if extension == "exe" { ProgramKind::Console } else { ProgramKind::Library };
            let content = Content::Program {
                arch: if place == "SysWOW64" { Arch::X86 } else { self.spec.arch },
                kind,
                seed: self.random.bits(),
                length: self.length(),
            };
            let entry = self.component_file(&folder, &twin, content);
            if self.random.one_in(30) {
                let short = format!("{:.3}{:03X}~{}.DLL", first.to_uppercase(), number % 4096, file + 1);
                // A short name belongs to one name of a file: the one in the store.
                self.plan.entry(entry).short_name = Some(short);
            }
        }
        if self.remaining_after(self.plan.files()) >= 1 {
            self.manifest(&folder, &name);
        }
    }

    /// How many names are left when the plan has grown to `files`.
    fn remaining_after(&self, files: usize) -> usize {
        (self.spec.files as usize).saturating_sub(files)
    }

    fn servicing_package(&mut self, number: usize) {
        let (first, second) = self.words();
        let name = format!(
            "Microsoft-Windows-{first}-{second}-{number}-Package~31bf3856ad364e35~{}~~10.0.{}.1",
            self.spec.arch, self.spec.build
        );
        if self.remaining_after(self.plan.files()) < 3 {
            return self.user_file(number);
        }
        let mum = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<assembly xmlns=\"urn:schemas-microsoft-com:asm.v3\">\
             <assemblyIdentity name=\"{name}\" /></assembly>\r\n"
        );
        let folder = "Windows/servicing/Packages";
        self.plan.file(&format!("{folder}/{name}.mum"), Content::text(mum), security::STORE_FILE);
        let catalog = Content::Data { seed: self.random.bits(), length: 9000 };
        let number = self.plan.file(&format!("{folder}/{name}.cat"), catalog, security::STORE_FILE);
        self.plan.link(&format!("{CATALOGS}/{name}.cat"), number);
    }

    fn program(&mut self, number: usize) {
        let (first, second) = self.words();
        let root = match self.spec.arch {
            Arch::Amd64 | Arch::Arm64 if number.is_multiple_of(2) => "Program Files (x86)",
            _ => "Program Files",
        };
        let content = Content::Program {
            arch: self.spec.arch,
            kind: ProgramKind::Library,
            seed: self.random.bits(),
            length: self.length(),
        };
        let path = format!("{root}/Windows {first}/{second}-{number}.dll");
        self.plan.file(&path, content, security::PROGRAM_FILE);
    }

    fn font_or_resource(&mut self, number: usize) {
        let (first, second) = self.words();
        let content = Content::Data { seed: self.random.bits(), length: self.length() };
        let path = match number % 3 {
            0 => format!("Windows/Fonts/{first}{second}{number}.ttf"),
            1 => format!("Windows/Microsoft.NET/assembly/{first}/{second}.{number}.dll"),
            _ => format!("Windows/Resources/Themes/{first}/{second}{number}.png"),
        };
        self.plan.file(&path, content, security::STORE_FILE);
    }

    fn user_file(&mut self, number: usize) {
        let (first, second) = self.words();
        let path = match number % 2 {
            0 => format!("ProgramData/Microsoft/{first}/{second} {number}.xml"),
            _ => format!("Users/Default/AppData/Roaming/Microsoft/{first}/{second} {number}.dat"),
        };
        let length = if self.random.one_in(8) { 0 } else { self.length() / 4 };
        let content = Content::Data { seed: self.random.bits(), length };
        let file = self.plan.file(&path, content, security::PROFILE);
        if self.random.one_in(25) {
            self.plan
                .entry(file)
                .streams
                .push(("Zone.Identifier".into(), b"[ZoneTransfer]\r\nZoneId=3\r\n".to_vec()));
        }
    }
}
