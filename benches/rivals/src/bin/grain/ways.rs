//! Ways to run a graph: pinfold's, and those of rayon. Each gives the checksum of the
//! last step.

use std::fmt::{self, Formatter};

use pinfold::{Child, Handle, Runtime};
use rayon::ThreadPool;
use rayon::prelude::*;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::graph::{Graph, Kind, MOST_INPUTS};

/// A task's place and work; its inputs come separately.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    step: u32,
    point: u32,
    work: u64,
}

impl Place {
    fn new(graph: &Graph, step: usize, point: usize) -> Self {
        Place {
            step: step as u32,
            point: point as u32,
            work: graph.work,
        }
    }

    fn run(self, inputs: impl Iterator<Item = u64>) -> u64 {
        Graph::task(self.step as usize, self.point as usize, self.work, inputs)
    }
}

fn first(place: Place) -> u64 {
    place.run(std::iter::empty())
}

fn later((place, inputs): (Place, Vec<u64>)) -> u64 {
    place.run(inputs.into_iter())
}

/// Some inputs; encoded are the bytes of as many as there are.
#[derive(Clone, Copy, Debug, Default)]
struct Few {
    values: [[u8; 8]; MOST_INPUTS],
    count: usize,
}

impl Few {
    fn values(&self) -> impl Iterator<Item = u64> {
        self.values[..self.count]
            .iter()
            .map(|value| u64::from_ne_bytes(*value))
    }
}

impl FromIterator<u64> for Few {
    fn from_iter<I: IntoIterator<Item = u64>>(values: I) -> Self {
        let mut few = Few::default();
        for value in values {
            few.values[few.count] = value.to_ne_bytes();
            few.count += 1;
        }
        few
    }
}

impl Serialize for Few {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.values[..self.count].as_flattened())
    }
}

impl<'de> Deserialize<'de> for Few {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Few;

    fn expecting(&self, to: &mut Formatter<'_>) -> fmt::Result {
        to.write_str("some times 8 bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Few, E> {
        let (values, rest) = bytes.as_chunks();
        if !rest.is_empty() || values.len() > MOST_INPUTS {
            return Err(E::invalid_length(bytes.len(), &self));
        }
        let mut few = Few::default();
        few.values[..values.len()].copy_from_slice(values);
        few.count = values.len();
        Ok(few)
    }
}

/// The inputs as part of the argument.
type Complete = (Place, Few);

fn complete((place, inputs): Complete) -> u64 {
    place.run(inputs.values())
}

fn completed(graph: &Graph, step: usize, point: usize, before: &[u64]) -> Complete {
    let inputs = graph.inputs(step, point);
    let values = inputs.points().iter().map(|input| before[*input]);
    (Place::new(graph, step, point), values.collect())
}

/// Every task is submitted at once, and depends on those whose outputs it reads. Without
/// dependencies: `map`.
pub fn after(rt: &Runtime, graph: &Graph) -> u64 {
    if graph.kind == Kind::Trivial {
        let places = (0..graph.steps).flat_map(|step| {
            let points = 0..graph.width;
            points.map(move |point| Place::new(graph, step, point))
        });
        let last = (graph.steps - 1) * graph.width;
        let task = rt.task(first).in_flight(4096);
        let values = task.map(places).map(|value| value.expect("a value"));
        return Graph::checksum(values.skip(last));
    }
    let mut before: Vec<Handle<u64>> = Vec::new();
    for step in 0..graph.steps {
        let task = |point| {
            let place = Place::new(graph, step, point);
            let inputs = graph.inputs(step, point);
            if inputs.points().is_empty() {
                return rt.spawn(first, place);
            }
            let handles: Vec<_> = inputs.points().iter().map(|i| &before[*i]).collect();
            rt.spawn_after(handles, later, place)
        };
        before = (0..graph.width_at(step)).map(task).collect();
    }
    Graph::checksum(before.into_iter().map(|h| h.join().expect("a value")))
}

/// The host waits for each step, and sends its outputs along with the next one.
pub fn by_host(rt: &Runtime, graph: &Graph) -> u64 {
    let mut before = Vec::new();
    let mut handles = Vec::with_capacity(graph.width);
    for step in 0..graph.steps {
        let task = |point| rt.spawn(complete, completed(graph, step, point, &before));
        handles.extend((0..graph.width_at(step)).map(task));
        before.clear();
        before.extend(handles.drain(..).map(|h| h.join().expect("a value")));
    }
    Graph::checksum(before.into_iter())
}

/// One task spawns the tasks of a step, runs one of them itself, and waits for them.
pub fn nested(rt: &Runtime, graph: &Graph) -> u64 {
    let kind = Kind::ALL.iter().position(|(kind, _)| *kind == graph.kind);
    let arguments = (kind.unwrap_or(0), graph.width, graph.steps, graph.work);
    rt.spawn(whole, arguments).join().expect("a value")
}

fn whole((kind, width, steps, work): (usize, usize, usize, u64)) -> u64 {
    let graph = Graph {
        kind: Kind::ALL[kind].0,
        width,
        steps,
        work,
    };
    let mut before = Vec::new();
    let mut others: Vec<Child<u64>> = Vec::with_capacity(width);
    for step in 0..steps {
        let task = |point| completed(&graph, step, point, &before);
        let spawned = 1..graph.width_at(step);
        others.extend(spawned.map(|point| pinfold::spawn(complete, task(point))));
        let own = complete(task(0));
        before.clear();
        before.push(own);
        before.extend(others.drain(..).map(|c| c.join().expect("a value")));
    }
    Graph::checksum(before.into_iter())
}

/// A parallel iterator for each step, or for all where nobody reads anything.
pub fn rayon(pool: &ThreadPool, graph: &Graph) -> u64 {
    pool.install(|| {
        if graph.kind == Kind::Trivial {
            let all = (0..graph.steps * graph.width)
                .into_par_iter()
                .with_max_len(1);
            let run = |n: usize| Place::new(graph, n / graph.width, n % graph.width);
            let values = all.map(|n| (n, first(run(n))));
            let last = values.filter(|(n, _)| *n >= (graph.steps - 1) * graph.width);
            let sum = last.map(|(_, value)| value).reduce(|| 0, u64::wrapping_add);
            return Graph::checksum(std::iter::once(sum));
        }
        let mut before = Vec::new();
        let mut now = vec![0; graph.width];
        for step in 0..graph.steps {
            now.truncate(graph.width_at(step));
            now.resize(graph.width_at(step), 0);
            let points = now.par_iter_mut().with_max_len(1).enumerate();
            points.for_each(|(point, value)| {
                *value = complete(completed(graph, step, point, &before));
            });
            std::mem::swap(&mut before, &mut now);
        }
        Graph::checksum(before.into_iter())
    })
}
