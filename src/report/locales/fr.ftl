# SPDX-License-Identifier: GPL-3.0-or-later
# As captured from a French Windows, which sets a no-break space before a colon; the hint is ours.
title = Outil Gestion et maintenance des images de déploiement
version = Version : { $version }
image-version = Version de l'image : { $version }
success = L’opération a réussi.
error = Erreur : { $code }
log = Le fichier journal DISM se trouve à l'emplacement { $path }
hint = Conseil : { $hint }
