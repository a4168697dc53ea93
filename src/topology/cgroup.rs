//! Limits set by control groups, version 1 and 2.
//!
//! A limit holds for a group and everything below it, so the one that bites is
//! the smallest on the way from this process's group up to the mount point:
//!
//! ```text
//!   /proc/self/mountinfo   where each hierarchy is mounted, and which of its
//!                          groups is visible there as the top ("root")
//!   /proc/self/cgroup      which group this process is in, per hierarchy
//!
//!   mount /sys/fs/cgroup, root /, group /a/b
//!     reads /sys/fs/cgroup/a/b/cpu.max, .../a/cpu.max, .../cpu.max
//! ```
//!
//! A machine may have both versions mounted, with a controller in either: both
//! are asked, and files that do not exist limit nothing.

use std::path::{Component, Path, PathBuf};

use crate::sys::read_text;

/// The two texts that say where this process's groups are.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    /// Text of `/proc/self/cgroup`.
    pub groups: String,
    /// Text of `/proc/self/mountinfo`.
    pub mounts: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

impl Cgroups {
    /// Reads the two texts; a text that cannot be read is empty: no limits.
    pub fn of_this_process() -> Cgroups {
        let read = |path| read_text(path).unwrap_or_default();
        Cgroups {
            groups: read("/proc/self/cgroup"),
            mounts: read("/proc/self/mountinfo"),
        }
    }

    /// CPU time limit in CPUs.
    pub fn cpu_quota(&self) -> Option<f64> {
        let quota = |(version, dir): (Version, PathBuf)| match version {
            Version::V2 => parse_cpu_max(&read(&dir, "cpu.max")?),
            Version::V1 => parse_cfs(
                &read(&dir, "cpu.cfs_quota_us")?,
                &read(&dir, "cpu.cfs_period_us")?,
            ),
        };
        self.directories("cpu")
            .into_iter()
            .filter_map(quota)
            .min_by(f64::total_cmp)
    }

    /// Memory limit in bytes.
    pub fn memory_limit_bytes(&self) -> Option<u64> {
        let limit = |(version, dir): (Version, PathBuf)| match version {
            Version::V2 => parse_memory_max(&read(&dir, "memory.max")?),
            Version::V1 => parse_memory_max(&read(&dir, "memory.limit_in_bytes")?),
        };
        self.directories("memory")
            .into_iter()
            .filter_map(limit)
            .min()
    }

    /// How many processes and threads there may be.
    pub fn process_limit(&self) -> Option<u64> {
        let limit = |(_, dir): (Version, PathBuf)| parse_memory_max(&read(&dir, "pids.max")?);
        let directories = self.directories("pids").into_iter();
        directories.filter_map(limit).min()
    }

    /// Every directory whose files may limit this process, for one controller.
    pub(super) fn directories(&self, controller: &str) -> Vec<(Version, PathBuf)> {
        let mut found = Vec::new();
        for mount in self
            .mounts
            .lines()
            .filter_map(|line| parse_mount(line, controller))
        {
            let Some(group) = self.group(mount.version, controller) else {
                continue;
            };
            let below = below_mount(group, &mount.root);
            let leaf = mount.point.join(below);
            let dirs = leaf
                .ancestors()
                .take_while(|dir| dir.starts_with(&mount.point));
            found.extend(dirs.map(|dir| (mount.version, dir.to_path_buf())));
        }
        found
    }

    /// The group of this process in the hierarchy that has the controller.
    fn group(&self, version: Version, controller: &str) -> Option<&str> {
        self.groups.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let matches = match version {
                Version::V2 => controllers.is_empty(),
                Version::V1 => controllers.split(',').any(|name| name == controller),
            };
            matches.then_some(path)
        })
    }
}

fn read(dir: &Path, file: &str) -> Option<String> {
    read_text(dir.join(file)).ok()
}

struct Mount {
    version: Version,
    root: PathBuf,
    point: PathBuf,
}

/// Parses one line of `mountinfo`; `None` unless it mounts the controller.
fn parse_mount(line: &str, controller: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, point) = (unescape(left.next()?), unescape(left.next()?));
    let mut right = right.split(' ');
    let (kind, options) = (right.next()?, right.nth(1)?);
    let version = match kind {
        "cgroup2" => Version::V2,
        "cgroup" if options.split(',').any(|name| name == controller) => Version::V1,
        _ => return None,
    };
    Some(Mount {
        version,
        root: root.into(),
        point: point.into(),
    })
}

/// Path of `group` below the mount point. Inside a container the group's name
/// may be one the mount does not show; its top is then the nearest known.
fn below_mount<'a>(group: &'a str, root: &Path) -> &'a Path {
    let below = Path::new(group).strip_prefix(root).unwrap_or(Path::new(""));
    let outside = below
        .components()
        .any(|part| !matches!(part, Component::Normal(_)));
    if outside { Path::new("") } else { below }
}

/// The kernel writes blanks and backslashes in mount paths as `\040` and so on.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// `cpu.max`: `"150000 100000"` is 1.5 CPUs, `"max 100000"` no limit.
pub(super) fn parse_cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    parse_cfs(quota, period)
}

/// Quota and period in µs; version 1 writes -1 for no limit.
pub(super) fn parse_cfs(quota: &str, period: &str) -> Option<f64> {
    // An unsigned type also turns "max" and "-1" into no limit.
    let microseconds = |text: &str| text.trim().parse::<u64>().ok().filter(|&us| us > 0);
    Some(microseconds(quota)? as f64 / microseconds(period)? as f64)
}

/// `memory.max` or `memory.limit_in_bytes`; `"max"` is no limit. Version 1
/// writes a huge number for no limit, which any other limit is smaller than.
pub(super) fn parse_memory_max(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}
