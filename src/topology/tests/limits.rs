//! Control groups and memory, from texts and from trees of files made here.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::topology::cgroup::{Cgroups, Version, parse_cfs, parse_cpu_max, parse_memory_max};
use crate::topology::limits::parse_mem_total;

#[test]
fn cpu_max() {
    let table = [
        ("max 100000\n", None),
        ("150000 100000\n", Some(1.5)),
        ("20000 100000", Some(0.2)),
        ("1000000 50000\n", Some(20.0)),
        ("0 100000\n", None),
        ("100000 0\n", None),
        ("-1 100000\n", None),
        ("100000\n", None),
        ("", None),
        ("garbage here\n", None),
    ];
    for (text, quota) in table {
        assert_eq!(parse_cpu_max(text), quota, "{text:?}");
    }
    assert_eq!(parse_cfs("-1\n", "100000\n"), None);
    assert_eq!(parse_cfs("250000\n", "100000\n"), Some(2.5));
}

#[test]
fn memory() {
    let table = [
        ("max\n", None),
        ("1073741824\n", Some(1 << 30)),
        ("9223372036854771712\n", Some(9_223_372_036_854_771_712)),
        ("", None),
        ("-1\n", None),
    ];
    for (text, limit) in table {
        assert_eq!(parse_memory_max(text), limit, "{text:?}");
    }
    let table = [
        (
            "MemTotal:       24689764 kB\nMemFree: 1 kB\n",
            Some(24_689_764 * 1024),
        ),
        ("MemFree: 1 kB\nMemTotal: 2 kB\n", Some(2048)),
        ("MemTotal: 99999999999999999999 kB\n", None),
        ("MemTotal: 18446744073709551615 kB\n", None),
        ("MemTotal: 5\n", None),
        ("", None),
    ];
    for (text, bytes) in table {
        assert_eq!(parse_mem_total(text), bytes, "{text:?}");
    }
}

#[test]
fn workers() {
    let table = [
        (8, None, 8),
        (8, Some(8.0), 8),
        (8, Some(2.0), 2),
        (8, Some(2.01), 3),
        (8, Some(0.1), 1),
        (2, Some(64.0), 2),
        (1, Some(0.5), 1),
        (0, None, 1),
        (4, Some(f64::INFINITY), 4),
        (4, Some(f64::NAN), 1),
        (4, Some(-3.0), 1),
    ];
    for (cpus, quota, expected) in table {
        assert_eq!(
            worker_count(cpus, quota),
            expected,
            "{cpus} CPUs, quota {quota:?}"
        );
    }
}

#[test]
fn directories_from_the_leaf_to_the_mount() {
    use Version::{V1, V2};
    let v2 = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate";
    let v1 = "31 23 0:28 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct";
    let docker = "31 23 0:28 /docker/abc /cg/cpu ro - cgroup cgroup rw,cpu";
    let blanks = "31 23 0:28 / /c\\040g\\134x rw - cgroup2 none rw";
    type Row = (
        &'static str,
        &'static str,
        &'static [(Version, &'static str)],
    );
    let table: [Row; 10] = [
        (v2, "0::/", &[(V2, "/sys/fs/cgroup")]),
        (
            v2,
            "0::/a/b",
            &[
                (V2, "/sys/fs/cgroup/a/b"),
                (V2, "/sys/fs/cgroup/a"),
                (V2, "/sys/fs/cgroup"),
            ],
        ),
        (
            v2,
            "0::/a:b",
            &[(V2, "/sys/fs/cgroup/a:b"), (V2, "/sys/fs/cgroup")],
        ),
        // A group above what our namespace shows.
        (v2, "0::/../other", &[(V2, "/sys/fs/cgroup")]),
        (
            v1,
            "4:cpu,cpuacct:/x\n0::/y",
            &[(V1, "/cg/cpu/x"), (V1, "/cg/cpu")],
        ),
        (v1, "4:cpuset:/x\n0::/y", &[]),
        (
            docker,
            "4:cpu:/docker/abc/in",
            &[(V1, "/cg/cpu/in"), (V1, "/cg/cpu")],
        ),
        (docker, "4:cpu:/elsewhere", &[(V1, "/cg/cpu")]),
        (blanks, "0::/", &[(V2, "/c g\\x")]),
        ("not a mount line", "nor a group line", &[]),
    ];
    for (mounts, groups, expected) in table {
        let cgroups = Cgroups {
            groups: groups.to_owned(),
            mounts: mounts.to_owned(),
        };
        let expected: Vec<_> = expected
            .iter()
            .map(|&(v, dir)| (v, PathBuf::from(dir)))
            .collect();
        assert_eq!(
            cgroups.directories("cpu"),
            expected,
            "{groups:?} under {mounts:?}"
        );
    }
}

fn put(dir: &Path, file: &str, text: &str) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join(file), text).unwrap();
}

#[test]
fn the_smallest_limit_on_the_way_up_counts() {
    let root = tempfile::tempdir().unwrap();
    let top = root.path();
    put(top, "cgroup.procs", "");
    put(&top.join("slice"), "cpu.max", "200000 100000\n");
    put(&top.join("slice"), "memory.max", "1000000\n");
    put(&top.join("slice/service"), "cpu.max", "300000 100000\n");
    put(&top.join("slice/service"), "memory.max", "2000000\n");
    let cgroups = Cgroups {
        groups: "0::/slice/service\n".to_owned(),
        mounts: format!("1 1 0:1 / {} rw - cgroup2 cgroup2 rw\n", top.display()),
    };
    assert_eq!(cgroups.cpu_quota(), Some(2.0));
    assert_eq!(cgroups.memory_limit_bytes(), Some(1_000_000));
}

#[test]
fn both_versions_side_by_side() {
    let root = tempfile::tempdir().unwrap();
    let (cpu, unified) = (root.path().join("cpu"), root.path().join("unified"));
    put(&cpu.join("job"), "cpu.cfs_quota_us", "150000\n");
    put(&cpu.join("job"), "cpu.cfs_period_us", "100000\n");
    put(&cpu, "cpu.cfs_quota_us", "-1\n");
    put(&cpu, "cpu.cfs_period_us", "100000\n");
    put(&unified, "memory.max", "4096\n");
    let cgroups = Cgroups {
        groups: "1:cpu:/job\n0::/\n".to_owned(),
        mounts: format!(
            "1 1 0:1 / {} rw - cgroup cgroup rw,cpu\n2 1 0:2 / {} rw - cgroup2 cgroup2 rw\n",
            cpu.display(),
            unified.display(),
        ),
    };
    assert_eq!(cgroups.cpu_quota(), Some(1.5));
    assert_eq!(cgroups.memory_limit_bytes(), Some(4096));
}

#[test]
fn no_control_groups_no_limits() {
    let none = Cgroups::default();
    assert_eq!((none.cpu_quota(), none.memory_limit_bytes()), (None, None));
}
