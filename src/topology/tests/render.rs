//! The text, compared as a whole.

use super::*;

fn check(actual: &str, expected: &str) {
    assert_eq!(
        actual,
        expected.trim_start_matches('\n'),
        "\nactual:\n{actual}"
    );
}

#[test]
fn a_large_machine_with_limits() {
    let mut machine = two_nodes();
    machine.cpu_quota = Some(3.5);
    machine.memory_limit_bytes = Some(8 << 30);
    check(
        &render(&machine, &place(&machine, 3, 2), 2),
        "
allowed CPUs       16 (0-15)
CPU quota          3.50 CPUs
usable memory      8 GiB
default workers    4
read from          synthetic

node 0             memory 64 GiB, CPUs 0-3,8-11
  package 0
    core 0         CPUs 0,8
    core 1         CPUs 1,9
    core 2         CPUs 2,10
    core 3         CPUs 3,11

node 1             memory 64.5 GiB, CPUs 4-7,12-15
  package 1
    core 4         CPUs 4,12
    core 5         CPUs 5,13
    core 6         CPUs 6,14
    core 7         CPUs 7,15

caches
  L1d              48 KiB per core, CPUs 0-15
  L2               2 MiB shared by CPUs 0-1,8-9
  L2               2 MiB shared by CPUs 2-3,10-11
  L2               2 MiB shared by CPUs 4-5,12-13
  L2               2 MiB shared by CPUs 6-7,14-15
  L3               36 MiB shared by CPUs 0-3,8-11
  L3               36 MiB shared by CPUs 4-7,12-15

distances (10 is local)
  from node 0      10 21
  from node 1      21 10

placement
  worker 0         node 0: CPUs 0,1
  worker 1         node 1: CPUs 4,5
  worker 2         node 0: CPUs 2,3
",
    );
}

#[test]
fn a_restricted_machine() {
    let machine = two_nodes().restrict(&ids([1, 9, 2]));
    check(
        &render(&machine, &[], 1),
        "
allowed CPUs       3 (1-2,9)
CPU quota          none
usable memory      unknown
default workers    3
read from          synthetic

node 0             memory 64 GiB, CPUs 1-2,9
  package 0
    core 0         CPUs 1,9
    core 1         CPUs 2

caches
  L1d              48 KiB per core, CPUs 1-2,9
  L2               2 MiB per core, CPUs 1-2,9
  L3               36 MiB shared by CPUs 1-2,9
",
    );
}

#[test]
fn nothing_known() {
    let machine = Topology::flat(&ids([0, 1, 5]));
    check(
        &render(&machine, &place(&machine, 2, 1), 1),
        "
allowed CPUs       3 (0-1,5)
CPU quota          none
usable memory      unknown
default workers    3
read from          flat

node 0             memory unknown, CPUs 0-1,5
  package 0
    core 0         CPUs 0
    core 1         CPUs 1
    core 2         CPUs 5

placement
  worker 0         node 0: CPUs 0
  worker 1         node 0: CPUs 1
",
    );
}

#[test]
fn a_worker_on_two_nodes() {
    let machine = Topology::uniform(2, 2, 1);
    let text = render(&machine, &place(&machine, 1, 3), 3);
    assert!(
        text.ends_with("  worker 0         node 0: CPUs 0,1; node 1: CPUs 2\n"),
        "{text}"
    );
}

#[test]
fn zero_threads_does_no_harm() {
    let machine = Topology::uniform(1, 1, 1);
    assert!(render(&machine, &place(&machine, 1, 1), 0).contains("worker 0 "));
}
