//! JSON5, and with it JSON, into plain values: one pass over the text with a stack of its own, so
//! that neither depth nor size can exhaust anything. A key that occurs twice is a fault, since the
//! standard leaves open which one counts.

use std::fmt;

use serde_json::{Map, Number, Value};
use thiserror::Error;

use crate::limits::Limits;

/// A text that is no JSON5, and where it stops being some.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {fault}")]
pub struct JsonError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub fault: JsonFault,
}

/// What is wrong with a text that is no JSON5.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonFault {
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should stand here.
        expected: &'static str,
        /// What stands here.
        found: Found,
    },
    /// A key occurs twice in one object.
    #[error("key `{0}` occurs twice")]
    Twice(String),
    /// A string holds an escape that means nothing.
    #[error("unknown or incomplete escape in a string")]
    Escape,
    /// A number is not finite, or is written in no known way.
    #[error("`{0}` is not a finite number")]
    Number(String),
    /// Lists and objects are nested too deeply.
    #[error("nested deeper than {0} levels")]
    Depth(usize),
    /// There are too many values.
    #[error("more than {0} values")]
    Values(usize),
}

/// What a reader found where it expected something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A character.
    Char(char),
    /// The end of the text.
    End,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Char(found) => write!(f, "`{}`", found.escape_debug()),
            Self::End => f.write_str("the end"),
        }
    }
}

/// A list or object that is still open.
enum Frame {
    List(Vec<Value>),
    Object(Map<String, Value>, String),
}

