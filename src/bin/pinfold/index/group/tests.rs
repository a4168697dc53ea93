//! Packing, dividing, going on.

use std::fs;

use super::*;

/// A group of these paths.
fn group(paths: &[&str]) -> Group {
    Group {
        source: Source::default(),
        lines: 50,
        paths: Blob(
            paths
                .iter()
                .flat_map(|p| [p.as_bytes(), b"\0"].concat())
                .collect(),
        ),
        files: paths.len() as u32,
        resume: None,
    }
}

#[test]
fn the_rest_of_a_group() {
    let all = group(&["a", "b/b", "c", "d"]);
    let rest = |files_done| Rest {
        files_done,
        resume: None,
        starved: false,
    };
    assert_eq!(all.after(rest(0)), all);
    assert_eq!(all.after(rest(1)), group(&["b/b", "c", "d"]));
    assert_eq!(all.after(rest(3)), group(&["d"]));
    assert_eq!(
        all.singles(),
        [group(&["a"]), group(&["b/b"]), group(&["c"]), group(&["d"])]
    );
}

#[test]
fn groups_hold_every_file_once_in_order() {
    let root = tempfile::tempdir().unwrap();
    for file in 0..1000 {
        fs::write(root.path().join(format!("{file:04}")), b"").unwrap();
    }
    let mut walk = Walk::new(root.path()).unwrap();
    let mut packer = Packer::new(Source::default(), 50);
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    while let Some(group) = packer.pack(&mut walk, |_, _| unreachable!()) {
        assert_eq!(group.files as usize, group.paths().count());
        seen.extend(
            group
                .paths()
                .map(|path| String::from_utf8(path.to_vec()).unwrap()),
        );
        sizes.push(group.files);
        packer.learn(group.files.into(), 100 * u64::from(group.files));
    }
    let expected: Vec<_> = (0..1000).map(|f| format!("{f:04}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(sizes[0], 16, "the first group is modest");
    assert!(
        sizes.iter().any(|&s| s > 50),
        "small files make larger groups: {sizes:?}"
    );
}

#[test]
fn large_files_make_groups_of_one() {
    let mut packer = Packer::new(Source::default(), 50);
    for _ in 0..100 {
        packer.learn(1, 10_000_000);
    }
    assert_eq!(packer.files_next as u32, 1);
    packer.learn(0, 0);
    assert_eq!(packer.files_next as u32, 1);
}
