//! Running something before `main`.
#![allow(unsafe_code)]

/// Makes tasks work under `cargo test` (and in benchmarks and doc tests), where
/// `main` is not yours: runs [`init`](crate::init) before it.
///
/// Put this one line at the top of the test file (once for each test binary).
///
/// ```
/// pinfold::test_setup!();
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rt = pinfold::Runtime::builder().workers(1).start()?;
/// assert_eq!(rt.spawn(|n: u64| n + 1, 41).join()?, 42);
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! test_setup {
    () => {
        const _: () = {
            extern "C" fn before_main() {
                $crate::init();
            }
            #[used]
            #[allow(unsafe_code, reason = "the loader's table of functions to call")]
            // SAFETY: the loader calls each pointer of this section once, before
            // main, as a C function without arguments that it needs to look at.
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = before_main;
        };
    };
}
