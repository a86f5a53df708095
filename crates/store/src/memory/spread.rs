//! How maps spread ids over their buckets. Ids are dense and our own: one multiplication spreads
//! them well enough, and nobody chooses them to collide. A map of one kind of id need not even
//! spread them: in their order they share no bucket, and neighbours lie side by side.

use std::hash::{BuildHasherDefault, Hasher};

pub(super) type Spread = BuildHasherDefault<IdHasher>;

/// For the ids of one kind: a commit is mostly of groups that follow each other.
pub(super) type InOrder = BuildHasherDefault<OrderHasher>;

/// The odd number next to 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The bits by which a map tells apart what shares a bucket; the bucket is told by the lowest.
const TAG: u64 = 0x7f << 57;

#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        // A map takes both the low and the high bits, so the high ones are folded down.
        let spread = (self.0 ^ id).wrapping_mul(GOLDEN);
        self.0 = spread ^ (spread >> 32);
    }

    fn write_i64(&mut self, id: i64) {
        self.write_u64(id.cast_unsigned());
    }

    fn write_isize(&mut self, variant: isize) {
        self.write_u64(variant.cast_unsigned() as u64);
    }
}

#[derive(Default)]
pub(super) struct OrderHasher(u64);

impl Hasher for OrderHasher {
    fn finish(&self) -> u64 {
        self.0 & !TAG | self.0.wrapping_mul(GOLDEN) & TAG
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(GOLDEN).wrapping_add(u64::from(*byte));
        }
    }

    fn write_i64(&mut self, id: i64) {
        self.0 = id.cast_unsigned();
    }
}
