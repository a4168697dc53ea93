//! The committed header is exactly what the sources say. `scripts/header` rewrites it.

use std::path::Path;

#[test]
fn the_committed_header_is_up_to_date() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = crate_dir.join("include/pinfold.h");
    let config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml"))
        .expect("cbindgen.toml is a valid configuration");

    // From the files, not from the crate: the latter would have cbindgen run
    // `cargo metadata`, which may want to download what this platform never uses.
    let mut generated = Vec::new();
    cbindgen::Builder::new()
        .with_config(config)
        .with_src(crate_dir.join("src/lib.rs"))
        .generate()
        .expect("cbindgen understands the sources")
        .write(&mut generated);
    let generated = String::from_utf8(generated).expect("a header is UTF-8");
    let generated = without_rust_examples(&generated);

    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(&committed, &generated).expect("the header can be written");
        return;
    }
    let current = std::fs::read_to_string(&committed).unwrap_or_default();
    if current == generated {
        return;
    }
    let at = current
        .lines()
        .zip(generated.lines())
        .take_while(|(a, b)| a == b)
        .count();
    panic!(
        "{} differs from the sources, first at line {}:\n  committed: {:?}\n  sources:   {:?}\n\
         run scripts/header and commit the result",
        committed.display(),
        at + 1,
        current.lines().nth(at).unwrap_or("(end of file)"),
        generated.lines().nth(at).unwrap_or("(end of file)"),
    );
}

/// The examples in the documentation are Rust: drops each one, with the empty line before it.
fn without_rust_examples(header: &str) -> String {
    let is_fence = |line: &str| line.trim() == "* ```";
    let mut kept: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in header.lines() {
        if is_fence(line) {
            inside = !inside;
            if inside && kept.last().is_some_and(|line| line.trim() == "*") {
                kept.pop();
            }
        } else if !inside {
            kept.push(line);
        }
    }
    assert!(!inside, "an example in the documentation does not end");
    kept.join("\n") + "\n"
}
