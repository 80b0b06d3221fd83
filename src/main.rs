//! Parse arguments, call, exit code.

fn main() {}
