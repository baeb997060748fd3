// SPDX-License-Identifier: GPL-3.0-or-later
//! Logs that were written in part: what is applied is a prefix of what they hold, nothing else.

mod hive_support;

use hive_support::open_with;
use transom::hive::{Hive, OpenState};
use transom_sample::hive_log::{made_dirty, new_log, old_log};
use transom_sample::mutation::hive_states;

fn digest(hive: &Hive) -> (u64, u64, String) {
    hive.digest().unwrap()
}

fn state_digests(states: &[Vec<u8>]) -> Vec<(u64, u64, String)> {
    states.iter().map(|state| digest(&open_with(state.clone(), Vec::new(), false).unwrap())).collect()
}

/// Opens the dirty primary with a log; gives the number of the state that it comes to.
fn state_of(primary: &[u8], logs: Vec<Vec<u8>>, digests: &[(u64, u64, String)], what: &str) -> Option<usize> {
    match open_with(primary.to_vec(), logs, false) {
        Ok(hive) => {
            assert_eq!(hive.state(), OpenState::Replayed, "{what}");
            let found = digest(&hive);
            let state = digests.iter().position(|digest| *digest == found);
            assert!(state.is_some(), "{what}: a state that never was: {found:?}");
            state
        }
        Err(error) => {
            assert!(error.to_string().contains("dirty"), "{what}: {error}");
            None
        }
    }
}

#[test]
fn a_log_cut_anywhere_gives_a_state_that_was() {
    for minor in [3, 5, 6] {
        let states = hive_states(minor, 7).unwrap();
        let digests = state_digests(&states);
        let primary = made_dirty(&states[0]);
        let log = new_log(&states);
        let mut ends = vec![512];
        while *ends.last().unwrap() < log.len() {
            let at = *ends.last().unwrap();
            ends.push(at + u32::from_le_bytes(log[at + 4..at + 8].try_into().unwrap()) as usize);
        }
        assert_eq!(ends.len(), states.len());
        for cut in (0..=log.len()).step_by(512) {
            let what = format!("minor {minor}, cut at {cut} of {}", log.len());
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            // The base block of the log alone is nothing to apply.
            let expected = whole.checked_sub(1).filter(|&entries| entries > 0);
            let found = state_of(&primary, vec![log[..cut].to_vec()], &digests, &what);
            assert_eq!(found, expected, "{what}");
            // What stands behind the cut may be anything: here what an older log left.
            let mut over = vec![0xA5; log.len()];
            over[..cut].copy_from_slice(&log[..cut]);
            assert_eq!(state_of(&primary, vec![over], &digests, &what), expected, "{what}, filled");
        }
    }
}

#[test]
fn the_second_of_two_logs_cut_anywhere() {
    let states = hive_states(5, 6).unwrap();
    let digests = state_digests(&states);
    let primary = made_dirty(&states[0]);
    let (first, second) = (new_log(&states[..4]), new_log(&states[3..]));
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..=second.len()).step_by(512) {
        let what = format!("cut at {cut}");
        let logs = vec![second[..cut].to_vec(), first.clone()];
        let state = state_of(&primary, logs, &digests, &what).unwrap();
        assert!(state >= 3, "{what}");
        seen.insert(state);
        // Without the first the second does not continue anything: it is older or newer, never half.
        let alone = open_with(primary.clone(), vec![second[..cut].to_vec()], false);
        if let Ok(hive) = alone {
            let _ = hive.digest();
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
}

#[test]
fn an_old_log_is_whole_or_nothing() {
    for minor in [3, 5] {
        let states = hive_states(minor, 4).unwrap();
        let digests = state_digests(&states);
        let primary = made_dirty(&states[0]);
        let log = old_log(&states[0], &states[3]);
        for cut in (0..=log.len()).step_by(512) {
            let what = format!("minor {minor}, cut at {cut} of {}", log.len());
            let found = state_of(&primary, vec![log[..cut].to_vec()], &digests, &what);
            assert_eq!(found, (cut == log.len()).then_some(3), "{what}");
        }
    }
}
