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
    help: "The key, such as HKLM\\SOFTWARE\\Name or HKU\\SID; HKCU is the default user, HKCR is \
           HKLM\\SOFTWARE\\Classes alone (HKCU\\Software\\Classes is not merged into it).",
    ..HIVE_KEY
};

const REG_FILE: Argument = Argument {
    id: "reg",
    value_name: "REG",
    kind: Kind::Path,
    help: "The .reg file, of version 4 or 5, in UTF-16, UTF-8 or ANSI (code page 1252 by itself).",
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

const ALL_VALUES: Argument = flag("all", &[], "all", "All values of the key; the key and its subkeys stay.");
const CLASS: Argument = option(
    "class",
    &[],
    "class",
    (Kind::Text, "CLASS"),
    "The class name of the key; an empty one takes it away.",
);
const SEPARATOR: Argument = option(
    "separator",
    &[],
    "separator",
    (Kind::Text, "TEXT"),
    "What stands between the strings of a REG_MULTI_SZ; \\0 by itself.",
);
const CODE_PAGE: Argument = option(
    "code_page",
    &[],
    "code-page",
    (Kind::Number, "N"),
    "The code page of an ANSI file, such as 1251 or 932.",
);
const VIEW: Argument = option(
    "view",
    &[],
    "view",
    (Kind::Choice(&["32", "64"]), "BITS"),
    "Names keys as programs of so many bits do: 32 leads to Wow6432Node in 64-bit images.",
);
const FIND: Argument =
    option("find", &[], "find", (Kind::Text, "TEXT"), "Only what holds this text: in keys, names and data.");
const IN_KEYS: Argument = flag("in_keys", &[], "in-keys", "Looks for the text in names of keys.");
const IN_NAMES: Argument = flag("in_names", &[], "in-names", "Looks for the text in names of values.");
const IN_DATA: Argument = flag("in_data", &[], "in-data", "Looks for the text in data.");
const CASE: Argument = flag("case", &[], "case", "Capital letters are other letters.");
const EXACT: Argument = flag("exact", &[], "exact", "The whole name or data is the text.");
const TYPES: Argument =
    option("type", &[], "type", (Kind::Text, "TYPES"), "Only values of these types, as in REG_SZ,REG_DWORD.");
const NUMBERED: Argument = flag("numbered", &[], "numbered", "Shows the numbers of types too.");
const SDDL: Argument = option(
    "sddl",
    &[],
    "sddl",
    (Kind::Text, "TEXT"),
    "The new security in SDDL; parts that it leaves out (O: G: D: S:) stay.",
);
const INHERIT: Argument =
    flag("recursive", &[], "recursive", "Makes anew what all keys below inherit, but for protected lists.");
const SUMMARY: Argument = flag("summary", &[], "summary", "Prints counts only.");
const CHANGES: Argument = option(
    "output",
    &[],
    "reg",
    (Kind::Path, "OUT"),
    "Writes .reg text that turns the first into the second.",
);
const NEW_NAME: Argument =
    Argument { id: "new_name", value_name: "NAME", help: "The new name, without a path.", ..HIVE_KEY };
const LOADED: Argument = Argument { occurs: Occurs::Optional, ..HIVE_KEY };

pub(super) static COMMANDS: &[Command] = &[
    own(
        "hive show",
        Scope::Imaging,
        &[HIVE_FILE],
        "Tells what a registry hive says about itself.",
        "hive show SOFTWARE",
        Action::Host(commands::hive_file::show),
    ),
    own(
        "hive query",
        Scope::Imaging,
        &[
            HIVE_FILE,
            HIVE_KEY_OPTIONAL,
            VALUE,
            DEFAULT_VALUE,
            RECURSIVE,
            FIND,
            IN_KEYS,
            IN_NAMES,
            IN_DATA,
            CASE,
            EXACT,
            TYPES,
            SEPARATOR,
            NUMBERED,
            PREFIX,
        ],
        "Lists a key of a hive: its values and subkeys.",
        "hive query SOFTWARE \"Microsoft\\Windows NT\\CurrentVersion\" --value ProductName",
        Action::Host(commands::hive::query),
    ),
    own(
        "hive set",
        Scope::Imaging,
        &[HIVE_FILE, HIVE_KEY, VALUE, DEFAULT_VALUE, VALUE_TYPE, DATA, SEPARATOR, CLASS, FORCE, PREFIX],
        "Creates a key of a hive, or sets a value; missing keys are created.",
        "hive set SOFTWARE Contoso --value Level --type REG_DWORD --data 3",
        Action::Host(commands::hive::set),
    ),
    own(
        "hive delete",
        Scope::Imaging,
        &[HIVE_FILE, HIVE_KEY, VALUE, DEFAULT_VALUE, ALL_VALUES, FORCE, PREFIX],
        "Deletes a key of a hive with all below it, or one value.",
        "hive delete SOFTWARE Contoso --value Level",
        Action::Host(commands::hive::delete),
    ),
    own(
        "hive rename",
        Scope::Imaging,
        &[HIVE_FILE, HIVE_KEY, NEW_NAME, PREFIX],
        "Gives a key of a hive another name.",
        "hive rename SOFTWARE Contoso Fabrikam",
        Action::Host(commands::hive::rename),
    ),
    own(
        "hive acl",
        Scope::Imaging,
        &[HIVE_FILE, HIVE_KEY_OPTIONAL, SDDL, INHERIT, PREFIX],
        "Shows or sets who may do what with a key of a hive.",
        "hive acl SOFTWARE Contoso --sddl \"D:(A;CI;KA;;;SY)(A;CI;KA;;;BA)(A;CI;KR;;;BU)\"",
        Action::Host(commands::hive::acl),
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
        &[HIVE_FILE, REG_FILE, CODE_PAGE, PREFIX],
        "Carries out a .reg file on a hive, wholly or not at all.",
        "hive import SOFTWARE contoso.reg",
        Action::Host(commands::hive::import),
    ),
    own(
        "hive check",
        Scope::Imaging,
        &[
            HIVE_FILE,
            flag("repair", &[], "repair", "Puts right what has only one right form, and tells each repair."),
        ],
        "Checks a hive against every rule of its format.",
        "hive check SOFTWARE",
        Action::Host(commands::hive_file::check),
    ),
    own(
        "hive recover",
        Scope::Imaging,
        &[
            HIVE_FILE,
            option(
                "salvage",
                &[],
                "salvage",
                (Kind::Path, "NEW"),
                "Saves what can be read of a damaged hive into this new one.",
            ),
        ],
        "Completes a hive from its logs, or saves what can be read of a damaged one.",
        "hive recover SYSTEM",
        Action::Host(commands::hive_file::recover),
    ),
    own(
        "hive compact",
        Scope::Imaging,
        &[HIVE_FILE],
        "Rewrites a hive without free space and leftovers.",
        "hive compact SOFTWARE",
        Action::Host(commands::hive_file::compact),
    ),
    own(
        "hive create",
        Scope::Imaging,
        &[
            Argument { help: "The new hive.", ..HIVE_FILE },
            option(
                "version",
                &[],
                "version",
                (Kind::Choice(&["1.3", "1.4", "1.5", "1.6"]), "VERSION"),
                "The version; 1.5 by itself, 1.3 for users' hives and BCD.",
            ),
            option(
                "root_name",
                &[],
                "root-name",
                (Kind::Text, "NAME"),
                "The name of the root key; ROOT by itself.",
            ),
            SDDL,
        ],
        "Makes a new, empty hive.",
        "hive create NEW --version 1.5",
        Action::Host(commands::hive_file::create),
    ),
    own(
        "hive diff",
        Scope::Imaging,
        &[
            HIVE_FILE,
            Argument { id: "other", value_name: "NEW", help: "The hive to compare it with.", ..HIVE_FILE },
            CHANGES,
            SUMMARY,
            PREFIX,
        ],
        "Tells the keys and values in which two hives differ.",
        "hive diff SOFTWARE SOFTWARE.new --reg changes.reg",
        Action::Host(commands::hive::diff),
    ),
    own(
        "reg query",
        Scope::Servicing,
        &[
            REGISTRY_KEY,
            VALUE,
            DEFAULT_VALUE,
            RECURSIVE,
            FIND,
            IN_KEYS,
            IN_NAMES,
            IN_DATA,
            CASE,
            EXACT,
            TYPES,
            SEPARATOR,
            NUMBERED,
            VIEW,
        ],
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
            IN_KEYS,
            IN_NAMES,
            IN_DATA,
            CASE,
            EXACT,
            TYPES,
            VIEW,
        ],
        "Lists the keys and values below a key that hold a text.",
        "--image install.wim:1 reg find HKLM\\SOFTWARE\\Microsoft Windows",
        Action::Read(commands::reg::find),
    ),
    own(
        "reg set",
        Scope::Servicing,
        &[REGISTRY_KEY, VALUE, DEFAULT_VALUE, VALUE_TYPE, DATA, SEPARATOR, CLASS, FORCE, VIEW],
        "Creates a registry key of an image, or sets a value; missing keys are created.",
        "--image install.wim:1 reg set HKLM\\SOFTWARE\\Contoso --value Level --type REG_DWORD --data 3",
        Action::Change(commands::reg::set),
    ),
    own(
        "reg delete",
        Scope::Servicing,
        &[REGISTRY_KEY, VALUE, DEFAULT_VALUE, ALL_VALUES, FORCE, VIEW],
        "Deletes a registry key of an image with all below it, or one value.",
        "--image install.wim:1 reg delete HKLM\\SOFTWARE\\Contoso --value Level",
        Action::Change(commands::reg::delete),
    ),
    own(
        "reg rename",
        Scope::Servicing,
        &[REGISTRY_KEY, NEW_NAME, VIEW],
        "Gives a registry key of an image another name.",
        "--image install.wim:1 reg rename HKLM\\SOFTWARE\\Contoso Fabrikam",
        Action::Change(commands::reg::rename),
    ),
    own(
        "reg copy",
        Scope::Servicing,
        &[
            REGISTRY_KEY,
            Argument {
                id: "to",
                value_name: "TO",
                help: "The key to copy to; it is created.",
                ..REGISTRY_KEY
            },
            RECURSIVE,
            FORCE,
            VIEW,
        ],
        "Copies the values of a registry key of an image, and with --recursive its subkeys.",
        "--image install.wim:1 reg copy HKLM\\SOFTWARE\\Contoso HKLM\\SOFTWARE\\Fabrikam --recursive",
        Action::Change(commands::reg::copy),
    ),
    own(
        "reg acl",
        Scope::Servicing,
        &[REGISTRY_KEY, SDDL, INHERIT, VIEW],
        "Shows or sets who may do what with a registry key of an image.",
        "--image install.wim:1 reg acl HKLM\\SOFTWARE\\Contoso",
        Action::Change(commands::reg::acl),
    ),
    own(
        "reg import",
        Scope::Servicing,
        &[REG_FILE, CODE_PAGE, VIEW],
        "Carries out a .reg file on an image; several hives change in one commit or none.",
        "--image install.wim:1 reg import settings.reg",
        Action::Change(commands::reg::import),
    ),
    own(
        "reg export",
        Scope::Servicing,
        &[REGISTRY_KEY, REG_OUTPUT, FORCE, VIEW],
        "Writes a registry key of an image with all below it as .reg text.",
        "--image install.wim:1 reg export HKLM\\SYSTEM\\Select select.reg",
        Action::Read(commands::reg::export),
    ),
    own(
        "reg save",
        Scope::Servicing,
        &[
            REGISTRY_KEY,
            Argument {
                id: "output",
                value_name: "OUT",
                kind: Kind::Path,
                help: "The hive file to write.",
                ..HIVE_KEY
            },
            FORCE,
            VIEW,
        ],
        "Writes a registry key of an image with all below it as a hive of its own.",
        "--image install.wim:1 reg save HKLM\\SOFTWARE\\Contoso contoso.hiv",
        Action::Read(commands::reg::save),
    ),
    own(
        "reg restore",
        Scope::Servicing,
        &[REGISTRY_KEY, HIVE_FILE, VIEW],
        "Puts the content of a hive file in place of what a registry key of an image has.",
        "--image install.wim:1 reg restore HKLM\\SOFTWARE\\Contoso contoso.hiv",
        Action::Change(commands::reg::restore),
    ),
    own(
        "reg compare",
        Scope::Servicing,
        &[
            REGISTRY_KEY,
            Argument { id: "other", value_name: "KEY2", help: "The key to compare it with.", ..REGISTRY_KEY },
            VALUE,
            DEFAULT_VALUE,
            RECURSIVE,
            SUMMARY,
            VIEW,
        ],
        "Compares two registry keys of an image; the exit status is 2 if they differ.",
        "--image install.wim:1 reg compare HKLM\\SOFTWARE\\Contoso HKLM\\SOFTWARE\\Fabrikam --recursive",
        Action::Read(commands::reg::compare),
    ),
    own(
        "reg diff",
        Scope::Servicing,
        &[
            Argument {
                id: "other",
                value_name: "OTHER",
                help: "Another image (FILE:INDEX), or a hive file that stands for the key.",
                ..HIVE_FILE
            },
            Argument {
                occurs: Occurs::Optional,
                help: "Only this key and what lies below it.",
                ..REGISTRY_KEY
            },
            CHANGES,
            SUMMARY,
            VIEW,
        ],
        "Tells the keys and values in which the registries of two images differ.",
        "--image install.wim:1 reg diff install.wim:2 --reg changes.reg",
        Action::Read(commands::reg::diff),
    ),
    own(
        "reg load",
        Scope::Servicing,
        &[
            LOADED,
            Argument {
                id: "file",
                value_name: "FILE",
                occurs: Occurs::Optional,
                help: "The hive file.",
                ..HIVE_KEY
            },
        ],
        "Refused: hives of an image need no loading.",
        "--image install.wim:1 reg load HKLM\\OFFLINE",
        Action::Read(commands::reg::load),
    ),
    own(
        "reg unload",
        Scope::Servicing,
        &[LOADED],
        "Refused: hives of an image need no unloading.",
        "--image install.wim:1 reg unload HKLM\\OFFLINE",
        Action::Read(commands::reg::load),
    ),
];
