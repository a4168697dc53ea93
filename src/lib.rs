//! pinfold
#![allow(dead_code)]
pub mod topology;
mod prim;
mod sys;
mod shm;
mod ring;
mod notify;
