//! What the benchmarks share.
//!
//! A benchmark is a program that asks some questions. For each it lets a floor,
//! pinfold and its rivals run in turn ([`Race`]), which gives [`Row`]s; [`Bench`]
//! prints them and writes them to a file, and the program `report` makes one result
//! of all files.
//!
//! ```no_run
//! use pinfold_rivals::{Against, Bench, Options, Program, Question, Race};
//!
//! pinfold::init(); // first: in a worker process it does not return
//! let mut bench = Bench::new("adding", Options::parse_alone());
//! let mut race = Race::new([Question::higher("adding.one", "additions", "M/s")
//!     .bar(Against::Floor, 0.85)
//!     .bar(Against::Rival("other"), 2.0)]);
//! race.floor("by hand", || 1.0);
//! race.ours("pinfold", || 1.0);
//! race.rival("other", || Err("it is not installed".to_owned()) as Result<f64, String>);
//! let mut native = Program::native("adder", &[]); // benches/rivals/native/adder.cpp
//! race.rival("C++", move || native.ask("add"));
//! let rounds = bench.rounds(9, 3);
//! bench.run(race, rounds);
//! bench.finish();
//! ```

mod bench;
pub mod chart;
pub mod cost;
pub mod duo;
pub mod floor;
#[cfg(feature = "rivals")]
pub mod iceoryx;
pub mod machine;
mod program;
mod race;
pub mod results;
mod row;
mod stats;

pub use bench::{Bench, Options};
pub use program::{Program, Rival};
pub use race::{Against, Measure, Question, Race};
pub use row::{Bar, Better, Part, Plot, Row, Series, Spread, short};
pub use stats::{median, quantile, seconds, spread};
