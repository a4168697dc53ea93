//! The rivals that are crates.

use pinfold_rivals::Race;
use pinfold_rivals::duo::{Patience, guarded, one_way_after};
use pinfold_rivals::iceoryx::{Subscription, topic};

use crate::{BATCH, in_turns, of_allocator, rivals_across};

pub fn same(race: &mut Race<'_>, size: usize, count: u64) {
    race.rival("mimalloc", move || {
        of_allocator(&mimalloc::MiMalloc, size, count)
    });
    race.rival("jemalloc", move || {
        of_allocator(&tikv_jemallocator::Jemalloc, size, count)
    });
    race.rival("iceoryx2 loan", move || {
        guarded(|| {
            let words = size / 8;
            let subscription = Subscription::new(&topic(), 64, words);
            let publisher = subscription.publisher_of(2 * BATCH as usize);
            in_turns(
                count / 4 / BATCH * BATCH,
                |number| {
                    let mut loan = publisher.loan_slice_uninit(words).expect("a loan");
                    loan.payload_mut()[0].write(number);
                    loan
                },
                drop,
            )
        })
    });
}

pub fn across(race: &mut Race<'_>, size: usize, count: u64) {
    race.rival("mimalloc", move || {
        guarded(|| rivals_across(&mimalloc::MiMalloc, size, count))
    });
    race.rival("jemalloc", move || {
        guarded(|| rivals_across(&tikv_jemallocator::Jemalloc, size, count))
    });
    race.rival("iceoryx2 loan", move || {
        guarded(|| iceoryx2(size, count / 2))
    });
}

/// A loan is sent by its own topic; its subscriber drops it.
#[allow(unsafe_code)]
fn iceoryx2(size: usize, count: u64) -> f64 {
    let words = size / 8;
    let topic = topic();
    let rate = one_way_after::<1, _>(
        count,
        |gate| {
            let subscription = Subscription::new(&topic, 1024, words);
            let subscriber = subscription.subscriber();
            gate.ready();
            let (mut got, mut sum) = (0, 0_u64);
            let mut patience = Patience::default();
            while got < count {
                match subscriber.receive().expect("receive") {
                    Some(sample) => {
                        sum = sum.wrapping_add(sample.payload()[0]);
                        got += 1;
                        patience = Patience::default();
                    }
                    None => patience.spin(),
                }
            }
            sum
        },
        || {
            let subscription = Subscription::new(&topic, 1024, words);
            let publisher = subscription.publisher();
            (subscription, publisher)
        },
        |(_subscription, publisher)| {
            let mut number = 0;
            while number < count {
                let mut loan = publisher.loan_slice_uninit(words).expect("a loan");
                loan.payload_mut()[0].write(number);
                // SAFETY: words, of which the receiver reads the one that was written.
                let sent = unsafe { loan.assume_init() }.send().expect("send");
                // Now and then nobody gets one, although a publisher is to wait for room.
                number += sent as u64;
            }
        },
    );
    1e3 / rate
}
