use super::*;

/// The names in `directory`, sorted.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_there_until_it_is_complete() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("out");
    let mut output = Output::open(&path).unwrap();
    output.write_all(b"half").unwrap();
    assert!(!path.exists());
    drop(output);
    assert!(names(at.path()).is_empty());

    let mut output = Output::open(&path).unwrap();
    output.write_all(b"whole").unwrap();
    output.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"whole");
    assert_eq!(names(at.path()), ["out"]);
}

#[test]
fn the_old_file_stays_until_the_new_one_is_complete() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("out");
    fs::write(&path, b"old").unwrap();
    std::os::unix::fs::symlink("out", at.path().join("link")).unwrap();
    for give_up in [true, false] {
        let mut output = Output::open(&at.path().join("link")).unwrap();
        output.write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        if give_up {
            drop(output);
        } else {
            output.finish().unwrap();
        }
    }
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(names(at.path()), ["link", "out"]);
    assert!(at.path().join("link").is_symlink());
}

#[test]
fn with_a_name_from_the_beginning() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("out");
    let open = || {
        let create = |name: &Path| File::create_new(name);
        let (temporary, file) = with_free_name(&path, create).unwrap();
        Output {
            file,
            way: Way::Named {
                target: path.clone(),
                temporary: Some(temporary),
            },
        }
    };
    drop(open());
    assert!(names(at.path()).is_empty());
    let mut output = open();
    output.write_all(b"whole").unwrap();
    assert!(output.temporary().is_some());
    output.finish().unwrap();
    assert_eq!(names(at.path()), ["out"]);
}

#[test]
fn devices_are_written_and_directories_refused() {
    let mut null = Output::open(Path::new("/dev/null")).unwrap();
    null.write_all(b"gone").unwrap();
    assert!(null.ids().is_empty());
    null.finish().unwrap();
    assert!(Output::open(Path::new("/")).is_err());
    assert!(Output::open(Path::new("/no/such/directory/out")).is_err());
    assert!(Output::open(Path::new("newname/")).is_err());
}

#[test]
fn a_file_that_is_replaced_keeps_its_mode_and_attributes() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("out");
    fs::write(&path, b"old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let old = File::open(&path).unwrap();
    // Not every file system has attributes.
    let has_attributes = fsetxattr(&old, "user.note", b"kept", XattrFlags::empty()).is_ok();
    let mut output = Output::open(&path).unwrap();
    assert!(matches!(output.way, Way::Named { .. }));
    output.write_all(b"new").unwrap();
    output.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    if has_attributes {
        let mut note = [0; 8];
        let len = fgetxattr(File::open(&path).unwrap(), "user.note", &mut note).unwrap();
        assert_eq!(&note[..len], b"kept");
    }
}

#[test]
fn a_file_with_several_names_stays_one_file() {
    let at = tempfile::tempdir().unwrap();
    let (path, other) = (at.path().join("out"), at.path().join("other"));
    fs::write(&path, b"something long").unwrap();
    fs::hard_link(&path, &other).unwrap();
    for give_up in [true, false] {
        let mut output = Output::open(&path).unwrap();
        output.write_all(b"new").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"something long");
        if give_up {
            drop(output);
        } else {
            output.finish().unwrap();
        }
    }
    assert_eq!(fs::read(&other).unwrap(), b"new");
    assert_eq!(names(at.path()), ["other", "out"]);
}

#[test]
fn a_descriptor_is_written_where_it_stands() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("log");
    fs::write(&path, b"precious\n").unwrap();
    let log = File::open(&path).unwrap();
    for name in ["self", "thread-self"] {
        let descriptor = format!("/proc/{name}/fd/{}", log.as_raw_fd());
        let link = at.path().join(name);
        std::os::unix::fs::symlink(descriptor, &link).unwrap();
        let mut output = Output::open(&link).unwrap();
        output.write_all(b"more\n").unwrap();
        assert_eq!(output.ids().len(), 1);
        output.finish().unwrap();
    }
    assert_eq!(fs::read(&path).unwrap(), b"precious\nmore\nmore\n");
    assert!(!leads_to_descriptor(&path));
}

#[test]
fn a_link_to_nothing_stays_a_link() {
    let at = tempfile::tempdir().unwrap();
    let link = at.path().join("link");
    std::os::unix::fs::symlink("target", &link).unwrap();
    let mut output = Output::open(&link).unwrap();
    output.write_all(b"new").unwrap();
    output.finish().unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read(at.path().join("target")).unwrap(), b"new");
    std::os::unix::fs::symlink("circle", at.path().join("circle")).unwrap();
    assert!(Output::open(&at.path().join("circle")).is_err());
}

#[test]
fn names_that_others_left_are_passed_by_and_long_ones_shortened() {
    let at = tempfile::tempdir().unwrap();
    let id = std::process::id();
    let target = at.path().join("out");
    fs::write(at.path().join(format!(".out.pinfold-{id}")), b"").unwrap();
    let create = |name: &Path| File::create_new(name).map(drop);
    let (name, ()) = with_free_name(&target, create).unwrap();
    assert_eq!(name, at.path().join(format!(".out.pinfold-{id}-1")));
    let long = at.path().join("x".repeat(255));
    let (name, ()) = with_free_name(&long, create).unwrap();
    assert_eq!(name, at.path().join(format!(".pinfold-{id}")));
    // The whole way, with a file of such a name.
    fs::write(&long, b"old").unwrap();
    let mut output = Output::open(&long).unwrap();
    output.write_all(b"new").unwrap();
    output.finish().unwrap();
    assert_eq!(fs::read(&long).unwrap(), b"new");
}
