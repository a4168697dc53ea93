//! (shm)
