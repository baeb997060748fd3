// SPDX-License-Identifier: GPL-3.0-or-later
//! App packages provisioned for every user, and the Edge browser.

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] = &[
    servicing(&["Add-Edge"]),
    servicing(&["Add-EdgeBrowser"]),
    servicing(&["Add-EdgeWebView"]),
    servicing(&["Add-ProvisionedAppxPackage"]),
    servicing(&["Get-NonRemovableAppPolicy"]),
    servicing(&["Get-ProvisionedAppxPackages"]),
    servicing(&["Optimize-ProvisionedAppxPackages"]),
    servicing(&["Remove-ProvisionedAppxPackage"]),
    servicing(&["Set-NonRemovableAppPolicy"]),
    servicing(&["Set-ProvisionedAppxDataFile"]),
];
