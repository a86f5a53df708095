//! How long a message waits before it is tried again.

use std::time::Duration;

use jobwright_core::Digest;

/// The pause after a try that failed: twice as long after each, up to the longest, and up to half
/// of it left out by a hash of the message and the try, so that not all come back at once. Where
/// the receiver asks for more, it gets more, up to the longest.
pub(crate) fn pause(
    number: u32,
    key: &str,
    first: Duration,
    longest: Duration,
    asked: Option<Duration>,
) -> Duration {
    let doubled = 2_u32.checked_pow(number.saturating_sub(1)).unwrap_or(u32::MAX);
    let whole = first.saturating_mul(doubled).min(longest);
    let hash = Digest::of(format!("{number}.{key}").as_bytes()).to_string();
    let share = hash.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0);
    let kept = whole - whole / 2 * share / 0xffff;
    kept.max(asked.unwrap_or_default().min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds of the pause after a try, in milliseconds.
    fn check(number: u32, asked: Option<u64>, least: u64, most: u64) {
        let (first, longest) = (Duration::from_secs(5), Duration::from_secs(3600));
        for key in ["a", "b", "c", "d"] {
            let asked = asked.map(Duration::from_secs);
            let found = pause(number, key, first, longest, asked).as_millis();
            assert!((u128::from(least)..=u128::from(most)).contains(&found), "{number}: {found}");
            assert_eq!(found, pause(number, key, first, longest, asked).as_millis());
        }
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        check(1, None, 2_500, 5_000);
        check(2, None, 5_000, 10_000);
        check(5, None, 40_000, 80_000);
        check(20, None, 1_800_000, 3_600_000);
        check(u32::MAX, None, 1_800_000, 3_600_000);
        check(1, Some(60), 60_000, 60_000);
        check(1, Some(1), 2_500, 5_000);
        check(1, Some(1_000_000), 3_600_000, 3_600_000);
    }
}
