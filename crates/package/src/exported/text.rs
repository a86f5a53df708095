//! Texts of an export as texts of a payload: what is literal there stays literal here, and only
//! real parameters become references.

use std::collections::BTreeSet;

/// Escapes a text that must come out of a payload as it went in.
pub(super) use jobwright_core::reference::escape as literal;

/// Writes a reference to a parameter.
pub(super) fn reference(name: &str) -> String {
    format!("${{{name}}}")
}

/// Tells whether a reference to the name can be written.
pub(super) fn is_referable(name: &str) -> bool {
    !name.contains(['{', '}', '$'])
}

/// Something that goes into a literal text.
pub(super) struct Insertion {
    /// Where, in UTF-16 units from the start of the text.
    pub(super) index: i64,
    /// Which of several at one place goes first.
    pub(super) order: i64,
    /// What, as it stands in a payload.
    pub(super) text: String,
}

/// Escapes a literal text and inserts into it.
///
/// # Errors
/// Returns the first index that lies outside the text or inside a character.
pub(super) fn weave(text: &str, mut insertions: Vec<Insertion>) -> Result<String, i64> {
    insertions.sort_by_key(|insertion| (insertion.index, insertion.order));
    let mut woven = String::new();
    let mut rest = text;
    let mut units = 0i64;
    for insertion in insertions {
        let mut taken = 0;
        let mut chars = rest.chars();
        while units < insertion.index {
            let next = chars.next().ok_or(insertion.index)?;
            units += i64::from(u8::try_from(next.len_utf16()).unwrap_or(2));
            taken += next.len_utf8();
        }
        if units != insertion.index {
            return Err(insertion.index);
        }
        woven.push_str(&literal(&rest[..taken]));
        woven.push_str(&insertion.text);
        rest = &rest[taken..];
    }
    woven.push_str(&literal(rest));
    Ok(woven)
}

/// Splits a URI before its path; the whole text is the path where it is no URI.
pub(super) fn split_uri(uri: &str) -> (&str, &str) {
    let Some((scheme, rest)) = uri.split_once("://") else { return ("", uri) };
    let authority = rest.find('/').unwrap_or(rest.len());
    uri.split_at(scheme.len() + 3 + authority)
}

/// Escapes a text of a recipe, in which `$name` and `${any name}` refer to a flow parameter where
/// one has that name, and are literal where none has. Adds the names that it refers to.
pub(super) fn recipe_text<'a>(
    text: &'a str,
    is_parameter: impl Fn(&str) -> bool,
    used: &mut BTreeSet<&'a str>,
) -> String {
    let mut written = String::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        written.push_str(&rest[..dollar]);
        let behind = &rest[dollar + 1..];
        let braced = behind.strip_prefix('{').and_then(|it| it.split_once('}')).map(|it| it.0);
        let (name, length) = match braced {
            Some(name) => (name, name.len() + 2),
            None => {
                let is_part = |c: char| c.is_alphanumeric() || c == '_';
                let end = behind.find(|c| !is_part(c)).unwrap_or(behind.len());
                (&behind[..end], end)
            }
        };
        if is_parameter(name) {
            used.insert(name);
            written.push_str(&reference(name));
            rest = &behind[length..];
        } else {
            written.push_str("$$");
            rest = behind;
        }
    }
    written.push_str(rest);
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_woven_into_literal_text() {
        let check = |text: &str, at: &[(i64, i64, &str)], expect: Result<&str, i64>| {
            let insertion = |&(index, order, name): &(i64, i64, &str)| Insertion {
                index,
                order,
                text: reference(name),
            };
            let woven = weave(text, at.iter().map(insertion).collect());
            assert_eq!(woven.as_deref(), expect.as_ref().map(|it| *it), "{text}");
        };
        check("/data/", &[(6, 0, "file")], Ok("/data/${file}"));
        check("/$x/.csv", &[(4, 1, "b"), (4, 0, "a")], Ok("/$$x/${a}${b}.csv"));
        check("é😀x", &[(3, 0, "p")], Ok("é😀${p}x"));
        check("é😀x", &[(2, 0, "p")], Err(2));
        check("ab", &[(3, 0, "p")], Err(3));
        check("ab", &[(-1, 0, "p")], Err(-1));
        check("", &[(0, 0, "p q")], Ok("${p q}"));
    }

    #[test]
    fn recipes_refer_to_declared_parameters_only() {
        let check = |text: &str, expect: &str, names: &[&str]| {
            let mut used = BTreeSet::new();
            let found = recipe_text(text, |name| ["region", "a b"].contains(&name), &mut used);
            assert_eq!(found, expect);
            assert_eq!(used.into_iter().collect::<Vec<_>>(), names);
        };
        check("$1-$2 $", "$$1-$$2 $$", &[]);
        check("in $region.", "in ${region}.", &["region"]);
        check("$regions ${a b} ${a", "$$regions ${a b} $${a", &["a b"]);
        check("$$region", "$$${region}", &["region"]);
    }

    #[test]
    fn uris_are_split_before_the_path() {
        assert_eq!(split_uri("adl://host:443/a/b"), ("adl://host:443", "/a/b"));
        assert_eq!(split_uri("s3://bucket"), ("s3://bucket", ""));
        assert_eq!(split_uri("/a/b"), ("", "/a/b"));
    }
}
