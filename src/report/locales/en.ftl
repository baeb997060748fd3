# SPDX-License-Identifier: GPL-3.0-or-later
# The fixed lines around every report in DISM's language. English is the reference: what another
# language lacks is taken from here. These lines are read by scripts: they are DISM's own.
title = Deployment Image Servicing and Management tool
version = Version: { $version }
image-version = Image Version: { $version }
success = The operation completed successfully.
error = Error: { $code }
log = The DISM log file can be found at { $path }
hint = Hint: { $hint }
