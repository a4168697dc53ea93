//! What a function must be to be called by its name, in another process.

/// Function items, and closures that capture nothing: what can be a task.
///
/// Implemented for all of them; nobody else needs to. The compiler sees in two steps that a
/// closure captures something:
///
/// | it captures | is refused by |
/// | --- | --- |
/// | what is not `Copy`: a `String`, a `Vec`, something borrowed | `cargo check`, and editors |
/// | a number, or whatever else is `Copy` (by `move`) | `cargo build`: not before code is made of it is known which type it is |
///
/// What it would capture is passed in the argument, in a tuple; or, if it is large and the same
/// for many tasks, as a [`Constant`](crate::Constant).
///
/// ```compile_fail,E0277
/// # fn with(rt: &pinfold::Runtime) {
/// let prefix = String::from("/tmp");
/// rt.spawn(move |name: String| prefix.clone() + &name, "a".to_owned()); // captures `prefix`
/// # }
/// ```
///
/// ```compile_fail,E0080
/// # fn with(rt: &pinfold::Runtime) {
/// let factor = 3;
/// rt.spawn(move |n: u64| n * factor, 2); // captures `factor`
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # with(&pinfold::Runtime::builder().start()?);
/// # Ok(())
/// # }
/// ```
///
/// ```
/// # pinfold::test_setup!();
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rt = pinfold::Runtime::builder().workers(1).start()?;
/// let factor = 3;
/// let product = rt.spawn(|(n, factor): (u64, u64)| n * factor, (2, factor));
/// assert_eq!(product.join()?, 6);
///
/// let words = rt.constant(vec!["a".to_owned(), "b".to_owned()])?;
/// let word = rt.spawn(|(words, n): (pinfold::Constant<Vec<String>>, usize)| words[n].clone(), (words.clone(), 1));
/// assert_eq!(word.join()?, "b");
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "this closure captures something, but it is to run in another process",
    label = "captures something that is not `Copy`",
    note = "pass what it needs in the argument, in a tuple: `rt.spawn(|(a, b): (A, B)| .., (a, b))`",
    note = "what is large, and the same for many tasks, is passed as a constant: `let a = rt.constant(a)?;`, and `a.clone()` in the argument",
    note = "`worker_init` has its arguments by `worker_init_with(f, args)`"
)]
pub trait NoCapture: Copy + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<F: Copy + Send + 'static> NoCapture for F {}
