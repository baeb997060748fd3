// SPDX-License-Identifier: GPL-3.0-or-later
//! Windows PE.

use super::{Command, Kind, Scope, planned, planned_short, value};

pub(super) static COMMANDS: &[Command] = &[
    planned(
        &["Get-PESettings"],
        "pe show",
        Scope::Servicing,
        &[],
        "Tells the settings of a Windows PE image.",
    ),
    planned(
        &["Get-ScratchSpace"],
        "pe scratch-space",
        Scope::Servicing,
        &[],
        "Tells how much scratch space Windows PE has.",
    ),
    planned(
        &["Get-TargetPath"],
        "pe target-path",
        Scope::Servicing,
        &[],
        "Tells the drive and folder that Windows PE runs from.",
    ),
    planned_short(
        &["Set-ScratchSpace"],
        "pe set-scratch-space",
        "value",
        &[value("MB", Kind::Choice(&["32", "64", "128", "256", "512"]), "Megabytes of scratch space.")],
        "Sets the scratch space of Windows PE.",
    ),
    planned_short(
        &["Set-TargetPath"],
        "pe set-target-path",
        "value",
        &[value("PATH", Kind::Text, "Drive and folder: 3 to 32 characters, no blanks, C to Z.")],
        "Sets the drive and folder that Windows PE runs from.",
    ),
    planned(&["Get-Profiling"], "pe profiling", Scope::Servicing, &[], "Tells whether profiling is on."),
    planned(
        &["Enable-Profiling"],
        "pe enable-profiling",
        Scope::Servicing,
        &[],
        "Lets Windows PE note which files it uses.",
    ),
    planned(
        &["Disable-Profiling"],
        "pe disable-profiling",
        Scope::Servicing,
        &[],
        "Stops Windows PE from noting which files it uses.",
    ),
    planned_short(
        &["Apply-Profiles"],
        "pe apply-profiles",
        "value",
        &[value("LIST", Kind::Text, "Profile files, separated by commas.")],
        "Removes the files that no profile names.",
    ),
];
