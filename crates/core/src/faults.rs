//! How errors that hold many faults are told in one line.

use std::fmt;

/// The most faults that a message spells out; the error holds them all.
const SPELLED_OUT: usize = 10;

/// Shows the faults one after the other, and how many there are where they are many.
pub(crate) struct Listed<'f, T>(pub(crate) &'f [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > 1 {
            write!(f, "{} faults: ", self.0.len())?;
        }
        for (index, fault) in self.0.iter().take(SPELLED_OUT).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        if self.0.len() > SPELLED_OUT {
            write!(f, "; and {} more", self.0.len() - SPELLED_OUT)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_how_many_and_stops() {
        assert_eq!(Listed(&["a"]).to_string(), "a");
        assert_eq!(Listed(&["a", "b"]).to_string(), "2 faults: a; b");
        assert!(Listed(&["a"; 12]).to_string().ends_with("a; a; and 2 more"));
    }
}
