//! The jobwright engine: expansion of runs into job groups, the pure machine that decides, and the
//! driver that does.

pub mod machine;
