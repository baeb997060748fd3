// SPDX-License-Identifier: GPL-3.0-or-later
//! The one table of commands.
//!
//! A row is all there is to say about a command: its names in both languages, its arguments, its
//! help and what runs it. Both fronts, help, errors, completions and man pages are made from it.
//! A command that is known but not built yet is a row with [`Action::Planned`]; building it means
//! filling in that row.

use super::commands::{self, Action};

/// What an argument's value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Takes no value.
    Flag,
    /// Any text.
    Text,
    /// A path on this machine.
    Path,
    /// A decimal number.
    Number,
    /// The number of an image, or `all`.
    Index,
    /// One of these words, in any case.
    Choice(&'static [&'static str]),
}

/// How an argument is written in our own language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Native {
    /// `--word`.
    Option(&'static str),
    /// By its position.
    Position,
    /// Everything that follows.
    Rest,
}

/// How often an argument may or must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occurs {
    /// At most once.
    Optional,
    /// Exactly once.
    Required,
    /// Once or several times; the order is kept.
    Repeated,
}

/// One argument of a command, or a global option.
#[derive(Debug)]
pub(crate) struct Argument {
    /// Names the value for the program.
    pub(crate) id: &'static str,
    /// DISM's names; the first is the one shown.
    pub(crate) dism: &'static [&'static str],
    /// The form in our own language.
    pub(crate) native: Native,
    /// What stands for the value in help.
    pub(crate) value_name: &'static str,
    /// What the value must be.
    pub(crate) kind: Kind,
    /// How often it may stand.
    pub(crate) occurs: Occurs,
    /// One sentence.
    pub(crate) help: &'static str,
}

/// What a command works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Files; `/Image` makes no sense.
    Imaging,
    /// An opened image.
    Servicing,
    /// Neither: the tool itself.
    Tool,
}

/// One command.
#[derive(Debug)]
pub(crate) struct Command {
    /// DISM's names; the first is the one shown. None for commands that only we have.
    pub(crate) dism: &'static [&'static str],
    /// The words of our own language.
    pub(crate) native: &'static str,
    /// What it works on.
    pub(crate) scope: Scope,
    /// The argument that `/Command:value` fills.
    pub(crate) shorthand: Option<&'static str>,
    /// Whether DISM allows it beside another such command.
    pub(crate) combines: bool,
    /// What it takes.
    pub(crate) arguments: &'static [Argument],
    /// One line.
    pub(crate) summary: &'static str,
    /// A real example in DISM's language.
    pub(crate) dism_example: &'static str,
    /// A real example in ours.
    pub(crate) native_example: &'static str,
    /// What runs it.
    pub(crate) action: Action,
}

impl Command {
    /// Whether there is something that runs it.
    pub(crate) fn is_built(&self) -> bool {
        !matches!(self.action, Action::Planned)
    }

    /// How errors name it: DISM's name where it has one.
    pub(crate) fn name(&self) -> &'static str {
        self.dism.first().copied().unwrap_or(self.native)
    }

    /// The argument of this id.
    pub(crate) fn argument(&self, id: &str) -> Option<&'static Argument> {
        self.arguments.iter().find(|argument| argument.id == id)
    }
}

impl Argument {
    /// How DISM's language names it.
    pub(crate) fn dism_name(&self) -> &'static str {
        self.dism.first().copied().unwrap_or(self.id)
    }
}

/// The command of a DISM name in any case, without its slash.
pub(crate) fn command(dism_name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.dism.iter().any(|name| name.eq_ignore_ascii_case(dism_name)))
}

/// The argument of a DISM name in any case, without its slash.
pub(crate) fn argument(arguments: &'static [Argument], dism_name: &str) -> Option<&'static Argument> {
    arguments.iter().find(|argument| argument.dism.iter().any(|name| name.eq_ignore_ascii_case(dism_name)))
}

/// Whether any command, built or not, has an option of this DISM name.
pub(crate) fn is_known_option(dism_name: &str) -> bool {
    PLANNED_OPTIONS.iter().any(|name| name.eq_ignore_ascii_case(dism_name))
        || argument(GLOBALS, dism_name).is_some()
        || COMMANDS.iter().any(|command| argument(command.arguments, dism_name).is_some())
}

const fn option(
    id: &'static str,
    dism: &'static [&'static str],
    native: &'static str,
    (kind, value_name): (Kind, &'static str),
    help: &'static str,
) -> Argument {
    Argument { id, dism, native: Native::Option(native), value_name, kind, occurs: Occurs::Optional, help }
}

const fn flag(
    id: &'static str,
    dism: &'static [&'static str],
    native: &'static str,
    help: &'static str,
) -> Argument {
    option(id, dism, native, (Kind::Flag, ""), help)
}

