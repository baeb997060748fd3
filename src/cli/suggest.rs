// SPDX-License-Identifier: GPL-3.0-or-later
//! "Did you mean": the known name nearest to a mistyped one.

/// The candidate that takes the fewest edits, if these are few enough to be a slip; else the
/// longest one that the word begins with. Case and hyphens do not count.
pub(crate) fn nearest(
    word: &str,
    candidates: impl IntoIterator<Item = &'static str> + Clone,
) -> Option<&'static str> {
    let folded = fold(word);
    let slip = candidates
        .clone()
        .into_iter()
        .map(|candidate| (distance(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed(folded.len().min(candidate.len())))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate);
    slip.or_else(|| {
        candidates
            .into_iter()
            .filter(|candidate| candidate.len() >= 5 && folded.starts_with(&fold(candidate)))
            .max_by_key(|candidate| candidate.len())
    })
}

fn allowed(length: usize) -> usize {
    match length {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        10..=14 => 3,
        _ => 4,
    }
}

fn fold(word: &str) -> Vec<char> {
    word.chars().filter(|letter| *letter != '-').map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let replaced = above[column] + usize::from(letter != other);
            let mut best = replaced.min(above[column + 1] + 1).min(line[column] + 1);
            if row > 0 && column > 0 && *letter == right[column - 1] && left[row - 1] == *other {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["Get-Drivers", "Get-DriverInfo", "Add-Driver", "Driver", "Get-CurrentEdition", "All"];
        let cases = [
            ("get-driver", Some("Get-Drivers")),
            ("gte-drivers", Some("Get-Drivers")),
            ("get-current-edition", Some("Get-CurrentEdition")),
            ("drvier", Some("Driver")),
            ("adddriver", Some("Add-Driver")),
            ("drivername", Some("Driver")),
            ("al", None),
            ("frobnicate", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }

    #[test]
    fn edits_are_counted() {
        for (left, right, expected) in
            [("abc", "abc", 0), ("abc", "acb", 1), ("", "ab", 2), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(&fold(left), &fold(right)), expected, "{left} {right}");
        }
    }
}
