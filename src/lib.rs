//! pinfold
pub mod topology;
