//! Text from elsewhere: what a terminal would obey is taken out before it is printed.

/// A text without control characters, escape sequences, and characters that turn the direction of
/// what follows. Line ends and tabs stay.
pub(crate) fn plain(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    text.chars().filter(|c| !obeyed(*c)).collect()
}

/// The same in one line.
pub(crate) fn line(text: &str) -> String {
    plain(text).replace(['\n', '\t'], " ")
}

fn obeyed(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        let check = |given: &str, expect: &str| assert_eq!(plain(given), expect, "{given:?}");
        check("plain ünïcode\n\ttext", "plain ünïcode\n\ttext");
        check("\x1b[31mred\x1b[0m", "red");
        check("\x1b]0;title\x07after", "after");
        check("a\rb\x08c\x00", "abc");
        check("\u{9b}2Jx", "2Jx");
        check("abc\u{202e}txt", "abctxt");
    }
}