/// Reads the one value of a text.
pub(crate) fn parse(text: &str, limits: &Limits) -> Result<Value, JsonError> {
    let mut reader = Reader { text, at: 0 };
    reader.document(limits).map_err(|fault| {
        let before = &text[..reader.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        JsonError { line, column, fault }
    })
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn document(&mut self, limits: &Limits) -> Result<Value, JsonFault> {
        let mut open: Vec<Frame> = Vec::new();
        let mut values = 0;
        loop {
            values += 1;
            if values > limits.values {
                return Err(JsonFault::Values(limits.values));
            }
            let opened = self.open()?;
            let mut value = match opened {
                Some(_) if open.len() == limits.depth => {
                    return Err(JsonFault::Depth(limits.depth));
                }
                Some(frame) => {
                    open.push(frame);
                    if self.goes_on(&mut open)? {
                        continue;
                    }
                    close(&mut open)
                }
                None => self.scalar()?,
            };
            loop {
                match open.last_mut() {
                    None => return self.end(value),
                    Some(Frame::List(items)) => items.push(value),
                    Some(Frame::Object(map, key)) => {
                        map.insert(std::mem::take(key), value);
                    }
                }
                if self.separated(&mut open)? && self.goes_on(&mut open)? {
                    break;
                }
                value = close(&mut open);
            }
        }
    }

    /// Takes the bracket that opens a list or object, if one stands here.
    fn open(&mut self) -> Result<Option<Frame>, JsonFault> {
        self.skip_blank()?;
        let frame = match self.peek() {
            Some('[') => Frame::List(Vec::new()),
            Some('{') => Frame::Object(Map::new(), String::new()),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(frame))
    }

    /// Takes what leads to the next value of the innermost list or object: nothing, or a key. False
    /// where its bracket closes; the bracket is taken too.
    fn goes_on(&mut self, open: &mut [Frame]) -> Result<bool, JsonFault> {
        self.skip_blank()?;
        match open.last_mut() {
            None => Ok(true),
            Some(Frame::List(_)) => Ok(!self.take(']')),
            Some(Frame::Object(..)) if self.take('}') => Ok(false),
            Some(Frame::Object(map, next)) => {
                let start = self.at;
                let key = self.key()?;
                if map.contains_key(&key) {
                    self.at = start;
                    return Err(JsonFault::Twice(key));
                }
                *next = key;
                self.skip_blank()?;
                if self.take(':') { Ok(true) } else { Err(self.expected("`:`")) }
            }
        }
    }

    /// Takes what follows a value: a comma, or the closing bracket, for which it returns false.
    fn separated(&mut self, open: &mut [Frame]) -> Result<bool, JsonFault> {
        self.skip_blank()?;
        let (bracket, expected) = match open.last() {
            Some(Frame::Object(..)) => ('}', "`,` or `}`"),
            Some(Frame::List(_)) | None => (']', "`,` or `]`"),
        };
        if self.take(',') {
            Ok(true)
        } else if self.take(bracket) {
            Ok(false)
        } else {
            Err(self.expected(expected))
        }
    }

    fn end(&mut self, value: Value) -> Result<Value, JsonFault> {
        self.skip_blank()?;
        if self.at == self.text.len() { Ok(value) } else { Err(self.expected("the end")) }
    }

    fn key(&mut self) -> Result<String, JsonFault> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => self.string(quote),
            Some(first) if is_word(first) && !first.is_ascii_digit() => Ok(self.word().to_owned()),
            _ => Err(self.expected("a key")),
        }
    }

    fn scalar(&mut self) -> Result<Value, JsonFault> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => self.string(quote).map(Value::String),
            Some('0'..='9' | '+' | '-' | '.' | 'I' | 'N') => self.number(),
            _ => {
                let start = self.at;
                match self.word() {
                    "null" => Ok(Value::Null),
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    _ => {
                        self.at = start;
                        Err(self.expected("a value"))
                    }
                }
            }
        }
    }

    fn number(&mut self) -> Result<Value, JsonFault> {
        let rest = &self.text[self.at..];
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let token = &rest[..rest.find(|c| !part(c)).unwrap_or(rest.len())];
        let number = number(token).ok_or_else(|| JsonFault::Number(shortened(token)))?;
        self.at += token.len();
        Ok(Value::Number(number))
    }

    fn string(&mut self, quote: char) -> Result<String, JsonFault> {
        self.at += 1;
        let mut string = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find([quote, '\\', '\n', '\r']).unwrap_or(rest.len());
            string.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some('\\') => self.escape(&mut string)?,
                Some(found) if found == quote => {
                    self.at += 1;
                    return Ok(string);
                }
                _ => return Err(self.expected("the end of the string")),
            }
        }
    }

    fn escape(&mut self, string: &mut String) -> Result<(), JsonFault> {
        let rest = &self.text[self.at + 1..];
        let escaped = rest.chars().next().ok_or(JsonFault::Escape)?;
        let mut taken = 1 + escaped.len_utf8();
        match escaped {
            'b' => string.push('\u{8}'),
            'f' => string.push('\u{c}'),
            'n' => string.push('\n'),
            'r' => string.push('\r'),
            't' => string.push('\t'),
            'v' => string.push('\u{b}'),
            '0' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => string.push('\0'),
            '0'..='9' => return Err(JsonFault::Escape),
            '\r' if rest[1..].starts_with('\n') => taken += 1,
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => {}
            'x' => {
                let unit = hex(rest.get(1..3)).ok_or(JsonFault::Escape)?;
                string.push(char::from_u32(unit).ok_or(JsonFault::Escape)?);
                taken += 2;
            }
            'u' => {
                let first = hex(rest.get(1..5)).ok_or(JsonFault::Escape)?;
                taken += 4;
                let code = if (0xD800..0xDC00).contains(&first) {
                    let low = rest.get(5..7).filter(|next| *next == "\\u");
                    let low = low.and_then(|_| hex(rest.get(7..11))).ok_or(JsonFault::Escape)?;
                    let low = low.checked_sub(0xDC00).filter(|low| *low < 0x400);
                    taken += 6;
                    0x10000 + ((first - 0xD800) << 10) + low.ok_or(JsonFault::Escape)?
                } else {
                    first
                };
                string.push(char::from_u32(code).ok_or(JsonFault::Escape)?);
            }
            other => string.push(other),
        }
        self.at += taken;
        Ok(())
    }

    /// Takes as many characters of a word as stand here.
    fn word(&mut self) -> &str {
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// Skips white space and comments.
    fn skip_blank(&mut self) -> Result<(), JsonFault> {
        loop {
            let rest = self.text[self.at..].trim_start_matches(is_blank);
            self.at = self.text.len() - rest.len();
            if rest.starts_with("//") {
                let ends = ['\n', '\r', '\u{2028}', '\u{2029}'];
                self.at += rest.find(ends).unwrap_or(rest.len());
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let Some(length) = comment.find("*/") else {
                    self.at = self.text.len();
                    return Err(self.expected("the end of the comment"));
                };
                self.at += length + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    fn expected(&self, expected: &'static str) -> JsonFault {
        JsonFault::Expected { expected, found: self.peek().map_or(Found::End, Found::Char) }
    }
}

fn close(open: &mut Vec<Frame>) -> Value {
    match open.pop() {
        Some(Frame::List(items)) => Value::Array(items),
        Some(Frame::Object(map, _)) => Value::Object(map),
        None => Value::Null,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '\u{200c}' | '\u{200d}')
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

fn hex(digits: Option<&str>) -> Option<u32> {
    let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

/// Reads a number: whole ones exactly where 64 bits hold them, others as double precision.
fn number(token: &str) -> Option<Number> {
    let (negative, digits) = match token.strip_prefix(['+', '-']) {
        Some(digits) => (token.starts_with('-'), digits),
        None => (false, token),
    };
    let whole = |size: u64| match (negative, i64::try_from(size)) {
        (false, _) => Some(Number::from(size)),
        (true, Ok(size)) => Some(Number::from(-size)),
        (true, Err(_)) => None,
    };
    if let Some(digits) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return u64::from_str_radix(digits, 16).ok().filter(|_| plain).and_then(whole);
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (before, after) = match mantissa.split_once('.') {
        Some((before, after)) => (before, Some(after)),
        None => (mantissa, None),
    };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let sane = plain(before)
        && after.is_none_or(plain)
        && !(before.is_empty() && after.is_none_or(str::is_empty))
        && !(before.len() > 1 && before.starts_with('0'))
        && exponent.is_none_or(|text| {
            let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
            !digits.is_empty() && plain(digits)
        });
    if !sane {
        return None;
    }
    if after.is_none()
        && exponent.is_none()
        && let Some(number) = before.parse().ok().and_then(whole)
    {
        return Some(number);
    }
    Number::from_f64(token.parse().ok()?)
}

fn shortened(token: &str) -> String {
    token.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limits() -> Limits {
        Limits { depth: 4, values: 20, ..Limits::default() }
    }

    #[test]
    fn everything_that_json5_allows_is_read() {
        let check = |text: &str, expect: Value| {
            assert_eq!(parse(text, &limits()).as_ref(), Ok(&expect), "{text}");
        };
        check("null", json!(null));
        check(" [1, -2, 3.5, 1e2, ] ", json!([1, -2, 3.5, 100.0]));
        check("[.5, 5., +7, 0x1F, -0xa]", json!([0.5, 5.0, 7, 31, -10]));
        check("18446744073709551615", json!(u64::MAX));
        check("-9223372036854775808", json!(-9_223_372_036_854_775_808.0));
        check("{a: 1, 'b c': 2, \"d\": {$e_1: []},}", json!({"a":1,"b c":2,"d":{"$e_1":[]}}));
        check("// one\n{/* two\n */ été: true} // three", json!({"été": true}));
        check(r#""\u0041\x42\n\t\'\"\\\/\0""#, json!("AB\n\t'\"\\/\0"));
        check(r#""\ud83d\ude00""#, json!("😀"));
        check("'one \\\n line, \\\r\n one'", json!("one  line,  one"));
        check("\u{feff}{}", json!({}));
        check("[[[[]]]]", json!([[[[]]]]));
        check("'\u{2028}'", json!("\u{2028}"));
    }

    #[test]
    fn what_is_no_json5_is_refused_with_its_place() {
        let check = |text: &str, expect: &str| {
            assert_eq!(parse(text, &limits()).unwrap_err().to_string(), expect, "{text}");
        };
        check("", "line 1, column 1: expected a value, found the end");
        check("{\n  a: 1,\n  a: 2}", "line 3, column 3: key `a` occurs twice");
        check("[1 2]", "line 1, column 4: expected `,` or `]`, found `2`");
        check("{a 1}", "line 1, column 4: expected `:`, found `1`");
        check("{1: 1}", "line 1, column 2: expected a key, found `1`");
        check("{a: 1]", "line 1, column 6: expected `,` or `}`, found `]`");
        check("[,]", "line 1, column 2: expected a value, found `,`");
        check("{} x", "line 1, column 4: expected the end, found `x`");
        check("'abc", "line 1, column 5: expected the end of the string, found the end");
        check("'a\nb'", "line 1, column 3: expected the end of the string, found `\\n`");
        check("[/* ", "line 1, column 5: expected the end of the comment, found the end");
        check("é nul", "line 1, column 1: expected a value, found `é`");
        for text in [r"'\u12'", r"'\ud83d'", r"'\ud83dxx'", r"'\x4'", r"'\01'", r"'\7'", r"'\"] {
            check(text, "line 1, column 2: unknown or incomplete escape in a string");
        }
        for number in ["01", "1.2.3", "1e", "--1", "0x", "NaN", "Infinity", "1e999", ".", "1_0"] {
            let token = number.split('_').next().unwrap();
            if token == number {
                check(number, &format!("line 1, column 1: `{number}` is not a finite number"));
            }
        }
        check("[[[[[]]]]]", "line 1, column 6: nested deeper than 4 levels");
        check(&format!("[{}]", "0,".repeat(20)), "line 1, column 40: more than 20 values");
    }

    #[test]
    fn depth_costs_no_stack() {
        let limits = Limits::default();
        let deep = "[".repeat(5_000_000);
        let error = parse(&deep, &limits).unwrap_err();
        assert_eq!(error.fault, JsonFault::Depth(96));
    }
}
