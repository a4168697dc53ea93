//! How the shared library is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // What programs ask the loader for: the number changes with an incompatible change only.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libpinfold.so.0");
    // A runtime has threads: `dlclose` must not take away the code that they run.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
