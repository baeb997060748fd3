// SPDX-License-Identifier: GPL-3.0-or-later
//! The registry: of an image (`reg`), and single hive files (`hive`).

use super::super::commands::{self, Action};
use super::{Argument, Command, Kind, Native, Occurs, Scope, flag, option, own};

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

pub(super) static COMMANDS: &[Command] = &[
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
];