const IMAGE_FILE: Argument = Argument {
    id: "file",
    dism: &["ImageFile", "WimFile"],
    native: Native::Position,
    value_name: "FILE[:INDEX]",
    kind: Kind::Path,
    occurs: Occurs::Required,
    help: "The image file; the part behind the last colon names one image of it.",
};

const INDEX: Argument =
    option("index", &["Index"], "index", (Kind::Index, "N"), "The number of the image, from 1, or `all`.");

const NAME: Argument =
    option("name", &["Name"], "name", (Kind::Text, "NAME"), "The name of the image, instead of its number.");

const HIVE_FILE: Argument = Argument {
    id: "file",
    dism: &[],
    native: Native::Position,
    value_name: "FILE",
    kind: Kind::Path,
    occurs: Occurs::Required,
    help: "The hive; logs beside it (FILE.LOG1, .LOG2, .LOG) complete it.",
};

/// A key of a hive file, by its path below the root.
const HIVE_KEY: Argument = Argument {
    id: "key",
    dism: &[],
    native: Native::Position,
    value_name: "KEY",
    kind: Kind::Text,
    occurs: Occurs::Required,
    help: "The key's path below the root of the hive.",
};

const HIVE_KEY_OPTIONAL: Argument = Argument {
    occurs: Occurs::Optional,
    help: "The key's path below the root of the hive; by itself the root.",
    ..HIVE_KEY
};

/// A key of an image.
const REGISTRY_KEY: Argument = Argument {
    help: "The key, such as HKLM\\SOFTWARE\\Name; HKCU is the default user, HKCR SOFTWARE\\Classes.",
    ..HIVE_KEY
};

const REG_FILE: Argument = Argument {
    id: "reg",
    value_name: "REG",
    kind: Kind::Path,
    help: "The .reg file, of version 4 or 5, in UTF-16, UTF-8 or ANSI.",
    ..HIVE_KEY
};

const REG_OUTPUT: Argument = Argument {
    id: "output",
    value_name: "OUT",
    kind: Kind::Path,
    occurs: Occurs::Optional,
    help: "The .reg file to write; without it the text is printed.",
    ..HIVE_KEY
};

const PREFIX: Argument = option(
    "prefix",
    &[],
    "prefix",
    (Kind::Text, "ROOT"),
    "The key that the root of the hive stands for in .reg text; by itself told by the file's name.",
);

const VALUE: Argument = option("value", &[], "value", (Kind::Text, "NAME"), "The name of a value.");
const DEFAULT_VALUE: Argument = flag("default", &[], "default", "The default value, which has no name.");
const RECURSIVE: Argument = flag("recursive", &[], "recursive", "Everything below the key too.");
const VALUE_TYPE: Argument = option(
    "type",
    &[],
    "type",
    (Kind::Text, "TYPE"),
    "The type, such as REG_DWORD or a number; REG_SZ by itself.",
);
const DATA: Argument = option(
    "data",
    &[],
    "data",
    (Kind::Text, "DATA"),
    "The data: text; texts separated by \\0; a number; or bytes as hex digits.",
);
const FORCE: Argument =
    flag("force", &[], "force", "Accepted for scripts: nothing is ever asked before it is done.");

/// A command that only we have.
const fn own(
    native: &'static str,
    scope: Scope,
    arguments: &'static [Argument],
    summary: &'static str,
    native_example: &'static str,
    action: Action,
) -> Command {
    Command {
        dism: &[],
        native,
        scope,
        shorthand: None,
        combines: false,
        arguments,
        summary,
        dism_example: "",
        native_example,
        action,
    }
}

const CHECK_INTEGRITY: Argument = flag(
    "check",
    &["CheckIntegrity"],
    "check",
    "Verifies the file first; a new file gets an integrity table.",
);

