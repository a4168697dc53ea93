//! pinfold
#![allow(dead_code)]
pub mod topology;
mod prim;
mod sys;
mod shm;
mod ring;
mod notify;
pub mod pool;
mod task;
mod layout;
#[macro_export] macro_rules! test_setup { () => {} }
