# SPDX-License-Identifier: GPL-3.0-or-later
# The title as captured from an Italian Windows; the rest is ours.
title = Strumento Gestione e manutenzione immagini distribuzione
version = Versione: { $version }
image-version = Versione immagine: { $version }
success = Operazione completata.
error = Errore: { $code }
log = Il file di registro di DISM si trova in { $path }
hint = Suggerimento: { $hint }
