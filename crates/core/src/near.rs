//! Near misses: the known name that somebody probably meant.
//!
//! Never answers with a guess that is merely the best of bad ones: a third of a short word may not
//! be wrong.

/// The most names of one report that get a suggestion, and the most candidates and characters that
/// are looked at for each: the names come from outside and the search is quadratic.
const MAX_SEARCHES: usize = 16;
const MAX_CANDIDATES: usize = 10_000;
const MAX_CHARS: usize = 64;

/// Finds near names for one report of faults, and stops searching when the report has enough.
#[derive(Debug, Default)]
pub(crate) struct Nearest {
    searches: usize,
}

impl Nearest {
    /// Finds the candidate nearest to `name`: the fewest letters dropped, added, changed or
    /// swapped with their neighbour, ignoring case and a forgotten `env.`.
    pub(crate) fn find<'n, N: AsRef<str> + Ord + ?Sized>(
        &mut self,
        name: &str,
        candidates: impl IntoIterator<Item = &'n N>,
    ) -> Option<&'n N> {
        self.searches += 1;
        if self.searches > MAX_SEARCHES {
            return None;
        }
        let wanted = folded(name);
        let near = candidates.into_iter().take(MAX_CANDIDATES).filter_map(|candidate| {
            let found = folded(candidate.as_ref());
            let allowed = allowed(wanted.len().max(found.len()));
            let bare = found.strip_prefix(&['e', 'n', 'v', '.']);
            if wanted == found || bare == Some(&wanted) {
                return Some((0, candidate));
            }
            if wanted.len().abs_diff(found.len()) > allowed {
                return None;
            }
            let distance = distance(&wanted, &found);
            (distance <= allowed).then_some((distance, candidate))
        });
        near.min().map(|(_, candidate)| candidate)
    }
}

fn folded(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).collect()
}

/// How many letters of a word of `length` may be wrong.
fn allowed(length: usize) -> usize {
    if length > MAX_CHARS { 0 } else { (length / 4).min(3) }
}

/// The Damerau-Levenshtein distance in its restricted form: no letter is edited twice.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for row in 1..=left.len() {
        let mut this = vec![row; right.len() + 1];
        for column in 1..=right.len() {
            let changed = usize::from(left[row - 1] != right[column - 1]);
            let mut best =
                (last[column] + 1).min(this[column - 1] + 1).min(last[column - 1] + changed);
            let swapped = row > 1
                && column > 1
                && left[row - 1] == right[column - 2]
                && left[row - 2] == right[column - 1];
            if swapped {
                best = best.min(before[column - 2] + 1);
            }
            this[column] = best;
        }
        before = std::mem::replace(&mut last, this);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        let known = ["region", "date", "a", "country code", "env.bucket", "Größe"];
        let check = |name: &str, expect: Option<&str>| {
            assert_eq!(Nearest::default().find(name, known), expect, "{name}");
        };
        check("regoin", Some("region"));
        check("REGION", Some("region"));
        check("regions", Some("region"));
        check("rgn", None);
        check("dat", Some("date"));
        check("data", Some("date"));
        check("b", None);
        check("A", Some("a"));
        check("countrycode", Some("country code"));
        check("county cod", Some("country code"));
        check("bucket", Some("env.bucket"));
        check("env.buket", Some("env.bucket"));
        check("GRÖßE", Some("Größe"));
        check("", None);
        check(&"x".repeat(100_000), None);
    }

    #[test]
    fn a_report_of_many_faults_does_not_search_for_all() {
        let mut nearest = Nearest::default();
        let found = (0..100).filter(|_| nearest.find("regoin", ["region"]).is_some()).count();
        assert_eq!(found, MAX_SEARCHES);
    }
}
