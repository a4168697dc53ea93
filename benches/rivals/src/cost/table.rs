//! The tables of counts and of the model, as docs/SCALING.md shows them.

use std::fmt::Write;

use super::counts::{Counts, Load};
use super::memory::{Distances, KINDS, Kind};
use super::world::{Outcome, Setup, Way, simulate};

const BEGIN: &str = "<!-- cost-model: begin -->\n";
const END: &str = "<!-- cost-model: end -->\n";

/// What the model is asked.
#[derive(Clone, Debug)]
pub struct Model {
    /// What a transfer takes.
    pub distances: Distances,
    /// How many CPUs.
    pub cpus: Vec<usize>,
    /// Tasks that each submitter has in flight.
    pub window: usize,
    /// ns until everything is under way at the soonest, and for which it is counted then.
    pub times: [u64; 2],
    /// Of the random numbers.
    pub seed: u64,
}

impl Default for Model {
    fn default() -> Self {
        Model {
            distances: Distances::default(),
            cpus: vec![16, 32, 48, 64, 96, 128, 192],
            window: 64,
            times: [150_000, 150_000],
            seed: 1,
        }
    }
}

impl Model {
    fn setup(&self, counts: &Counts, [submitters, executors]: [usize; 2], way: Way) -> Setup {
        Setup {
            submitters,
            executors,
            window: self.window,
            way,
            submit_ns: counts.submit_ns.round() as u64,
            run_ns: counts.run_ns.round() as u64,
            distances: self.distances,
            times: self.times,
            seed: self.seed,
        }
    }
}

/// What is simulated: what it is called, submitters and executors of so many CPUs, and the tasks' way.
type Case = (&'static str, fn(usize) -> [usize; 2], Way);

const CASES: [Case; 4] = [
    (
        "Half the CPUs submit, half execute: the first thread through the scheduler, the others as clients.",
        |cpus| [cpus / 2, cpus - cpus / 2],
        Way::Clients,
    ),
    (
        "The same, if each executor went from client to client in steps of its own length, and on to the next one when \
         another was quicker. (It does not.)",
        |cpus| [cpus / 2, cpus - cpus / 2],
        Way::Apart,
    ),
    (
        "One thread submits, all other CPUs execute.",
        |cpus| [1, cpus - 1],
        Way::Clients,
    ),
    (
        "Half the CPUs submit, half execute, and every task goes through the scheduler's lock, as those do that are \
         registered.",
        |cpus| [cpus / 2, cpus - cpus / 2],
        Way::Lock,
    ),
];

/// Everything that the model says of these counts.
pub fn text(counts: &Counts, model: &Model) -> String {
    let mut text = [counted(counts), compared(counts, model)].join("\n");
    for case in CASES {
        text += "\n";
        text += &table(counts, model, case);
    }
    text
}

fn counted(counts: &Counts) -> String {
    let mut text = format!(
        "Counted on {} CPUs of {}. On one CPU, where no line travels, a task takes its submitter {:.0} ns of CPU and its \
         executor {:.0} ns. A line takes {:.0} ns from one CPU to the other.\n\n",
        counts.cpus, counts.machine, counts.submit_ns, counts.run_ns, counts.line_ns,
    );
    text += "| submitters, workers, in flight each | M tasks/s | tasks per batch | through clients | stolen | sleeps of \
             executors per 1,000 tasks | of submitters |\n| --- | --- | --- | --- | --- | --- | --- |\n";
    for load in &counts.loads {
        let Load {
            submitters,
            workers,
            window,
            rate,
            batch,
            ..
        } = load;
        let batch = match batch {
            0.0 => "–".to_owned(),
            batch => format!("{batch:.1}"),
        };
        let percent = [load.clients, load.stolen].map(|share| share * 100.0);
        writeln!(
            text,
            "| {submitters}, {workers}, {window} | {rate:.1} | {batch} | {:.0} % | {:.0} % | {:.2} | {:.2} |",
            percent[0], percent[1], load.sleeps, load.waits,
        )
        .expect("a string takes everything");
    }
    text
}

/// What the model says of the machine on which was counted, beside what was measured there.
fn compared(counts: &Counts, model: &Model) -> String {
    let line = counts.line_ns.round() as u64;
    let mut text = String::from(
        "The model with this machine's times, beside what was measured. With two of each there are four CPUs in the \
         model and fewer here, so its rate is taken in proportion.\n\n| submitters, workers, in flight each | model, \
         M tasks/s | measured | model, tasks per batch | measured |\n| --- | --- | --- | --- | --- |\n",
    );
    for load in &counts.loads {
        let who = [load.submitters, load.workers];
        if who[0] != who[1] || who[0] > 2 {
            continue;
        }
        let distances = Distances {
            near: line,
            far: line,
            socket: 1024,
            ..model.distances
        };
        let model = Model {
            distances,
            window: load.window,
            ..model.clone()
        };
        let outcome = simulate(model.setup(counts, who, Way::Clients));
        let share = (counts.cpus as f64 / (who[0] + who[1]) as f64).min(1.0);
        writeln!(
            text,
            "| {}, {}, {} | {:.1} | {:.1} | {:.1} | {:.1} |",
            who[0],
            who[1],
            load.window,
            outcome.rate * share,
            load.rate,
            outcome.batch,
            load.batch,
        )
        .expect("a string takes everything");
    }
    text
}

fn table(counts: &Counts, model: &Model, (title, split, way): Case) -> String {
    let mut text = format!(
        "{title}\n\n| CPUs | M tasks/s | of the ideal | lines per task | the most of them | rings looked at per task | tasks \
         per batch | stolen | most wanted line, by how many at once |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for cpus in &model.cpus {
        let outcome = simulate(model.setup(counts, split(*cpus), way));
        let Outcome {
            rate,
            ideal,
            looks,
            batch,
            wanted,
            ..
        } = outcome;
        writeln!(
            text,
            "| {cpus} | {rate:.1} | {:.0} % | {:.1} | {} | {looks:.1} | {batch:.1} | {:.0} % | {}, {:.1} |",
            rate / ideal * 100.0,
            outcome.lines(),
            most(&outcome),
            outcome.stolen * 100.0,
            name(wanted.0),
            wanted.1,
        )
        .expect("a string takes everything");
    }
    text
}

fn name(kind: Kind) -> &'static str {
    KINDS[kind as usize].1
}

