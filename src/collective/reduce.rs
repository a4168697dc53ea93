//! Operations that combine the members' values: always in the order of ranks.

use bytemuck::Pod;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::{Call, Operation};
use super::circle::Round;
use super::error::CollectiveError;
use super::member::{Member, part};
use super::value::Value;

/// From so many bytes on each member combines a part of the elements, for all.
const LARGE: usize = 32 << 10;

impl Member {
    /// The member `root` has the values of all, combined by `op` in the order of ranks; the others
    /// have `None`.
    ///
    /// # Errors
    /// As of all operations: [`CollectiveError`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn longest((mut member, word): (Member, String)) -> Result<Option<String>, CollectiveError> {
    ///     member.reduce(1, word, |a, b| if b.len() > a.len() { b } else { a })
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let tasks = rt.spawn_group(longest, ["sheep".to_owned(), "fold".to_owned()])?;
    /// let found = pinfold::join_all(tasks);
    /// assert_eq!(found, [Ok(Ok(None)), Ok(Ok(Some("sheep".to_owned())))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reduce<T>(
        &mut self,
        root: usize,
        value: T,
        op: impl FnMut(T, T) -> T,
    ) -> Result<Option<T>, CollectiveError>
    where
        T: Serialize + DeserializeOwned,
    {
        self.check_rank(root)?;
        let call = Call::new::<T>(Operation::Reduce, root, 0);
        let round = self.meet(call, |pool| Value::of(&value, pool))?;
        if root != self.rank() {
            return Ok(None);
        }
        self.fold(round, op).map(Some)
    }

    /// All have the values of all, combined by `op` in the order of ranks: `op(op(v0, v1), v2)`, and so
    /// on. So floating-point numbers, too, come out the same for all.
    ///
    /// `op` may be any function: `u64::max`, `|a, b| a + b`. Each member calls its own.
    ///
    /// # Errors
    /// As of all operations: [`CollectiveError`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn largest((mut member, n): (Member, u64)) -> Result<u64, CollectiveError> {
    ///     member.all_reduce(n, u64::max)
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// for task in rt.spawn_group(largest, [3, 8])? {
    ///     assert_eq!(task.join()??, 8);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn all_reduce<T>(
        &mut self,
        value: T,
        op: impl FnMut(T, T) -> T,
    ) -> Result<T, CollectiveError>
    where
        T: Serialize + DeserializeOwned,
    {
        let call = Call::new::<T>(Operation::AllReduce, 0, 0);
        let round = self.meet(call, |pool| Value::of(&value, pool))?;
        self.fold(round, op)
    }

    /// The same for each element of `values`, which all have in the same number: in place. From
    /// 32 KiB on each member combines a part of them for all.
    ///
    /// # Errors
    /// [`CollectiveError::Mismatch`] if the lengths differ; as of all operations. Then `values` are
    /// as they were.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn add_up((mut member, mut values): (Member, Vec<f32>)) -> Result<Vec<f32>, CollectiveError> {
    ///     member.all_reduce_slice(&mut values, |a, b| a + b)?;
    ///     Ok(values)
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// for task in rt.spawn_group(add_up, [vec![1.0, 2.0], vec![0.5, 3.0]])? {
    ///     assert_eq!(task.join()??, [1.5, 5.0]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn all_reduce_slice<T: Pod>(
        &mut self,
        values: &mut [T],
        op: impl FnMut(T, T) -> T,
    ) -> Result<(), CollectiveError> {
        const {
            assert!(
                size_of::<T>() > 0,
                "elements without bytes cannot be combined"
            );
        }
        let call = |step| Call::new::<T>(Operation::AllReduceSlice, step, values.len());
        let (first, second) = (call(0), call(1));
        let is_large = size_of_val(values) >= LARGE && self.size() > 2;
        if !is_large {
            let own: &[u8] = bytemuck::cast_slice(values);
            let round = self.meet(first, |pool| Value::of_bytes(own, pool))?;
            let all = 0..values.len();
            let combined = self.fold_range(round, all, op);
            let combined = self.if_still_mine(combined)?;
            values.copy_from_slice(&combined);
            return Ok(());
        }
        let mut combined = Vec::new();
        if !self.is_pending(second) {
            let own: &[u8] = bytemuck::cast_slice(values);
            let round = self.meet(first, |pool| Value::of_bytes(own, pool))?;
            let part = part(values.len(), self.rank(), self.size());
            let folded = self.fold_range(round, part, op);
            combined = self.if_still_mine(folded)?;
        }
        let own: &[u8] = bytemuck::cast_slice(&combined);
        let round = self.meet(second, |pool| Value::of_bytes(own, pool))?;
        let parts = (0..self.size()).map(|rank| self.read_raw(rank, round));
        let parts: Vec<_> = self.if_still_mine(parts.collect::<Result<_, _>>())?;
        for (rank, read) in parts.iter().enumerate() {
            let part = part(values.len(), rank, self.size());
            for (value, element) in values[part].iter_mut().zip(elements(read.bytes())) {
                *value = element;
            }
        }
        Ok(())
    }

    fn fold<T: DeserializeOwned>(
        &self,
        round: Round,
        mut op: impl FnMut(T, T) -> T,
    ) -> Result<T, CollectiveError> {
        let mut fold = || {
            let mut folded = self.read(0, round)?;
            for rank in 1..self.size() {
                folded = op(folded, self.read(rank, round)?);
            }
            Ok(folded)
        };
        let folded = fold();
        self.if_still_mine(folded)
    }

    /// Those elements that are in `range`, of all members.
    fn fold_range<T: Pod>(
        &self,
        round: Round,
        range: std::ops::Range<usize>,
        mut op: impl FnMut(T, T) -> T,
    ) -> Result<Vec<T>, CollectiveError> {
        let bytes = range.start * size_of::<T>()..range.end * size_of::<T>();
        let mut folded: Vec<T> = Vec::new();
        for rank in 0..self.size() {
            let read = self.read_raw(rank, round)?;
            let theirs = read.bytes().get(bytes.clone());
            let theirs = elements(theirs.ok_or_else(|| {
                self.damaged(self.line_of(rank), round, "has brought too little")
            })?);
            if rank == 0 {
                folded.extend(theirs);
                continue;
            }
            for (folded, theirs) in folded.iter_mut().zip(theirs) {
                *folded = op(*folded, theirs);
            }
        }
        Ok(folded)
    }
}

fn elements<T: Pod>(bytes: &[u8]) -> impl Iterator<Item = T> + '_ {
    let elements = bytes.chunks_exact(size_of::<T>());
    elements.map(bytemuck::pod_read_unaligned)
}
