//! The examples of the README, for the tests of documentation only.

#[doc = include_str!("../README.md")]
struct Readme;
