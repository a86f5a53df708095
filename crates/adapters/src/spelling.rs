//! How a name that a person chose is spelled in the environment.

/// Spells a name as an environment variable: upper case, and `_` for what is neither an ASCII
/// letter nor a digit.
pub(crate) fn variable(name: &str) -> String {
    let spell = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(spell).collect()
}
