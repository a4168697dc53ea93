//! The C face of pinfold.
