//! Signals and limits of whoever started the program.

use libtest_mimic::Trial;

use crate::host::Host;
use crate::{Program, test};

pub fn tests() -> Vec<Trial> {
    vec![test("a_host_in_plain_surroundings", || {
        let ended = Host::new("plain").run().well();
        assert_eq!(ended.stdout, "49\n");
    })]
}

pub fn programs() -> Vec<Program> {
    vec![("plain", plain)]
}

fn square(n: u64) -> u64 {
    n * n
}

fn plain(_: &[String]) {
    let rt = pinfold::Runtime::builder()
        .workers(2)
        .start()
        .expect("starts");
    println!("{}", rt.spawn(square, 7).join().expect("a value"));
}
