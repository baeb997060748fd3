# SPDX-License-Identifier: GPL-3.0-or-later
# Title, image version and success line as captured from a German Windows; the rest is ours.
title = Tool zur Imageverwaltung für die Bereitstellung
version = Version: { $version }
image-version = Abbildversion: { $version }
success = Der Vorgang wurde erfolgreich beendet.
error = Fehler: { $code }
log = Die DISM-Protokolldatei befindet sich unter { $path }
hint = Hinweis: { $hint }
