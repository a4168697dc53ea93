//! The graphs: steps of `width` points each, whose tasks read the outputs of some points
//! of the step before. As in native/graph.h.

use pinfold_rivals::floor::burn;

/// The most inputs a task has.
pub const MOST_INPUTS: usize = 5;

/// Who reads whose output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody.
    Trivial,
    /// A point, and those beside it.
    Stencil,
    /// A point, and those at a distance that doubles with each step.
    Fft,
    /// Two points read one, until all points are there.
    Tree,
    /// A point, and two on each side.
    Nearest,
    /// Points far from each other, others in each step.
    Spread,
}

impl Kind {
    /// All, with their names.
    pub const ALL: [(Kind, &str); 6] = [
        (Kind::Trivial, "trivial"),
        (Kind::Stencil, "stencil"),
        (Kind::Fft, "fft"),
        (Kind::Tree, "tree"),
        (Kind::Nearest, "nearest"),
        (Kind::Spread, "spread"),
    ];
}

/// A graph, and how much work each task is.
#[derive(Clone, Copy, Debug)]
pub struct Graph {
    /// Who reads whose output.
    pub kind: Kind,
    /// Points in a step.
    pub width: usize,
    /// Steps.
    pub steps: usize,
    /// Steps of `burn` in each task.
    pub work: u64,
}

/// The points whose outputs a task reads, ascending, each once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs {
    points: [usize; MOST_INPUTS],
    count: usize,
}

impl Inputs {
    /// Them.
    pub fn points(&self) -> &[usize] {
        &self.points[..self.count]
    }

    fn push(&mut self, point: usize) {
        self.points[self.count] = point;
        self.count += 1;
    }
}

impl Graph {
    /// Points that this step has.
    pub fn width_at(&self, step: usize) -> usize {
        match self.kind {
            Kind::Tree if step < 20 => self.width.min(1 << step),
            _ => self.width,
        }
    }

    /// Tasks in all.
    pub fn tasks(&self) -> u64 {
        (0..self.steps).map(|step| self.width_at(step) as u64).sum()
    }

    /// What the task reads of the step before.
    pub fn inputs(&self, step: usize, point: usize) -> Inputs {
        let mut inputs = Inputs::default();
        if step == 0 {
            return inputs;
        }
        let width = self.width;
        let within = |others: [Option<usize>; 3]| others.into_iter().flatten();
        match self.kind {
            Kind::Trivial => {}
            Kind::Tree => inputs.push(point / 2),
            Kind::Stencil | Kind::Nearest => {
                let reach = if self.kind == Kind::Stencil { 1 } else { 2 };
                let all = point.saturating_sub(reach)..=(point + reach).min(width - 1);
                all.for_each(|other| inputs.push(other));
            }
            Kind::Fft => {
                let log = width.next_power_of_two().ilog2() as usize;
                let distance = 1 << if log > 0 { (step - 1) % log } else { 0 };
                let above = Some(point + distance).filter(|other| *other < width);
                let all = [point.checked_sub(distance), Some(point), above];
                within(all).for_each(|other| inputs.push(other));
            }
            Kind::Spread => {
                let radix = width.min(MOST_INPUTS);
                let of = |i: usize| {
                    let shift = if i > 0 { step } else { 0 };
                    (point + i * width / radix + shift) % width
                };
                for other in 0..width {
                    if (0..radix).any(|i| of(i) == other) {
                        inputs.push(other);
                    }
                }
            }
        }
        inputs
    }

    /// A task's output from its inputs' outputs, without the work.
    pub fn output(step: usize, point: usize, inputs: impl Iterator<Item = u64>) -> u64 {
        let begin = (step as u64) << 32 | point as u64;
        inputs.fold(begin, |output, input| {
            output
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(input)
        })
    }

    /// The task itself.
    pub fn task(step: usize, point: usize, work: u64, inputs: impl Iterator<Item = u64>) -> u64 {
        let output = Self::output(step, point, inputs);
        burn(work);
        output
    }

    /// What a run must give: 32 bits of the sum of the last step's outputs.
    pub fn expected(&self) -> u64 {
        let mut before = Vec::new();
        for step in 0..self.steps {
            let task = |point| {
                let inputs = self.inputs(step, point);
                Self::output(step, point, inputs.points().iter().map(|i| before[*i]))
            };
            before = (0..self.width_at(step)).map(task).collect();
        }
        Self::checksum(before.into_iter())
    }

    /// 32 bits of a step's sum.
    pub fn checksum(outputs: impl Iterator<Item = u64>) -> u64 {
        outputs.fold(0, u64::wrapping_add) & 0xffff_ffff
    }
}

#[cfg(test)]
mod tests {
    use super::{Graph, Kind};

    fn inputs(kind: Kind, width: usize, step: usize, point: usize) -> Vec<usize> {
        let graph = Graph {
            kind,
            width,
            steps: 9,
            work: 0,
        };
        graph.inputs(step, point).points().to_vec()
    }

    #[test]
    fn graphs_are_what_they_are_called() {
        assert!(inputs(Kind::Trivial, 8, 3, 2).is_empty());
        assert!(inputs(Kind::Stencil, 8, 0, 2).is_empty(), "the first step");
        assert_eq!(inputs(Kind::Stencil, 8, 3, 0), [0, 1]);
        assert_eq!(inputs(Kind::Stencil, 8, 3, 4), [3, 4, 5]);
        assert_eq!(inputs(Kind::Nearest, 8, 3, 4), [2, 3, 4, 5, 6]);
        assert_eq!(inputs(Kind::Fft, 8, 1, 4), [3, 4, 5]);
        assert_eq!(inputs(Kind::Fft, 8, 3, 1), [1, 5]);
        assert_eq!(
            inputs(Kind::Fft, 8, 4, 1),
            [0, 1, 2],
            "from the start again"
        );
        assert_eq!(inputs(Kind::Tree, 8, 2, 3), [1]);
        assert_eq!(inputs(Kind::Spread, 8, 1, 0), [0, 2, 4, 5, 7]);
        assert_eq!(inputs(Kind::Spread, 2, 1, 0), [0]);
        assert_eq!(inputs(Kind::Spread, 2, 2, 0), [0, 1]);
    }

    #[test]
    fn trees_grow() {
        let graph = Graph {
            kind: Kind::Tree,
            width: 8,
            steps: 5,
            work: 0,
        };
        let widths: Vec<_> = (0..5).map(|step| graph.width_at(step)).collect();
        assert_eq!(widths, [1, 2, 4, 8, 8]);
        assert_eq!(graph.tasks(), 23);
    }

    /// What the programs in native/ give for the same lines.
    #[test]
    fn sums_are_those_of_the_other_languages() {
        let sum = |kind, width, steps| {
            let graph = Graph {
                kind,
                width,
                steps,
                work: 0,
            };
            graph.expected()
        };
        assert_eq!(sum(Kind::Trivial, 8, 500), 28);
        assert_eq!(sum(Kind::Stencil, 8, 500), 4_261_468_794);
        assert_eq!(sum(Kind::Fft, 8, 500), 2_165_660_588);
        assert_eq!(sum(Kind::Tree, 8, 500), 3_771_552_668);
        assert_eq!(sum(Kind::Nearest, 8, 500), 2_782_448_999);
        assert_eq!(sum(Kind::Spread, 8, 500), 2_898_075_648);
        assert_eq!(sum(Kind::Spread, 2, 500), 1_325_260_194);
    }
}
