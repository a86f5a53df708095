//! How the map of live attempts spreads its keys. They are numbers of our own that nobody chooses
//! to collide: a multiplication for each spreads them well enough.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes hashers for keys of numbers.
pub(crate) type Spread = BuildHasherDefault<NumberHasher>;

/// A hasher for keys of numbers.
#[derive(Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }

    fn write_u64(&mut self, number: u64) {
        // The odd number next to 2^64 divided by the golden ratio; a map takes both low and high
        // bits, so the high ones are folded down.
        let spread = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = spread ^ (spread >> 32);
    }
}
