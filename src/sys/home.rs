//! Which process this is, as told apart from those that a fork has made of it.
//!
//! A forked child has a copy of everything its parent had in memory, and none of its parent's
//! threads. What belongs to the parent (a lock, a task, a block of shared memory) must not
//! be believed there. So who makes such a thing notes its [`Home`], and asks it before use.
//!
//! ```text
//!   one page, MADV_WIPEONFORK:   parent  │ 1 │        child  │ 0 │   by fork, clone, whoever calls it
//! ```
//!
//! To ask is to load one word of this process. Where the kernel does not know such pages
//! (before Linux 4.14), a handler of `fork` clears the word; then a raw `clone` is not noticed.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// The process in which this was made.
#[derive(Clone, Copy, Debug)]
pub struct Home {
    word: &'static AtomicU64,
    number: u64,
}

/// Where the word is; null: not yet known.
static WORD: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());
/// The word, where there is no page for it.
static CLEARED: AtomicU64 = AtomicU64::new(0);

impl Home {
    /// This process.
    pub fn here() -> Self {
        let word = word();
        // Relaxed: here and below, only the numbers matter; what belongs to a process is
        // handed from thread to thread by other means.
        let mut number = word.load(Ordering::Relaxed);
        if number == 0 {
            // A child counts on from its parent, so it never has its parent's number.
            static NEXT: AtomicU64 = AtomicU64::new(1);
            let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
            number = match word.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => fresh,
                Err(another) => another,
            };
        }
        Home { word, number }
    }

    /// Whether this is still that process, and not one that was forked off it.
    #[inline(always)]
    pub fn is_here(&self) -> bool {
        // Relaxed: as in `here`.
        self.word.load(Ordering::Relaxed) == self.number
    }
}

fn word() -> &'static AtomicU64 {
    // ordering: Acquire pairs with the Release below.
    let known = WORD.load(Ordering::Acquire);
    // SAFETY: null, or what `make` returned, which stays for ever.
    match unsafe { known.as_ref() } {
        Some(word) => word,
        None => first_word(),
    }
}

#[cold]
fn first_word() -> &'static AtomicU64 {
    let made = page().unwrap_or_else(cleared);
    let made = std::ptr::from_ref(made).cast_mut();
    // ordering: Release publishes the page; Acquire, if another thread was first. A page
    // too many is left: this happens once.
    let first = WORD.compare_exchange(
        std::ptr::null_mut(),
        made,
        Ordering::AcqRel,
        Ordering::Acquire,
    );
    let word = match first {
        Ok(_) => made,
        Err(another) => another,
    };
    // SAFETY: from `page` or `cleared`, which stay for ever.
    unsafe { &*word }
}

/// A word that reads as 0 in every process that is forked off this one.
fn page() -> Option<&'static AtomicU64> {
    let len = rustix::param::page_size();
    // SAFETY: a fresh private mapping, which replaces nothing.
    let at = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if at == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the page that was just mapped, in which nothing is yet.
    if unsafe { libc::madvise(at, len, libc::MADV_WIPEONFORK) } != 0 {
        // SAFETY: as above; nobody else knows of it.
        unsafe { libc::munmap(at, len) };
        return None;
    }
    // SAFETY: aligned, zero, and mapped for as long as the process lives.
    Some(unsafe { &*at.cast::<AtomicU64>() })
}

/// The same, by a handler that the C library calls in a child of `fork`.
fn cleared() -> &'static AtomicU64 {
    extern "C" fn clear() {
        // Relaxed: the child has one thread.
        CLEARED.store(0, Ordering::Relaxed);
    }
    // SAFETY: the handler stores to a static, which may be done after any fork. It stays:
    // this library is never unloaded while its runtimes live.
    unsafe { libc::pthread_atfork(None, None, Some(clear)) };
    &CLEARED
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fork that calls no handlers and takes none of the C library's locks. A child made so
    /// may have been left with any of those locks held, by threads that it has not: it makes
    /// system calls and loads only, and its own children are made so too.
    fn raw_clone() -> i32 {
        // SAFETY: without a new stack it is a fork; see above for what the child may do.
        unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32 }
    }

    fn fork() -> i32 {
        // SAFETY: the child makes system calls and loads only, and ends by `_exit`.
        unsafe { libc::fork() }
    }

    fn in_a_child(fork: fn() -> i32, is_well: impl Fn() -> bool) -> bool {
        let child = fork();
        if child == 0 {
            super::super::exit_now(if is_well() { 0 } else { 1 });
        }
        let mut status = -1;
        // SAFETY: `status` outlives the call.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        status == 0
    }

    #[test]
    fn a_child_is_not_at_home() {
        let mine = Home::here();
        assert!(mine.is_here() && mine.number == Home::here().number);
        assert!(in_a_child(fork, || {
            let childs = Home::here();
            !mine.is_here() && childs.is_here() && childs.number != mine.number
        }));
        assert!(mine.is_here(), "the child's number is its own");
    }

    #[test]
    fn nor_is_one_of_a_raw_clone_or_a_grandchild() {
        let mine = Home::here();
        assert!(in_a_child(raw_clone, || {
            let childs = Home::here();
            !mine.is_here() && in_a_child(raw_clone, || !mine.is_here() && !childs.is_here())
        }));
    }

    #[test]
    fn where_there_are_no_such_pages_the_c_library_clears_the_word() {
        let word = cleared();
        word.store(7, Ordering::Relaxed);
        let mine = Home { word, number: 7 };
        assert!(mine.is_here() && in_a_child(fork, || !mine.is_here()));
    }
}