/// The three kinds of lines that travel most.
fn most(outcome: &Outcome) -> String {
    let mut kinds: Vec<_> = outcome.travels.iter().zip(KINDS).collect();
    kinds.sort_by(|a, b| b.0.total_cmp(a.0));
    let most = kinds
        .iter()
        .take(3)
        .map(|(count, (_, name))| format!("{name} {count:.1}"));
    most.collect::<Vec<_>>().join(", ")
}

/// A document with this text between its two marks; `None` if it has none.
pub fn fill(document: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{text}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: &str = include_str!("counts.json");
    const PAGE: &str = include_str!("../../../../docs/SCALING.md");

    fn counts() -> Counts {
        serde_json::from_str(COUNTS).expect("the counts of docs/SCALING.md")
    }

    #[test]
    fn the_page_is_what_the_model_says_of_the_counts() {
        let page = fill(PAGE, &text(&counts(), &Model::default())).expect("a page with marks");
        assert!(
            page == PAGE,
            "run `scripts/cost-model --fill docs/SCALING.md`"
        );
    }

    #[test]
    fn a_seed_decides() {
        let say = |seed| {
            let model = Model {
                cpus: vec![16, 96],
                times: [20_000, 20_000],
                seed,
                ..Model::default()
            };
            text(&counts(), &model)
        };
        assert_eq!(say(7), say(7));
        assert_ne!(say(7), say(8));
    }

    fn outcome(who: [usize; 2], way: Way, distances: Distances) -> Outcome {
        let model = Model {
            distances,
            times: [50_000, 50_000],
            ..Model::default()
        };
        simulate(model.setup(&counts(), who, way))
    }

    /// Nobody is quicker than one whose lines do not travel, and who has none that travel is nearly as quick.
    #[test]
    fn transfers_are_what_it_costs() {
        let free = Distances {
            near: 1,
            far: 1,
            shared: 1,
            ..Distances::default()
        };
        for who in [[1, 1], [4, 4], [1, 7]] {
            let [free, dear] =
                [free, Distances::default()].map(|distances| outcome(who, Way::Clients, distances));
            assert!(dear.rate < free.rate, "{who:?}: {dear:?} beside {free:?}");
            assert!(free.rate < free.ideal * 1.05, "{who:?}: {free:?}");
            assert!(free.rate > free.ideal * 0.6, "{who:?}: {free:?}");
        }
    }

    /// Each task's slot goes to its executor and comes back.
    #[test]
    fn slots_travel_twice() {
        let outcome = outcome([4, 4], Way::Clients, Distances::default());
        let slots = outcome.travels[Kind::Slot as usize];
        assert!((2.0..4.0).contains(&slots), "{outcome:?}");
    }

    /// Those who all take one lock are no quicker than its holder, however many there are.
    #[test]
    fn one_lock_serves_one_at_a_time() {
        let [few, many] = [8, 32].map(|n| outcome([n, n], Way::Lock, Distances::default()));
        assert!(many.rate < few.rate * 1.2, "{many:?} beside {few:?}");
        assert_eq!(many.wanted.0, Kind::Scheduler);
    }
}
