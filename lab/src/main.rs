//! The fault laboratory.

fn main() {}