/// Options that go with every command.
pub(crate) static GLOBALS: &[Argument] = &[
    option(
        "image",
        &["Image"],
        "image",
        (Kind::Path, "FILE[:INDEX|:all]"),
        "The image to service: a WIM and one image of it, or all of them. No mount is needed.",
    ),
    INDEX,
    NAME,
    flag("online", &["Online"], "online", "The running system. Refused here: this system is no Windows."),
    flag("english", &["English"], "english", "Output in English, dates and numbers as in the United States."),
    option(
        "format",
        &["Format"],
        "format",
        (Kind::Choice(&["table", "list"]), "LAYOUT"),
        "How reports of several rows are laid out.",
    ),
    option("log_path", &["LogPath"], "log-path", (Kind::Path, "FILE"), "The log to write to."),
    option(
        "log_level",
        &["LogLevel"],
        "log-level",
        (Kind::Number, "1..4"),
        "What is logged: 1 errors, 2 warnings too, 3 information too, 4 everything.",
    ),
    flag("quiet", &["Quiet"], "quiet", "Prints nothing but errors (and the document of --json)."),
    flag(
        "no_restart",
        &["NoRestart"],
        "no-restart",
        "Accepted for scripts: an offline image never restarts.",
    ),
    option(
        "scratch_dir",
        &["ScratchDir"],
        "scratch-dir",
        (Kind::Path, "DIR"),
        "Where data is staged; a directory of its own below it is made and removed again.",
    ),
    option(
        "win_dir",
        &["WinDir"],
        "win-dir",
        (Kind::Text, "DIR"),
        "The Windows directory in the image. Only the usual one is supported so far.",
    ),
    option(
        "sys_drive_dir",
        &["SysDriveDir"],
        "sys-drive-dir",
        (Kind::Text, "DIR"),
        "Where the boot manager lies if not in the image. Not supported so far.",
    ),
    flag("json", &["Json"], "json", "Prints one JSON document instead of text."),
    flag(
        "dry_run",
        &["DryRun", "Dry-Run"],
        "dry-run",
        "Prints what would change in files and registry, and writes nothing.",
    ),
    option(
        "threads",
        &["Threads"],
        "threads",
        (Kind::Number, "N"),
        "How many threads do heavy work; 0, the default, means one per core.",
    ),
    flag(
        "ignore_dirty",
        &["IgnoreDirty", "Ignore-Dirty"],
        "ignore-dirty",
        "Opens a registry hive although its log is missing; the result is then not exact.",
    ),
    option(
        "progress",
        &["Progress"],
        "progress",
        (Kind::Choice(&["auto", "bar", "lines", "json", "none"]), "HOW"),
        "How progress is shown: by itself a bar on a terminal, else a few lines.",
    ),
    option(
        "progress_fd",
        &["ProgressFd", "Progress-Fd"],
        "progress-fd",
        (Kind::Number, "FD"),
        "The open file descriptor that gets the lines of --progress json, instead of standard error.",
    ),
    flag(
        "reproducible",
        &["Reproducible"],
        "reproducible",
        "Stamps changes with SOURCE_DATE_EPOCH (1980-01-01 if unset), so that equal inputs give equal bytes.",
    ),
    flag(
        "lenient",
        &["Lenient"],
        "lenient",
        "In DISM's language: takes `/Option: value` for `/Option:value`.",
    ),
];

