//! A subscriber among what a select waits for.

use crate::channel::{Also, Select};
use crate::notify::Gate;

use super::Subscriber;
use super::ends::Seated;

struct Next<'a>(&'a Seated);

impl<'a> Also<'a> for Next<'a> {
    fn has_come(&self) -> bool {
        self.0.has_next()
    }

    fn gate(&self) -> Option<&'a Gate> {
        Some(self.0.side().feed().for_message())
    }
}

impl<'a> Select<'a> {
    /// Also waits for a message of this subscriber, or until it has ended. It is not received by that:
    /// when it is chosen, [`Subscriber::try_recv`] has it, or says how many were lost. Returns its
    /// number.
    ///
    /// ```
    /// # pinfold::test_setup!();
    /// use pinfold::channel::Select;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = pinfold::Runtime::builder().workers(1).start()?;
    /// let prices = rt.broadcast_channel::<f64>(4)?;
    /// let (_orders, of_orders) = rt.channel::<u32>(4)?;
    /// let subscriber = prices.subscribe()?;
    /// let mut select = Select::new();
    /// let (_order, price) = (select.recv(&of_orders), select.subscriber(&subscriber));
    /// prices.send(1.5)?;
    /// assert_eq!(select.wait()?.index(), price);
    /// assert_eq!(subscriber.try_recv(), Ok(1.5));
    /// assert!(select.try_wait().is_err()); // there is no more
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscriber<T>(&mut self, subscriber: &'a Subscriber<T>) -> usize {
        self.also(Next(&subscriber.seated))
    }
}
