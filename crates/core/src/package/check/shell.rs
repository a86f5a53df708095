//! Programs inside commands: `["sh", "-c", "…"]` runs its third word as code, so a value that is
//! put into that word is run as code too. This finds such words; it does not read the programs.

use serde_json::Value as Json;

use crate::reference::mentioned;

const SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "ash"];

/// Programs that run the program named in their arguments.
const WRAPPERS: [&str; 9] =
    ["busybox", "env", "nice", "nohup", "setsid", "stdbuf", "sudo", "timeout", "xargs"];

/// Returns the places in the payload's `command` that hold a reference and that a shell would run
/// as code, or take as an option that says so.
pub(super) fn programs(payload: &Json) -> Vec<usize> {
    let Some(command) = payload.get("command").and_then(Json::as_array) else { return Vec::new() };
    let words: Vec<_> = command.iter().map(|word| word.as_str().unwrap_or_default()).collect();
    let Some(shell) = shell_of(&words) else { return Vec::new() };
    let (mut takes_program, mut options, mut places) = (false, true, Vec::new());
    let mut rest = words.iter().enumerate().skip(shell + 1);
    while let Some((place, word)) = rest.next() {
        let is_option = options && word.len() > 1 && word.starts_with(['-', '+']);
        let takes_value = is_option && ends_with_value(word);
        if has_reference(word) && (is_option || takes_program) {
            places.push(place);
        }
        if !is_option {
            break;
        }
        options = *word != "--";
        takes_program |= !word.starts_with("--") && word.starts_with('-') && word.contains('c');
        if takes_value {
            rest.next();
        }
    }
    places
}

/// Finds the word that names the shell: the first, or one that a wrapper is given.
fn shell_of(words: &[&str]) -> Option<usize> {
    let is_one_of = |word: &str, names: &[&str]| {
        word.rsplit('/').next().is_some_and(|base| names.contains(&base))
    };
    let first = words.first()?;
    if is_one_of(first, &WRAPPERS) {
        return words.iter().position(|word| is_one_of(word, &SHELLS));
    }
    is_one_of(first, &SHELLS).then_some(0)
}

/// Tells whether the next word belongs to the option: `-o pipefail`, `-euo pipefail`.
fn ends_with_value(option: &str) -> bool {
    let is_long = option.starts_with("--");
    matches!(option, "--rcfile" | "--init-file") || !is_long && option.ends_with(['o', 'O'])
}

fn has_reference(word: &str) -> bool {
    mentioned(word).is_ok_and(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_may_be_an_argument_of_a_shell_but_not_its_program() {
        let check = |command: &[&str], expect: &[usize]| {
            assert_eq!(programs(&json!({ "command": command })), expect, "{command:?}");
        };
        check(&["sh", "-c", "echo $x"], &[2]);
        check(&["/bin/bash", "-euc", "echo ${x}"], &[2]);
        check(&["bash", "-e", "-o", "pipefail", "-c", "$x"], &[5]);
        check(&["bash", "-c", "-o", "pipefail", "--", "$x"], &[5]);
        check(&["bash", "--rcfile", "rc", "-euo", "pipefail", "-c", "$x"], &[6]);
        check(&["zsh", "--login", "-c", "$x"], &[3]);
        check(&["busybox", "sh", "-c", "$x"], &[3]);
        check(&["/usr/bin/env", "A=$x", "dash", "-c", "$x"], &[4]);
        check(&["timeout", "5", "ksh", "-c", "$x"], &[4]);
        check(&["sh", "-$x", "id"], &[1]);
        check(&["sh", "-c", "echo \"$$1\" $$HOME", "name", "$x"], &[]);
        check(&["sh", "script.sh", "-c", "$x"], &[]);
        check(&["sh", "$x"], &[]);
        check(&["grep", "sh", "-c", "$x"], &[]);
        check(&["cat", "$x"], &[]);
        check(&[], &[]);
        assert!(programs(&json!({ "command": "sh -c $x" })).is_empty());
        assert!(programs(&json!(["sh", "-c", "$x"])).is_empty());
    }
}
