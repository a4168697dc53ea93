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
mod error;
mod process;
mod scheduler;
mod worker;
#[macro_export] macro_rules! test_setup { () => {} }
pub use error::*;
pub use pool::{AllocError, Loan, Shared};