/// Every command, the built ones first.
pub(crate) static COMMANDS: &[Command] = &[
    Command {
        dism: &["Get-ImageInfo", "Get-WimInfo"],
        native: "image info",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[IMAGE_FILE, INDEX, NAME],
        summary: "Tells what a WIM says about its images, or all it says about one.",
        dism_example: "/Get-ImageInfo /ImageFile:install.wim /Index:1",
        native_example: "image info install.wim:1",
        action: Action::Host(commands::image::info),
    },
    Command {
        dism: &[],
        native: "image verify",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[Argument { value_name: "FILE", help: "The image file.", ..IMAGE_FILE }],
        summary: "Reads and checks every byte of a WIM against its hashes and integrity table.",
        dism_example: "",
        native_example: "image verify install.wim",
        action: Action::Host(commands::image::verify),
    },
    Command {
        dism: &["List-Image"],
        native: "image list",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[IMAGE_FILE, INDEX, NAME],
        summary: "Lists every file and folder of an image.",
        dism_example: "/List-Image /ImageFile:install.wim /Index:1",
        native_example: "image list install.wim:1",
        action: Action::Host(commands::image::list),
    },
    Command {
        dism: &["Export-Image"],
        native: "image export",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[
            Argument {
                dism: &["SourceImageFile"],
                help: "The file with the image; of a split set the first part, the others beside it.",
                ..IMAGE_FILE
            },
            Argument {
                id: "destination",
                dism: &["DestinationImageFile"],
                native: Native::Position,
                value_name: "DEST",
                kind: Kind::Path,
                occurs: Occurs::Required,
                help: "The file that gets the image: a new one, or one to which it is added.",
            },
            option(
                "index",
                &["SourceIndex"],
                "index",
                (Kind::Index, "N"),
                "The number of the image, from 1, or `all`.",
            ),
            option(
                "source_name",
                &["SourceName"],
                "source-name",
                (Kind::Text, "NAME"),
                "The name of the image, instead of its number.",
            ),
            flag("all", &["All"], "all", "Every image of the file."),
            option(
                "name",
                &["DestinationName"],
                "name",
                (Kind::Text, "NAME"),
                "The name of the image in the destination.",
            ),
            option(
                "compress",
                &["Compress"],
                "compress",
                (Kind::Choice(&["none", "fast", "max", "maximum", "recovery"]), "HOW"),
                "How a new file is compressed: fast is XPRESS, max is LZX, recovery a solid ESD; else as the source.",
            ),
            flag("bootable", &["Bootable"], "boot", "Makes the image the one to boot from."),
            CHECK_INTEGRITY,
            option(
                "swm_file",
                &["SWMFile"],
                "swm-file",
                (Kind::Text, "PATTERN"),
                "Accepted for scripts: the parts of a split set are found beside the first.",
            ),
            flag("wim_boot", &["WIMBoot"], "wimboot", "Refused: such images are no longer used."),
        ],
        summary: "Copies images into a new file or adds them to one, with the data they need and no other.",
        dism_example: "/Export-Image /SourceImageFile:install.wim /SourceIndex:1 /DestinationImageFile:one.esd \
                       /Compress:recovery",
        native_example: "image export install.wim:1 one.wim --compress max",
        action: Action::Host(commands::image::export),
    },
    Command {
        dism: &["Delete-Image"],
        native: "image delete",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[IMAGE_FILE, INDEX, NAME, CHECK_INTEGRITY],
        summary: "Removes an image from a file; its data stays as dead space until `image optimize`.",
        dism_example: "/Delete-Image /ImageFile:install.wim /Index:2",
        native_example: "image delete install.wim:2",
        action: Action::Host(commands::image::delete),
    },
    Command {
        dism: &["Split-Image"],
        native: "image split",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[
            Argument { value_name: "FILE", help: "The file to divide.", ..IMAGE_FILE },
            Argument {
                id: "swm_file",
                dism: &["SWMFile"],
                native: Native::Position,
                value_name: "FIRST.swm",
                kind: Kind::Path,
                occurs: Occurs::Required,
                help: "The first part; the others get a number before the extension.",
            },
            Argument {
                occurs: Occurs::Required,
                ..option(
                    "file_size",
                    &["FileSize"],
                    "size",
                    (Kind::Number, "MB"),
                    "The length of a part in megabytes; a part with one larger file is longer.",
                )
            },
            CHECK_INTEGRITY,
        ],
        summary: "Divides a file into parts that fit on smaller media.",
        dism_example: "/Split-Image /ImageFile:install.wim /SWMFile:install.swm /FileSize:3800",
        native_example: "image split install.wim install.swm --size 3800",
        action: Action::Host(commands::image::split),
    },
    Command {
        dism: &[],
        native: "image optimize",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[Argument { value_name: "FILE", help: "The image file.", ..IMAGE_FILE }],
        summary: "Writes a file anew without dead space, and says how much that gave back.",
        dism_example: "",
        native_example: "image optimize install.wim",
        action: Action::Host(commands::image::optimize),
    },
    Command {
        dism: &[],
        native: "image set",
        scope: Scope::Imaging,
        shorthand: None,
        combines: false,
        arguments: &[
            IMAGE_FILE,
            INDEX,
            option("name", &[], "name", (Kind::Text, "NAME"), "What the image is to be called."),
            option("description", &[], "description", (Kind::Text, "TEXT"), "Its description."),
            option("flags", &[], "flags", (Kind::Text, "EDITION"), "The edition as Setup knows it."),
            option("display_name", &[], "display-name", (Kind::Text, "TEXT"), "The name that Setup shows."),
            option(
                "display_description",
                &[],
                "display-description",
                (Kind::Text, "TEXT"),
                "The description that Setup shows.",
            ),
            flag("bootable", &[], "boot", "Makes it the image to boot from."),
            flag("not_bootable", &[], "no-boot", "Makes the file boot from no image."),
        ],
        summary: "Sets name, description or flags of an image, or whether it is booted from.",
        dism_example: "",
        native_example: "image set install.wim:1 --name Professional",
        action: Action::Host(commands::image::set),
    },
    Command {
        dism: &["Get-Drivers"],
        native: "driver list",
        scope: Scope::Servicing,
        shorthand: None,
        combines: false,
        arguments: &[flag("all", &["All"], "all", "Lists the packages that came with Windows too.")],
        summary: "Lists the driver packages in an image.",
        dism_example: "/Image:install.wim /Index:1 /Get-Drivers /Format:Table",
        native_example: "--image install.wim:1 driver list",
        action: Action::Read(commands::driver::list),
    },
    Command {
        dism: &["Get-DriverInfo"],
        native: "driver show",
        scope: Scope::Servicing,
        shorthand: Some("driver"),
        combines: false,
        arguments: &[Argument {
            id: "driver",
            dism: &["Driver"],
            native: Native::Position,
            value_name: "NAME|INF",
            kind: Kind::Path,
            occurs: Occurs::Repeated,
            help: "A published name such as oem1.inf, or the path of an INF that is not in the image.",
        }],
        summary: "Tells all about a driver package: its class, version, devices and services.",
        dism_example: "/Image:install.wim /Index:1 /Get-DriverInfo /Driver:oem0.inf",
        native_example: "--image install.wim:1 driver show oem0.inf",
        action: Action::Read(commands::driver::show),
    },
    Command {
        dism: &["Add-Driver"],
        native: "driver add",
        scope: Scope::Servicing,
        shorthand: None,
        combines: false,
        arguments: &[
            Argument {
                id: "driver",
                dism: &["Driver"],
                native: Native::Position,
                value_name: "PATH",
                kind: Kind::Path,
                occurs: Occurs::Repeated,
                help: "An INF, or a folder whose INFs are all added.",
            },
            flag("recurse", &["Recurse"], "recurse", "Looks into the folders below a folder too."),
            flag(
                "force_unsigned",
                &["ForceUnsigned"],
                "force-unsigned",
                "Adds packages whose catalog does not vouch for them; 64-bit Windows will not load such drivers.",
            ),
            flag(
                "all_or_nothing",
                &["AllOrNothing", "All-Or-Nothing"],
                "all-or-nothing",
                "Adds nothing if one package cannot be added; else the good ones are kept.",
            ),
        ],
        summary: "Adds driver packages to an image.",
        dism_example: "/Image:install.wim /Index:1 /Add-Driver /Driver:/srv/drv /Recurse",
        native_example: "--image install.wim:1 driver add /srv/drv --recurse",
        action: Action::Change(commands::driver::add),
    },
    own(
        "hive show",
        Scope::Imaging,
        &[HIVE_FILE],
        "Tells what a registry hive says about itself.",
        "hive show SOFTWARE",
        Action::Host(commands::hive::show),
    ),
    own(
        "hive query",
        Scope::Imaging,
        &[HIVE_FILE, HIVE_KEY_OPTIONAL, VALUE, DEFAULT_VALUE, RECURSIVE, PREFIX],
        "Lists a key of a hive: its values and subkeys.",
        "hive query SOFTWARE \"Microsoft\\Windows NT\\CurrentVersion\" --value ProductName",
        Action::Host(commands::hive::query),
    ),
    own(
        "hive set",
        Scope::Imaging,
        &[HIVE_FILE, HIVE_KEY, VALUE, DEFAULT_VALUE, VALUE_TYPE, DATA, FORCE, PREFIX],
        "Creates a key of a hive, or sets a value; missing keys are created.",
        "hive set SOFTWARE Contoso --value Level --type REG_DWORD --data 3",
        Action::Host(commands::hive::set),
    ),
    own(
        "hive delete",
        Scope::Imaging,
        &[HIVE_FILE, HIVE_KEY, VALUE, DEFAULT_VALUE, FORCE, PREFIX],
        "Deletes a key of a hive with all below it, or one value.",
        "hive delete SOFTWARE Contoso --value Level",
        Action::Host(commands::hive::delete),
    ),
    own(
        "hive export",
        Scope::Imaging,
        &[HIVE_FILE, HIVE_KEY_OPTIONAL, REG_OUTPUT, PREFIX],
        "Writes a key of a hive with all below it as .reg text.",
        "hive export SOFTWARE Contoso contoso.reg",
        Action::Host(commands::hive::export),
    ),
    own(
        "hive import",
        Scope::Imaging,
        &[HIVE_FILE, REG_FILE, PREFIX],
        "Carries out a .reg file on a hive, wholly or not at all.",
        "hive import SOFTWARE contoso.reg",
        Action::Host(commands::hive::import),
    ),
    own(
        "hive check",
        Scope::Imaging,
        &[HIVE_FILE],
        "Checks a hive against every rule of its format.",
        "hive check SOFTWARE",
        Action::Host(commands::hive::check),
    ),
    own(
        "hive diff",
        Scope::Imaging,
        &[
            HIVE_FILE,
            Argument { id: "other", value_name: "NEW", help: "The hive to compare it with.", ..HIVE_FILE },
            option(
                "output",
                &[],
                "reg",
                (Kind::Path, "OUT"),
                "Writes .reg text that turns the first hive into the second.",
            ),
            flag("summary", &[], "summary", "Prints counts only."),
            PREFIX,
        ],
        "Tells the keys and values in which two hives differ.",
        "hive diff SOFTWARE SOFTWARE.new --reg changes.reg",
        Action::Host(commands::hive::diff),
    ),
    own(
        "reg query",
        Scope::Servicing,
        &[REGISTRY_KEY, VALUE, DEFAULT_VALUE, RECURSIVE],
        "Lists a registry key of an image: its values and subkeys.",
        "--image install.wim:1 reg query HKLM\\SYSTEM\\Select",
        Action::Read(commands::reg::query),
    ),
    own(
        "reg find",
        Scope::Servicing,
        &[
            REGISTRY_KEY,
            Argument { id: "text", value_name: "TEXT", help: "What to look for, in any case.", ..HIVE_KEY },
        ],
        "Lists the keys and values below a key that hold a text.",
        "--image install.wim:1 reg find HKLM\\SOFTWARE\\Microsoft Windows",
        Action::Read(commands::reg::find),
    ),
    own(
        "reg set",
        Scope::Servicing,
        &[REGISTRY_KEY, VALUE, DEFAULT_VALUE, VALUE_TYPE, DATA, FORCE],
        "Creates a registry key of an image, or sets a value; missing keys are created.",
        "--image install.wim:1 reg set HKLM\\SOFTWARE\\Contoso --value Level --type REG_DWORD --data 3",
        Action::Change(commands::reg::set),
    ),
    own(
        "reg delete",
        Scope::Servicing,
        &[REGISTRY_KEY, VALUE, DEFAULT_VALUE, FORCE],
        "Deletes a registry key of an image with all below it, or one value.",
        "--image install.wim:1 reg delete HKLM\\SOFTWARE\\Contoso --value Level",
        Action::Change(commands::reg::delete),
    ),
    own(
        "reg import",
        Scope::Servicing,
        &[REG_FILE],
        "Carries out a .reg file on an image; several hives change in one commit or none.",
        "--image install.wim:1 reg import settings.reg",
        Action::Change(commands::reg::import),
    ),
    own(
        "reg export",
        Scope::Servicing,
        &[REGISTRY_KEY, REG_OUTPUT, FORCE],
        "Writes a registry key of an image with all below it as .reg text.",
        "--image install.wim:1 reg export HKLM\\SYSTEM\\Select select.reg",
        Action::Read(commands::reg::export),
    ),
    Command {
        dism: &[],
        native: "diff",
        scope: Scope::Servicing,
        shorthand: None,
        combines: false,
        arguments: &[flag("summary", &["Summary"], "summary", "Prints counts only.")],
        summary: "Tells what the commands before it, joined by --then, changed in files and registry.",
        dism_example: "",
        native_example: "--image install.wim:1 --dry-run driver add netkvm.inf --then diff --summary",
        action: Action::Read(commands::difference::difference),
    },
    Command {
        dism: &[],
        native: "parse",
        scope: Scope::Tool,
        shorthand: None,
        combines: false,
        arguments: &[Argument {
            id: "arguments",
            dism: &[],
            native: Native::Rest,
            value_name: "ARGS",
            kind: Kind::Text,
            occurs: Occurs::Repeated,
            help: "The words of a DISM command line.",
        }],
        summary: "Prints as JSON how a DISM command line is understood, without running it.",
        dism_example: "",
        native_example: "parse -- /Image:install.wim /Index:1 /Get-Drivers",
        action: Action::Tool(commands::tool::parse),
    },
    Command {
        dism: &[],
        native: "completions",
        scope: Scope::Tool,
        shorthand: None,
        combines: false,
        arguments: &[Argument {
            id: "shell",
            dism: &[],
            native: Native::Position,
            value_name: "SHELL",
            kind: Kind::Choice(&["bash", "zsh", "fish", "powershell"]),
            occurs: Occurs::Required,
            help: "The shell that will read the script.",
        }],
        summary: "Prints a script that teaches a shell to complete our commands.",
        dism_example: "",
        native_example: "completions bash",
        action: Action::Tool(commands::tool::completions),
    },
    Command {
        dism: &[],
        native: "man",
        scope: Scope::Tool,
        shorthand: None,
        combines: false,
        arguments: &[Argument {
            id: "directory",
            dism: &[],
            native: Native::Position,
            value_name: "DIR",
            kind: Kind::Path,
            occurs: Occurs::Required,
            help: "The directory that gets the pages; it is made if it does not exist.",
        }],
        summary: "Writes one man page for each command.",
        dism_example: "",
        native_example: "man /usr/local/share/man/man1",
        action: Action::Tool(commands::tool::man),
    },
    imaging(&["Append-Image"]),
    imaging(&["Apply-CustomDataImage"]),
    imaging(&["Apply-Ffu"]),
    imaging(&["Apply-Image"]),
    imaging(&["Apply-SiloedPackage"]),
    imaging(&["Capture-CustomImage"]),
    imaging(&["Capture-Ffu"]),
    imaging(&["Capture-Image"]),
    imaging(&["Cleanup-Mountpoints", "Cleanup-Wim"]),
    imaging(&["Commit-Image", "Commit-Wim"]),
    imaging(&["Get-MountedImageInfo", "Get-MountedWimInfo"]),
    imaging(&["Get-WIMBootEntry"]),
    imaging(&["Mount-Image", "Mount-Wim"]),
    imaging(&["Optimize-Ffu"]),
    imaging(&["Remount-Image", "Remount-Wim"]),
    imaging(&["Split-Ffu"]),
    imaging(&["Unmount-Image", "Unmount-Wim"]),
    imaging(&["Update-WIMBootEntry"]),
    servicing(&["Add-Capability"]),
    servicing(&["Add-Edge"]),
    servicing(&["Add-EdgeBrowser"]),
    servicing(&["Add-EdgeWebView"]),
    servicing(&["Add-Package"]),
    servicing(&["Add-ProvisionedAppxPackage"]),
    servicing(&["Add-ProvisioningPackage"]),
    servicing(&["Apply-Profiles"]),
    servicing(&["Apply-Unattend"]),
    servicing(&["Check-AppPatch"]),
    servicing(&["Cleanup-Image"]),
    servicing(&["Disable-Feature"]),
    servicing(&["Disable-Profiling"]),
    servicing(&["Enable-Feature"]),
    servicing(&["Enable-Profiling"]),
    servicing(&["Export-DefaultAppAssociations"]),
    servicing(&["Export-Driver"]),
    servicing(&["Export-Source"]),
    servicing(&["Get-AppInfo"]),
    servicing(&["Get-AppPatches"]),
    servicing(&["Get-AppPatchInfo"]),
    servicing(&["Get-Apps"]),
    servicing(&["Get-Capabilities"]),
    servicing(&["Get-CapabilityInfo"]),
    servicing(&["Get-CurrentEdition"]),
    servicing(&["Get-DefaultAppAssociations"]),
    servicing(&["Get-FeatureInfo"]),
    servicing(&["Get-Features"]),
    servicing(&["Get-Intl"]),
    servicing(&["Get-NonRemovableAppPolicy"]),
    servicing(&["Get-OSUninstallWindow"]),
    servicing(&["Get-PackageInfo"]),
    servicing(&["Get-Packages"]),
    servicing(&["Get-PESettings"]),
    servicing(&["Get-Profiling"]),
    servicing(&["Get-ProvisionedAppxPackages"]),
    servicing(&["Get-ProvisioningPackageInfo"]),
    servicing(&["Get-ReservedStorageState"]),
    servicing(&["Get-ScratchSpace"]),
    servicing(&["Get-TargetEditions"]),
    servicing(&["Get-TargetPath"]),
    servicing(&["Import-DefaultAppAssociations"]),
    servicing(&["Initiate-OSUninstall"]),
    servicing(&["Optimize-Image"]),
    servicing(&["Optimize-ProvisionedAppxPackages"]),
    servicing(&["Remove-Capability"]),
    servicing(&["Remove-DefaultAppAssociations"]),
    servicing(&["Remove-Driver"]),
    servicing(&["Remove-OSUninstall"]),
    servicing(&["Remove-Package"]),
    servicing(&["Remove-ProvisionedAppxPackage"]),
    servicing(&["Set-Edition"]),
    servicing(&["Set-NonRemovableAppPolicy"]),
    servicing(&["Set-OSUninstallWindow"]),
    servicing(&["Set-ProductKey"]),
    servicing(&["Set-ProvisionedAppxDataFile"]),
    servicing(&["Set-ReservedStorageState"]),
    servicing(&["Set-ScratchSpace"]),
    servicing(&["Set-TargetPath"]),
    international(&["Gen-LangINI"]),
    international(&["Set-AllIntl"]),
    international(&["Set-InputLocale"]),
    international(&["Set-LayeredDriver"]),
    international(&["Set-SetupUILang"]),
    international(&["Set-SKUIntlDefaults"]),
    international(&["Set-SysLocale"]),
    international(&["Set-SysUILang"]),
    international(&["Set-TimeZone"]),
    international(&["Set-UILang"]),
    international(&["Set-UILangFallback"]),
    international(&["Set-UserLocale"]),
];

