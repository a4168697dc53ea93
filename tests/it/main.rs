//! Tests of the whole, with real processes.

mod index;
mod processes;
mod tree;
