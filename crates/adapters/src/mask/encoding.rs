//! The forms in which a text turns up in other texts.

/// Returns the text itself and its encoded forms.
pub(super) fn forms(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut forms = vec![bytes.to_vec(), json(text)];
    forms.extend([true, false].map(|upper| percent(bytes, upper)));
    for alphabet in [STANDARD, URL_SAFE] {
        forms.extend((0..3).map(|offset| base64(bytes, offset, alphabet)));
    }
    forms
}

/// Escapes for a JSON string, without the quotes.
fn json(text: &str) -> Vec<u8> {
    let quoted = serde_json::Value::from(text).to_string().into_bytes();
    quoted[1..quoted.len() - 1].to_vec()
}

fn percent(bytes: &[u8], upper: bool) -> Vec<u8> {
    let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let mut text = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(*byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            text.extend([b'%', digits[high], digits[low]]);
        }
    }
    text
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Returns those characters of the base64 form that depend on these bytes alone, where `offset`
/// bytes stand before them in a longer text.
fn base64(bytes: &[u8], offset: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let bits = bytes.len() * 8;
    // A character takes six bits; the first whole one begins where six divides the distance from
    // the begin of the longer text.
    let first = (6 - offset * 8 % 6) % 6;
    let starts = (first..).step_by(6).take_while(|start| start + 6 <= bits);
    let value = |start: usize| (start..start + 6).fold(0, |value, at| value << 1 | bit(at));
    starts.map(|start| alphabet[usize::from(value(start))]).collect()
}
