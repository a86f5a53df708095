//! How large and how deep a package may be. Every reader takes the same bounds, so that a hostile
//! package costs a bounded amount of memory and time wherever it comes from.

const MIB: u64 = 1 << 20;

/// Bounds on what a reader accepts. The defaults fit every honest package; an instance that
/// imports from strangers may lower them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most entries of an archive or folder, directories and ignored files included.
    /// Default 10,000.
    pub entries: usize,
    /// The most bytes of one file, uncompressed. Default 64 MiB.
    pub file_bytes: u64,
    /// The most bytes of all files together, uncompressed; also of the input, and of everything
    /// that the steps of an exported package hold after expansion. Default 256 MiB.
    pub total_bytes: u64,
    /// The most times that an entry may be larger than its compressed form, where it is larger
    /// than 1 MiB. Default 200.
    pub ratio: u64,
    /// The most bytes of a path. Default 512.
    pub path_bytes: usize,
    /// The most components of a path. Default 32.
    pub path_depth: usize,
    /// The most bytes of a YAML or JSON document. Default 32 MiB.
    pub document_bytes: u64,
    /// The deepest nesting of lists and maps in a document. Default 96.
    pub depth: usize,
    /// The most values in a document. Default 2,000,000.
    pub values: usize,
}

impl Limits {
    /// An entry below this size may be compressed as well as it likes.
    pub(crate) const RATIO_FLOOR: u64 = MIB;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 10_000,
            file_bytes: 64 * MIB,
            total_bytes: 256 * MIB,
            ratio: 200,
            path_bytes: 512,
            path_depth: 32,
            document_bytes: 32 * MIB,
            depth: 96,
            values: 2_000_000,
        }
    }
}
