//! Environment variables that must not outlive their reader.

/// Takes variable `name` out of the environment.
///
/// Only a process with a single thread can do so safely; with more the variable
/// is read and stays.
pub fn take(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    if nix::sys::stat::stat("/proc/self/task").is_ok_and(|s| s.st_nlink <= 3) {
        // SAFETY: this is the only thread, so nobody reads the environment.
        unsafe { std::env::remove_var(name) };
    }
    Some(value)
}
