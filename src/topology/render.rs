//! A topology and its placements as text for people.

use std::fmt::{self, Write};

use super::allowed::cpu_list;
use super::{Cache, CacheKind, Node, NodeId, Placement, Topology};

/// Width of the left column; every line's value starts behind it.
const LABEL_WIDTH: usize = 17;

/// The text of `pinfold topology`: limits, nodes, packages, cores, caches, and
/// where workers of `threads_per_worker` executors each would be pinned.
/// `placements` is what [`place`](super::place) returned; when it is empty that
/// part is left out. Ends with a newline.
///
/// ```
/// use pinfold::topology::{Topology, place, render};
/// let machine = Topology::uniform(1, 2, 1);
/// let text = render(&machine, &place(&machine, 2, 1), 1);
/// assert!(text.contains("worker 1         node 0: CPUs 1\n"));
/// ```
#[must_use]
pub fn render(topology: &Topology, placements: &[Placement], threads_per_worker: usize) -> String {
    let mut text = String::new();
    write_all(&mut text, topology, placements, threads_per_worker)
        .expect("writing to a String cannot fail");
    text
}

fn write_all(
    out: &mut String,
    topology: &Topology,
    placements: &[Placement],
    threads_per_worker: usize,
) -> fmt::Result {
    write_limits(out, topology)?;
    for node in &topology.nodes {
        writeln!(out)?;
        write_node(out, topology, node.id, node.memory_bytes)?;
    }
    if !topology.caches.is_empty() {
        writeln!(out, "\ncaches")?;
        write_caches(out, topology)?;
    }
    if topology.nodes.len() > 1 {
        writeln!(out, "\ndistances (10 is local)")?;
        write_distances(out, topology)?;
    }
    if !placements.is_empty() {
        writeln!(out, "\nplacement")?;
        write_placements(out, placements, threads_per_worker)?;
    }
    Ok(())
}

fn write_limits(out: &mut String, topology: &Topology) -> fmt::Result {
    let count = topology.cpus.len();
    line(
        out,
        0,
        "allowed CPUs",
        format_args!("{count} ({})", cpu_list(&topology.cpus)),
    )?;
    match topology.cpu_quota {
        Some(quota) => line(out, 0, "CPU quota", format_args!("{quota:.2} CPUs"))?,
        None => line(out, 0, "CPU quota", "none")?,
    }
    line(out, 0, "usable memory", size(topology.memory_limit_bytes))?;
    line(out, 0, "default workers", topology.default_workers())?;
    line(
        out,
        0,
        "read from",
        format!("{:?}", topology.source).to_lowercase(),
    )
}

fn write_node(
    out: &mut String,
    topology: &Topology,
    node: NodeId,
    memory_bytes: Option<u64>,
) -> fmt::Result {
    let cpus = cpu_list(&topology.cpus_of(node));
    line(
        out,
        0,
        format!("node {node}"),
        format_args!("memory {}, CPUs {cpus}", size(memory_bytes)),
    )?;
    let mut package = None;
    // The kernel restarts core numbers in every package; ours count through.
    let cores = topology
        .cores
        .iter()
        .enumerate()
        .filter(|(_, core)| core.node == node);
    for (index, core) in cores {
        if package.replace(core.package) != Some(core.package) {
            writeln!(out, "  package {}", core.package)?;
        }
        line(
            out,
            2,
            format!("core {index}"),
            format_args!("CPUs {}", cpu_list(&core.cpus)),
        )?;
    }
    Ok(())
}

/// One line for each cache that cores share; one line for all alike caches that
/// belong to one core each, since those would only repeat the list of cores.
fn write_caches(out: &mut String, topology: &Topology) -> fmt::Result {
    let of_one_core = |cache: &Cache| topology.cores.iter().any(|core| core.cpus == cache.cpus);
    let key = |cache: &Cache| (cache.level, of_one_core(cache), cache.size_bytes);
    for alike in topology.caches.chunk_by(|a, b| key(a) == key(b)) {
        let size = size(alike[0].size_bytes);
        if of_one_core(&alike[0]) {
            let mut cpus: Vec<_> = alike.iter().flat_map(|cache| cache.cpus.clone()).collect();
            cpus.sort_unstable();
            let value = format!("{size} per core, CPUs {}", cpu_list(&cpus));
            line(out, 1, cache_name(&alike[0]), value)?;
            continue;
        }
        for cache in alike {
            let value = format!("{size} shared by CPUs {}", cpu_list(&cache.cpus));
            line(out, 1, cache_name(cache), value)?;
        }
    }
    Ok(())
}

fn write_distances(out: &mut String, topology: &Topology) -> fmt::Result {
    for from in &topology.nodes {
        let to = |node: &Node| topology.distance(from.id, node.id).to_string();
        let row = topology.nodes.iter().map(to).collect::<Vec<_>>().join(" ");
        line(out, 1, format!("from node {}", from.id), row)?;
    }
    Ok(())
}

fn write_placements(
    out: &mut String,
    placements: &[Placement],
    threads_per_worker: usize,
) -> fmt::Result {
    for (worker, seats) in placements.chunks(threads_per_worker.max(1)).enumerate() {
        let parts = seats.chunk_by(|a, b| a.node == b.node).map(|seats| {
            // In thread order, not as ranges: thread 0 is the first named.
            let cpus: Vec<String> = seats.iter().map(|seat| seat.cpu.to_string()).collect();
            format!("node {}: CPUs {}", seats[0].node, cpus.join(","))
        });
        line(
            out,
            1,
            format!("worker {worker}"),
            parts.collect::<Vec<_>>().join("; "),
        )?;
    }
    Ok(())
}

/// One line: a label, indented by `depth` steps, and a value in its column.
fn line(
    out: &mut String,
    depth: usize,
    label: impl fmt::Display,
    value: impl fmt::Display,
) -> fmt::Result {
    let label = format!("{:indent$}{label}", "", indent = 2 * depth);
    writeln!(out, "{label:LABEL_WIDTH$}  {value}")
}

fn cache_name(cache: &Cache) -> String {
    let suffix = match cache.kind {
        CacheKind::Data => "d",
        CacheKind::Unified => "",
    };
    format!("L{}{suffix}", cache.level)
}

/// Bytes in the largest binary unit that leaves at least 1.
fn size(bytes: Option<u64>) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let Some(bytes) = bytes else {
        return "unknown".to_owned();
    };
    let mut unit = 0;
    let mut value = bytes as f64;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    // A whole number needs no ".0": "32 KiB", but "62.5 GiB".
    let text = format!("{value:.1}");
    format!(
        "{} {}",
        text.strip_suffix(".0").unwrap_or(&text),
        UNITS[unit]
    )
}