const fn planned(dism: &'static [&'static str], scope: Scope, combines: bool) -> Command {
    Command {
        dism,
        native: "",
        scope,
        shorthand: None,
        combines,
        arguments: &[],
        summary: "Not built yet.",
        dism_example: "",
        native_example: "",
        action: Action::Planned,
    }
}

const fn imaging(dism: &'static [&'static str]) -> Command {
    planned(dism, Scope::Imaging, false)
}

const fn servicing(dism: &'static [&'static str]) -> Command {
    planned(dism, Scope::Servicing, false)
}

/// International settings may be combined in one run.
const fn international(dism: &'static [&'static str]) -> Command {
    planned(dism, Scope::Servicing, true)
}

/// Options of the planned commands; each moves into its command's row when that is built.
static PLANNED_OPTIONS: &[&str] = &[
    "AcceptEula",
    "All",
    "AnalyzeComponentStore",
    "Append",
    "ApplyDir",
    "ApplyDrive",
    "Boot",
    "Bootable",
    "CapabilityName",
    "CaptureDir",
    "CaptureDrive",
    "CatalogPath",
    "CheckHealth",
    "CheckIntegrity",
    "Commit",
    "Compact",
    "Compress",
    "ConfigFile",
    "ConfirmTrustedFile",
    "CustomDataImage",
    "CustomDataPath",
    "DataSourceID",
    "Defer",
    "DependencyPackagePath",
    "Description",
    "Destination",
    "DestinationImageFile",
    "DestinationName",
    "Discard",
    "Distribution",
    "EA",
    "FeatureName",
    "FileSize",
    "FolderPath",
    "GetEula",
    "HideSP",
    "IgnoreCheck",
    "ImagePath",
    "LicenseFile",
    "LicensePath",
    "LimitAccess",
    "MountDir",
    "NonRemovable",
    "NoRpFix",
    "Optimize",
    "OptionalPackagePath",
    "PackageFamily",
    "PackageName",
    "PackagePath",
    "PartitionNumber",
    "PatchCode",
    "PatchLocation",
    "Path",
    "PlatformIds",
    "PreventPending",
    "ProductCode",
    "ProductKey",
    "ReadOnly",
    "Region",
    "Remove",
    "ResetBase",
    "RestoreHealth",
    "RevertPendingActions",
    "ScanHealth",
    "SFUFile",
    "SingleInstance",
    "SkipLicense",
    "SkipPlatformCheck",
    "Source",
    "SourceImageFile",
    "SourceIndex",
    "SourceName",
    "SPSuperseded",
    "StartComponentCleanup",
    "State",
    "StubPackageOption",
    "SupportEa",
    "SupportPath",
    "SWMFile",
    "Target",
    "Value",
    "Verify",
    "WIMBoot",
];

