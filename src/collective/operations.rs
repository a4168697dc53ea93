//! Operations that bring values from one member to others, as they are.

use bytemuck::Pod;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::pool::Shared;

use super::call::{Call, Operation};
use super::circle::Round;
use super::error::CollectiveError;
use super::member::{Member, part};
use super::value::Value;

impl Member {
    /// Waits until all members have called it.
    ///
    /// # Errors
    /// As of all operations: [`CollectiveError`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn work((mut member, ()): (Member, ())) -> Result<(), CollectiveError> {
    ///     // … what is to be done before anybody goes on
    ///     member.barrier()
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// for task in rt.spawn_group(work, [(); 2])? {
    ///     task.join()??;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn barrier(&mut self) -> Result<(), CollectiveError> {
        let call = Call::new::<()>(Operation::Barrier, 0, 0);
        self.meet(call, |pool| Ok(Value::none(pool))).map(drop)
    }

    /// All have the value that the member `root` has brought. What others bring is not looked at.
    ///
    /// # Errors
    /// [`CollectiveError::NoValue`] if `root` brings `None`; as of all operations.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn greet((mut member, name): (Member, Option<String>)) -> Result<String, CollectiveError> {
    ///     member.broadcast(1, name)
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// for task in rt.spawn_group(greet, [None, Some("Ada".to_owned())])? {
    ///     assert_eq!(task.join()??, "Ada");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn broadcast<T>(&mut self, root: usize, value: Option<T>) -> Result<T, CollectiveError>
    where
        T: Serialize + DeserializeOwned,
    {
        self.distribute(Operation::Broadcast, root, 0, value)
    }

    fn distribute<T>(
        &mut self,
        operation: Operation,
        root: usize,
        len: usize,
        value: Option<T>,
    ) -> Result<T, CollectiveError>
    where
        T: Serialize + DeserializeOwned,
    {
        self.check_rank(root)?;
        let call = Call::new::<T>(operation, root, len);
        let is_root = root == self.rank();
        let round = self.meet(call, |pool| match value {
            Some(value) if is_root => Value::of(&value, pool),
            None if is_root => Ok(Value::missing(pool)),
            _ => Ok(Value::none(pool)),
        })?;
        let read = self.read(root, round);
        self.if_still_mine(read)
    }

    /// Each has a part of the array that the member `root` has brought: a range of it, without a
    /// copy. The parts follow each other in the order of ranks; their lengths differ by one element at most.
    ///
    /// # Errors
    /// As of [`Member::broadcast`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::Shared;
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// type Parts = Result<Vec<Shared<u32>>, CollectiveError>;
    ///
    /// fn part((mut member, all): (Member, Option<Shared<u32>>)) -> Parts {
    ///     let part = member.scatter(0, all)?;
    ///     member.all_gather(part)
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let mut array = rt.alloc_array::<u32>(5)?;
    /// array.copy_from_slice(&[1, 2, 3, 4, 5]);
    /// for task in rt.spawn_group(part, [Some(array.publish()), None])? {
    ///     let parts = task.join()??;
    ///     assert_eq!((&parts[0][..], &parts[1][..]), (&[1, 2][..], &[3, 4, 5][..]));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn scatter<T: Pod>(
        &mut self,
        root: usize,
        array: Option<Shared<T>>,
    ) -> Result<Shared<T>, CollectiveError> {
        self.scatter_chunks(root, array, 1)
    }

    /// The same in whole chunks of so many elements, the rows of a matrix, say: the parts differ by one chunk
    /// at most. What is left over is the last one's. All must say the same `chunk`; 0 is taken
    /// for 1.
    ///
    /// # Errors
    /// As of [`Member::scatter`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::Shared;
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn rows((mut member, all): (Member, Option<Shared<u8>>)) -> Result<Vec<u8>, CollectiveError> {
    ///     Ok(member.scatter_chunks(0, all, 3)?.to_vec())
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let mut matrix = rt.alloc(9)?;
    /// matrix.copy_from_slice(&[1, 1, 1, 2, 2, 2, 3, 3, 3]);
    /// let rows = pinfold::join_all(rt.spawn_group(rows, [Some(matrix.publish()), None])?);
    /// assert_eq!(rows, [Ok(Ok(vec![1, 1, 1])), Ok(Ok(vec![2, 2, 2, 3, 3, 3]))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn scatter_chunks<T: Pod>(
        &mut self,
        root: usize,
        array: Option<Shared<T>>,
        chunk: usize,
    ) -> Result<Shared<T>, CollectiveError> {
        let chunk = chunk.max(1);
        let all = self.distribute(Operation::Scatter, root, chunk, array)?;
        let chunks = part(all.len().div_ceil(chunk), self.rank(), self.size());
        let at = |chunks: usize| chunks.saturating_mul(chunk).min(all.len());
        all.slice(at(chunks.start)..at(chunks.end))
            .map_err(|error| CollectiveError::Decode {
                rank: root,
                message: error.to_string(),
            })
    }

    /// The member `root` has the values of all, in the order of ranks; the others have `None`.
    ///
    /// # Errors
    /// As of all operations: [`CollectiveError`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn ids((mut member, ()): (Member, ())) -> Result<Option<Vec<u32>>, CollectiveError> {
    ///     member.gather(0, std::process::id())
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// let ids = pinfold::join_all(rt.spawn_group(ids, [(); 2])?);
    /// assert_eq!(ids[0].as_ref().unwrap().as_ref().unwrap().as_ref().unwrap().len(), 2);
    /// assert_eq!(ids[1], Ok(Ok(None)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn gather<T>(&mut self, root: usize, value: T) -> Result<Option<Vec<T>>, CollectiveError>
    where
        T: Serialize + DeserializeOwned,
    {
        self.check_rank(root)?;
        let call = Call::new::<T>(Operation::Gather, root, 0);
        let round = self.meet(call, |pool| Value::of(&value, pool))?;
        if root != self.rank() {
            return Ok(None);
        }
        self.read_all(round).map(Some)
    }

    /// All have the values of all, in the order of ranks.
    ///
    /// # Errors
    /// As of all operations: [`CollectiveError`].
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::collective::{CollectiveError, Member};
    ///
    /// fn names((mut member, name): (Member, String)) -> Result<Vec<String>, CollectiveError> {
    ///     member.all_gather(name)
    /// }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(2).start()?;
    /// for task in rt.spawn_group(names, ["Ada".to_owned(), "Grace".to_owned()])? {
    ///     assert_eq!(task.join()??, ["Ada", "Grace"]);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn all_gather<T>(&mut self, value: T) -> Result<Vec<T>, CollectiveError>
    where
        T: Serialize + DeserializeOwned,
    {
        let call = Call::new::<T>(Operation::AllGather, 0, 0);
        let round = self.meet(call, |pool| Value::of(&value, pool))?;
        self.read_all(round)
    }

    fn read_all<T: DeserializeOwned>(&self, round: Round) -> Result<Vec<T>, CollectiveError> {
        let read = (0..self.size()).map(|rank| self.read(rank, round));
        self.if_still_mine(read.collect())
    }
}
