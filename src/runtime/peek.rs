//! What only the benchmarks of this repository want to know.

use super::Runtime;

/// A look at a runtime, for the cost model.
#[derive(Clone, Debug)]
pub struct Peek {
    /// Per executor: hints that it has announced, of which it has not ended the batch.
    pub announced: Vec<usize>,
    /// Slots from this number on are those of clients and of executors; the clients' come first.
    pub first_client_slot: u32,
}

impl Peek {
    /// Looks at `rt`. Nobody waits for it.
    pub fn at(rt: &Runtime) -> Self {
        let scheduler = rt.core.present();
        let fold = scheduler.fold();
        let executors = fold.executors.iter();
        Peek {
            announced: executors.map(|record| record.announced().count()).collect(),
            first_client_slot: fold.plan.shape.client_slots(),
        }
    }
}
