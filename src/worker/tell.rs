//! Telling a task's dependents that it has run.
//!
//! ```text
//!   this task    Running(me) ──▶ Finishing(me) ────────────────────────────▶ Done(me)
//!                 result written   │ for each dependent: its input, its bit │ how many
//!                                  ▼                                        │
//!   a dependent  Pending ── no bit is left ──▶ Queued ── hint in `ready` ───┘
//! ```
//!
//! What a death between any two steps leaves, and what the host does about it
//! (`scheduler/depend/in_slots.rs`):
//!
//! | it died | left | done |
//! | --- | --- | --- |
//! | before `Finishing` | this task running, nobody told | it ends by the death, and so do its dependents |
//! | before a bit was cleared | perhaps half an input | the host collects the result, which is whole, and tells again from the beginning: the input is written once more |
//! | after the last bit was cleared | `Pending`, nothing missing | telling again, the host finds no bit, and queues it |
//! | after it was queued | `Queued`, perhaps no hint | after every death the host issues a hint for every task with edges that is queued |

use crate::prim::Hint;
use crate::ring::steal;
use crate::sys::prefetch_for_write;
use crate::task::{Arrived, INPUT_LEN, Payload};

use super::runner::{Ran, Runner};

impl Runner {
    /// Arguments with inputs behind them, of the task in slot `index`.
    pub(super) fn put_together<'a>(
        &self,
        index: usize,
        words: [u64; crate::task::INLINE_LEN / 8],
        len: usize,
        inputs: usize,
        whole: &'a mut Payload,
    ) -> &'a [u8] {
        whole.restart(words, len);
        if let Some(edges) = self.fold.edges.get(index) {
            edges.append(inputs, whole);
        }
        whole.bytes()
    }

    /// Tells the dependents of the task of `hint`, whose result is written; the host does
    /// that for those which are not told here.
    #[cold]
    pub(super) fn tell(&self, hint: Hint, ready: &mut steal::Producer, ran: &mut Ran) {
        let fold = &self.fold;
        let (Some(slot), Some(own)) = (
            fold.slots.get(hint.slot.at()),
            fold.edges.get(hint.slot.at()),
        ) else {
            return;
        };
        let Some(len) = slot.value_of_at_most(INPUT_LEN) else {
            ran.is_awaited = true;
            return;
        };
        let words = slot.first_words();
        for edge in own.dependents() {
            let to = edge.to.slot.at();
            fold.edges
                .get(to)
                .inspect(|edges| prefetch_for_write(*edges));
            fold.slots.get(to).inspect(|cell| prefetch_for_write(*cell));
        }
        slot.begin_to_finish(self.me, hint.generation);
        let mut told = 0;
        for edge in own.dependents() {
            let to = edge.to;
            let (Some(cell), Some(edges)) =
                (fold.slots.get(to.slot.at()), fold.edges.get(to.slot.at()))
            else {
                break; // no correct process writes that
            };
            // Before anything is changed: what is made ready must find room.
            if len > edge.room() || !matches!(ready.find_room(), Ok(true)) {
                ran.is_awaited = true;
                break;
            }
            let arrived = edges.arrive(edge, len, &words);
            if arrived == Arrived::Complete && cell.make_ready(to.generation) {
                let _ = ready.stage(to.pack());
                ran.readied += 1;
            }
            told += 1;
        }
        if ran.readied > 0 {
            ready.publish();
        }
        slot.set_edges(told);
    }
}