/// Every DISM name that an option may have, for suggestions.
pub(crate) fn option_names() -> impl Iterator<Item = &'static str> + Clone {
    let rows = GLOBALS.iter().chain(COMMANDS.iter().flat_map(|command| command.arguments));
    rows.filter_map(|argument| argument.dism.first().copied()).chain(PLANNED_OPTIONS.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_is_unique() {
        let mut dism = HashSet::new();
        let mut native = HashSet::new();
        for command in COMMANDS {
            for name in command.dism {
                assert!(dism.insert(name.to_ascii_lowercase()), "{name} twice");
                assert!(!is_known_option(name), "{name} is an option too");
            }
            assert!(!command.is_built() || native.insert(command.native), "{} twice", command.native);
            for arguments in [command.arguments, GLOBALS] {
                let mut names = HashSet::new();
                for argument in arguments {
                    assert!(names.insert(argument.id.to_owned()), "{} twice", argument.id);
                    for name in argument.dism {
                        assert!(names.insert(format!("/{}", name.to_ascii_lowercase())), "{name} twice");
                    }
                }
            }
        }
    }

    #[test]
    fn built_rows_are_complete() {
        for command in COMMANDS.iter().filter(|command| command.is_built()) {
            assert!(!command.native.is_empty());
            assert!(command.summary.ends_with('.') && command.summary.len() <= 100, "{}", command.native);
            assert!(command.native_example.contains(command.native), "{}", command.native);
            assert_eq!(command.dism.is_empty(), command.dism_example.is_empty(), "{}", command.native);
            for argument in command.arguments.iter().chain(GLOBALS) {
                assert!(argument.help.ends_with('.'), "{}", argument.id);
                assert_eq!(argument.kind == Kind::Flag, argument.value_name.is_empty(), "{}", argument.id);
            }
            if let Some(shorthand) = command.shorthand {
                assert!(command.argument(shorthand).is_some(), "{}", command.native);
            }
        }
    }

    #[test]
    fn names_in_any_case() {
        assert_eq!(command("get-WIMINFO").map(Command::name), Some("Get-ImageInfo"));
        assert!(command("Get-Driver").is_none());
        assert!(
            is_known_option("applydrive") && is_known_option("ImageFile") && !is_known_option("DriverName")
        );
    }
}
