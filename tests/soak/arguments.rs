// SPDX-License-Identifier: GPL-3.0-or-later
//! Random command lines, for every name the program may have: each is understood or refused.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, anyhow, ensure};
use transom::cli;

use crate::Effort;

const PROGRAMS: [&str; 7] = ["dism", "dism", "transom", "pkgmgr", "peimg", "intlcfg", "imagex"];

/// Lines that mean something; half of the random ones grow from them.
const LINES: [(&str, &str); 12] = [
    ("dism", "/Get-ImageInfo /ImageFile:a.wim /Index:1 /English"),
    ("dism", "/Image:a.wim /Index:1 /Add-Driver /Driver:a /Driver:b /Recurse /ForceUnsigned"),
    ("dism", "/Image:a.wim /Index:all /Get-Drivers /All /Format:Table --then /Get-DriverInfo:oem1.inf"),
    ("dism", "/Export-Image /SourceImageFile:a.wim /SourceIndex:1 /DestinationImageFile:b.wim /Compress:max"),
    ("dism", "/Image:a.wim /Index:1 /Set-AllIntl:fr-FR /Set-InputLocale:0409:00000409 /Distribution:d"),
    ("transom", "--image a.wim:1 driver add a b --recurse --then diff --summary"),
    ("transom", "image export a.wim:1 b.wim --compress recovery --check --json"),
    ("transom", "--image a.wim:1 reg add HKLM\\SOFTWARE\\A /v N /t REG_DWORD /d 1 /f"),
    ("peimg", "/inf=net.inf a.wim:1 /verbose"),
    ("intlcfg", "-all:fr-FR -image:a.wim"),
    ("pkgmgr", "/iu:A;B /o:m/Windows /quiet"),
    ("imagex", "/export a.wim 1 b.wim Name /compress fast /check"),
];

/// What became of the command lines of one thread.
#[derive(Default)]
struct Counts {
    understood: u64,
    texts: u64,
    refused: u64,
}

pub(crate) fn run(effort: Effort) -> Result<String> {
    let lines: u64 = effort.choose(40_000, 10_000_000);
    let vocabulary = cli::vocabulary();
    ensure!(vocabulary.len() > 300, "the table is not read");
    let threads = std::thread::available_parallelism()?.get() as u64;
    let counts: Vec<Result<Counts>> = std::thread::scope(|scope| {
        let vocabulary = &vocabulary;
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let share = lines / threads + u64::from(thread < lines % threads);
                scope.spawn(move || feed(thread, share, vocabulary))
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err(anyhow!("a thread broke off"))))
            .collect()
    });
    let mut all = Counts::default();
    for count in counts {
        let count = count?;
        all.understood += count.understood;
        all.texts += count.texts;
        all.refused += count.refused;
    }
    ensure!(all.understood > lines / 50, "hardly any line means something: {}", all.understood);
    ensure!(all.texts > 0 && all.refused > 0, "no help or no refusal");
    Ok(format!(
        "{lines} command lines: {} understood, {} asked for help, {} refused, no panic",
        all.understood, all.texts, all.refused
    ))
}

fn feed(seed: u64, lines: u64, vocabulary: &[String]) -> Result<Counts> {
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (seed + 1).wrapping_mul(0xD6E8_FEB8_6659_FD93));
    let mut counts = Counts::default();
    for _ in 0..lines {
        let (program, words) = random.line(vocabulary);
        match catch_unwind(AssertUnwindSafe(|| cli::understand(OsStr::new(program), &words))) {
            Ok(Ok(true)) => counts.understood += 1,
            Ok(Ok(false)) => counts.texts += 1,
            Ok(Err(error)) => {
                ensure!(!error.message().is_empty(), "no message: {program} {words:?}");
                counts.refused += 1;
            }
            Err(_) => return Err(anyhow!("a panic: {program} {words:?}")),
        }
    }
    Ok(counts)
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 33) as usize) % bound
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        // No argument of a process holds a NUL.
        (0..length).map(|_| (self.next() >> 40) as u8).map(|byte| byte.max(1)).collect()
    }

    /// A program's name and its arguments: made up wholly, or a sensible line with a few words
    /// changed, added or left out.
    fn line(&mut self, vocabulary: &[String]) -> (&'static str, Vec<OsString>) {
        if self.below(2) == 0 {
            let words = (0..self.below(7)).map(|_| self.word(vocabulary)).collect();
            return (PROGRAMS[self.below(PROGRAMS.len())], words);
        }
        let (program, line) = LINES[self.below(LINES.len())];
        let mut words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        for _ in 0..self.below(4) {
            let at = self.below(words.len() + 1);
            match (self.below(3), words.get(at).is_some()) {
                (0, true) => words[at] = self.word(vocabulary),
                (1, true) => drop(words.remove(at)),
                _ => words.insert(at, self.word(vocabulary)),
            }
        }
        (program, words)
    }

    fn word(&mut self, vocabulary: &[String]) -> OsString {
        let mut word: Vec<u8> = match self.below(16) {
            0 => b"--then".to_vec(),
            1 => b"--".to_vec(),
            2 => b"/?".to_vec(),
            3 => self.bytes(12),
            _ => vocabulary[self.below(vocabulary.len())].clone().into_bytes(),
        };
        match self.below(8) {
            0 => word.extend([&b":"[..], &self.bytes(8)].concat()),
            1 => word.extend(b"=C:\\x:1"),
            2 => word.extend(b":1"),
            3 if !word.is_empty() => {
                let at = self.below(word.len());
                word[at] = (self.next() >> 40) as u8 | 1;
            }
            4 => word = OsStr::from_bytes(&word).to_ascii_uppercase().into_vec(),
            _ => {}
        }
        OsString::from_vec(word)
    }
}
