//! A graph of plain tasks, each run once at most: in slots, told by executors.

use pinfold::{Handle, Runtime, TaskError};

use super::scenario::{Deaths, check};

/// Points of a step, and steps.
const WIDTH: usize = 4;
const STEPS: usize = 5;
/// More than an executor tells.
const FAN: usize = 11;

type Named = (String, u8);

fn leave(named: &Named) {
    use std::io::Write;
    let file = std::fs::OpenOptions::new().append(true).open(&named.0);
    file.expect("diary").write_all(&[named.1]).expect("writes");
}

fn first(named: Named) -> u64 {
    leave(&named);
    named.1.into()
}

fn later((named, inputs): (Named, Vec<u64>)) -> u64 {
    leave(&named);
    u64::from(named.1) + inputs.iter().sum::<u64>()
}

fn text(named: Named) -> String {
    leave(&named);
    "x".repeat(2000)
}

fn mixed((named, (text, n)): (Named, (String, u64))) -> u64 {
    leave(&named);
    u64::from(named.1) + text.len() as u64 + n
}

/// A task of the graph: what it should return, and which it depends on.
struct Vertex {
    handle: Handle<u64>,
    value: u64,
    after: Vec<usize>,
}

struct Graph<'rt> {
    rt: &'rt Runtime,
    diary: String,
    all: Vec<Vertex>,
}

impl Graph<'_> {
    fn named(&self) -> Named {
        (self.diary.clone(), self.all.len() as u8)
    }

    fn add(&mut self, after: Vec<usize>) -> usize {
        let named = self.named();
        let (number, mut value) = (self.all.len(), u64::from(named.1));
        value += after.iter().map(|at| self.all[*at].value).sum::<u64>();
        let inputs: Vec<_> = after.iter().map(|at| &self.all[*at].handle).collect();
        let handle = match inputs.is_empty() {
            true => self.rt.spawn(first, named),
            false => self.rt.spawn_after(inputs, later, named),
        };
        self.all.push(Vertex {
            handle,
            value,
            after,
        });
        number
    }
}

/// Submits the graph; what is returned joins it.
pub fn submit<'rt>(
    rt: &'rt Runtime,
    diary: &str,
) -> impl FnOnce(&mut Deaths) -> Result<(), String> + use<'rt> {
    let diary = diary.to_owned();
    let mut graph = Graph {
        rt,
        diary,
        all: Vec::new(),
    };
    let mut before: Vec<usize> = (0..WIDTH).map(|_| graph.add(Vec::new())).collect();
    for step in 0..STEPS {
        let near = |at: usize| [at, (at + 1) % WIDTH, (at + step) % WIDTH];
        let after = (0..WIDTH).map(|at| near(at).map(|at| before[at]).to_vec());
        before = after.map(|after| graph.add(after)).collect();
    }
    let fan: Vec<usize> = (0..FAN).map(|_| graph.add(vec![before[0]])).collect();
    let last = graph.add(fan[..7].to_vec());
    // One input is long, and comes last or not.
    let named = (graph.diary.clone(), 254);
    let long = rt.spawn(text, named);
    let named = (graph.diary.clone(), 255);
    let both = rt.spawn_after((&long, &graph.all[last].handle), mixed, named);
    let diary = graph.diary.clone();
    let all = graph.all;
    move |deaths| {
        let mut ended = Vec::new();
        let last = all[last].value;
        for (number, vertex) in all.into_iter().enumerate() {
            let is_met = vertex.after.iter().all(|at| ended[*at]);
            let joined = end(deaths, vertex.handle, vertex.value, is_met);
            ended.push(joined.map_err(|error| format!("vertex {number}: {error}"))?);
        }
        let long = deaths.once("a long value", long)?;
        let is_met = long.is_some() && ended.last() == Some(&true);
        let value = 255 + 2000 + last;
        ended.push(end(deaths, both, value, is_met).map_err(|error| format!("both: {error}"))?);
        let ran = std::fs::read(&diary).map_err(|e| e.to_string())?;
        let times = |number: u8| ran.iter().filter(|byte| **byte == number).count();
        for (number, is_ended) in ended.into_iter().enumerate() {
            let times = times(if number == 4 + WIDTH * STEPS + FAN + 1 {
                255
            } else {
                number as u8
            });
            check("of the graph, ran twice", times <= 1)?;
            check(
                "of the graph, has a value, and did not run",
                times == 1 || !is_ended,
            )?;
        }
        Ok(())
    }
}

/// Whether it has a value: the right one, and those that it depends on have theirs.
fn end(deaths: &mut Deaths, handle: Handle<u64>, value: u64, is_met: bool) -> Result<bool, String> {
    match handle.join() {
        Ok(got) if is_met && got == value => Ok(true),
        Err(TaskError::WorkerDied { .. }) if is_met => {
            deaths.0 += 1;
            Ok(false)
        }
        Err(TaskError::DependencyFailed { cause, .. })
            if !is_met && matches!(*cause, TaskError::WorkerDied { .. }) =>
        {
            Ok(false)
        }
        other => Err(format!("{other:?}; {value} if {is_met}")),
    }
}
