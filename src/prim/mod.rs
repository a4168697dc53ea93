//! (prim)
