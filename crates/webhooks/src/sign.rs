//! The signature of a message, and how a receiver checks it.

use hmac::{Hmac, KeyInit, Mac};
use jobwright_core::Timestamp;
use jobwright_core::secret::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The header that holds the signature.
pub(crate) const SIGNATURE: &str = "x-jobwright-signature";

/// Signs a message: `t=<seconds since the epoch>,v1=<64 hexadecimal digits>`. The digits are the
/// HMAC-SHA256, under the key, of `<seconds>.<delivery>.<body>`.
pub(crate) fn signature(key: &SecretString, at: Timestamp, delivery: &str, body: &str) -> String {
    let seconds = at.as_millis().div_euclid(1000);
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes())
        .expect("an HMAC takes keys of any length");
    for part in [&seconds.to_string(), ".", delivery, ".", body] {
        mac.update(part.as_bytes());
    }
    let digits = mac.finalize().into_bytes();
    let digits: String = digits.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_tools_say() {
        // printf '1700000000.s.7.3.{"a":1}' | openssl dgst -sha256 -hmac key
        let at = Timestamp::from_millis(1_700_000_000_999);
        let found = signature(&"key".to_owned().into(), at, "s.7.3", r#"{"a":1}"#);
        let expect = "3fb7f5aab8ab5df42cf0ee0a72024bb0e64bd4d0dc126ab220e90f96bcde18f9";
        assert_eq!(found, format!("t=1700000000,v1={expect}"));
    }
}
