// SPDX-License-Identifier: GPL-3.0-or-later
//! Provisioning packages.

use super::{Command, servicing};

pub(super) static COMMANDS: &[Command] =
    &[servicing(&["Add-ProvisioningPackage"]), servicing(&["Get-ProvisioningPackageInfo"])];
