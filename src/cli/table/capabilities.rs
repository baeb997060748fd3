// SPDX-License-Identifier: GPL-3.0-or-later
//! Capabilities (features on demand).

use super::packages::{LIMIT_ACCESS, SOURCE};
use super::{Argument, Command, Kind, Occurs, Scope, option, planned, required};

pub(super) const CAPABILITY_NAME: Argument = option(
    "capability",
    &["CapabilityName"],
    "capability",
    (Kind::Text, "NAME"),
    "The name of a capability: name~token~architecture~language~version.",
);

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Get-Capabilities"],
        "capability list",
        Scope::Servicing,
        &[SOURCE, LIMIT_ACCESS],
        "Lists the capabilities of an image.",
    ),
    planned(
        &["Get-CapabilityInfo"],
        "capability show",
        Scope::Servicing,
        &[required(CAPABILITY_NAME), SOURCE, LIMIT_ACCESS],
        "Tells all about a capability.",
    ),
    planned(
        &["Add-Capability"],
        "capability add",
        Scope::Servicing,
        &[Argument { occurs: Occurs::Repeated, ..CAPABILITY_NAME }, SOURCE, LIMIT_ACCESS],
        "Adds capabilities to an image.",
    ),
    planned(
        &["Remove-Capability"],
        "capability remove",
        Scope::Servicing,
        &[Argument { occurs: Occurs::Repeated, ..CAPABILITY_NAME }],
        "Removes capabilities from an image.",
    ),
];
