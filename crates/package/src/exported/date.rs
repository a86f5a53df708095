//! Dates as the exporting product writes them: formats in the tokens of moment.js, offsets as an
//! amount and a unit.

use serde_json::Value;

/// The tokens that have a `strftime` word, longest first where one begins another.
const TOKENS: [(&str, &str); 35] = [
    ("YYYY", "%Y"),
    ("yyyy", "%Y"),
    ("YY", "%y"),
    ("yy", "%y"),
    ("MMMM", "%B"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("M", "%-m"),
    ("DDDD", "%j"),
    ("DDD", "%-j"),
    ("DD", "%d"),
    ("D", "%-d"),
    ("dddd", "%A"),
    ("ddd", "%a"),
    ("HH", "%H"),
    ("H", "%-H"),
    ("hh", "%I"),
    ("h", "%-I"),
    ("mm", "%M"),
    ("m", "%-M"),
    ("ss", "%S"),
    ("s", "%-S"),
    ("SSS", "%3f"),
    ("A", "%p"),
    ("a", "%P"),
    ("ZZ", "%z"),
    ("Z", "%:z"),
    ("X", "%s"),
    ("GGGG", "%G"),
    ("WW", "%V"),
    ("W", "%-V"),
    ("E", "%u"),
    ("T", "T"),
    ("_", "_"),
    ("%", "%%"),
];

/// Turns a format of moment.js into one of `strftime`; `[text]` stands for itself.
///
/// # Errors
/// Returns the rest of the format that begins with an unknown token.
pub(super) fn strftime(format: &str) -> Result<String, String> {
    let mut written = String::new();
    let mut rest = format;
    while let Some(first) = rest.chars().next() {
        if let Some((text, behind)) = rest.strip_prefix('[').and_then(|it| it.split_once(']')) {
            written.push_str(&text.replace('%', "%%"));
            rest = behind;
        } else if let Some((token, word)) = TOKENS.iter().find(|it| rest.starts_with(it.0)) {
            written.push_str(word);
            rest = &rest[token.len()..];
        } else if first.is_ascii_alphabetic() {
            return Err(rest.to_owned());
        } else {
            written.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(written)
}

/// Turns `{amount, unit}` into an offset such as `-1 days`; nothing for no offset.
///
/// # Errors
/// Refuses other shapes and units.
pub(super) fn offset(value: Option<&Value>) -> Result<String, ()> {
    const UNITS: [&str; 8] =
        ["years", "quarters", "months", "weeks", "days", "hours", "minutes", "seconds"];
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(String::new()) };
    let amount = match value.get("amount") {
        None | Some(Value::Null) => return Ok(String::new()),
        Some(Value::String(text)) => text.trim().parse().map_err(|_| ())?,
        Some(amount) => amount.as_i64().ok_or(())?,
    };
    if amount == 0 {
        return Ok(String::new());
    }
    let unit = value.get("unit").and_then(Value::as_str).ok_or(())?.to_lowercase();
    let plural = if unit.ends_with('s') { unit } else { format!("{unit}s") };
    match UNITS.into_iter().find(|known| *known == plural).ok_or(())? {
        "quarters" => Ok(format!("{} months", amount.checked_mul(3).ok_or(())?)),
        unit => Ok(format!("{amount} {unit}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn formats_become_strftime() {
        let check = |format: &str, expect: &str| {
            assert_eq!(strftime(format).as_deref(), Ok(expect), "{format}");
        };
        check("YYYY-MM-DD_HH:mm:ss", "%Y-%m-%d_%H:%M:%S");
        check("YYYY-MM-DDTHH:mm:ss.SSSZ", "%Y-%m-%dT%H:%M:%S.%3f%:z");
        check("YY/M/D h:m:s a", "%y/%-m/%-d %-I:%-M:%-S %P");
        check("dddd, D MMMM YYYY", "%A, %-d %B %Y");
        check("[day 100%] DDDD 5%", "day 100%% %j 5%%");
        check("X", "%s");
        assert_eq!(strftime("YYYY Q"), Err("Q".to_owned()));
    }

    #[test]
    fn offsets_become_spans() {
        let check = |value: Value, expect: Result<&str, ()>| {
            assert_eq!(
                offset(Some(&value)).as_deref(),
                expect.as_deref().map_err(|()| &()),
                "{value}"
            );
        };
        check(json!({"amount": -1, "unit": "days"}), Ok("-1 days"));
        check(json!({"amount": 2, "unit": "month"}), Ok("2 months"));
        check(json!({"amount": "1", "unit": "quarter"}), Ok("3 months"));
        check(json!({"amount": 0, "unit": "days"}), Ok(""));
        check(json!(null), Ok(""));
        check(json!({"amount": 1, "unit": "eons"}), Err(()));
        check(json!({"amount": 1.5, "unit": "days"}), Err(()));
    }
}
