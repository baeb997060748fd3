// SPDX-License-Identifier: GPL-3.0-or-later
//! Random edits of hives against a model, from ten to a hundred thousand, and everybody's verdict on
//! what was saved: our checker, a second one, hivexml, reglookup, nt-hive, python-registry, regipy.

use anyhow::Result;

use crate::Effort;
use crate::hive_support::Random;
use crate::hive_support::model;

const FEWEST: f64 = 10.0;

pub(crate) fn run(effort: Effort) -> Result<String> {
    let (runs, most) = effort.choose((8, 2_000.0), (48, 100_000.0));
    let mut edits = 0;
    for number in 0..runs {
        // Spread evenly over the orders of magnitude.
        let count = FEWEST * f64::powf(most / FEWEST, f64::from(number) / f64::from(runs - 1));
        let minor = 3 + number % 4;
        let random = Random::new(7_000 + u64::from(number));
        // Not every peer can say all names: one run in two is for those that can not.
        let random = if number / 4 % 2 == 0 { random } else { random.plain() };
        model::run(minor, random, count.round() as usize);
        edits += count.round() as usize;
    }
    Ok(format!("{runs} hives of 10 to {most} edits, {edits} in all: all readers and both scanners agree"))
}
