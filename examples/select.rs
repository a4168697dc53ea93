//! A fetcher with a limited rate: not more than so many fetches at a time, and not more often than
//! every few milliseconds, with a limit to the whole.
//!
//! One loop waits for whatever comes first: the next tick, something that was fetched, the end of a
//! fetcher, the end of the time.

use std::time::Duration;

use pinfold::channel::{Receiver, Select, Sender};

/// What was fetched of which address.
type Page = (String, usize);

/// Fetches until there are no more addresses. (From no network: it takes a while all the same.)
fn fetch((addresses, pages): (Receiver<String>, Sender<Page>)) -> usize {
    let mut count = 0;
    for address in &addresses {
        std::thread::sleep(Duration::from_millis(3));
        let len = address.len();
        if pages.send((address, len)).is_err() {
            break; // nobody wants them any more
        }
        count += 1;
    }
    count
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;
    let (addresses, to_fetch) = rt.channel::<String>(1)?;
    let (fetched, pages) = rt.channel::<Page>(4)?;
    let mut fetchers: Vec<_> = (0..2)
        .map(|_| Some(rt.spawn(fetch, (to_fetch.clone(), fetched.clone()))))
        .collect();
    drop((to_fetch, fetched));
    let mut addresses = Some(addresses);
    let mut left = (1..=10).map(|n| format!("example.com/{n}")).peekable();

    let mut select = Select::new();
    let ends: Vec<usize> = fetchers
        .iter()
        .flatten()
        .map(|f| select.handle(f))
        .collect();
    let page = select.recv(&pages);
    let tick = select.every(Duration::from_millis(2));
    let late = select.after(Duration::from_secs(30));
    let (mut bytes, mut counts) = (0, Vec::new());
    while counts.len() < fetchers.len() {
        let chosen = select.wait()?;
        match chosen.index() {
            i if i == page => match chosen.recv(&pages) {
                Ok((_, len)) => bytes += len,
                Err(_) => select.remove(page), // all fetchers have ended
            },
            // The next one, if a fetcher is free for it; else at the next tick.
            i if i == tick => {
                let Some(to) = &addresses else { continue };
                if let Some(address) = left.next_if(|_| to.is_empty()) {
                    to.try_send(address)?;
                } else if left.peek().is_none() {
                    addresses = None; // no more are to come: the fetchers end
                    chosen.remove();
                }
            }
            i if i == late => return Err("it takes too long".into()),
            end => {
                chosen.remove();
                let at = ends.iter().position(|i| *i == end);
                let fetcher = at.and_then(|at| fetchers[at].take());
                counts.extend(fetcher.map(|fetcher| fetcher.join()).transpose()?);
            }
        }
    }
    // What came last.
    bytes += pages.try_iter().map(|(_, len)| len).sum::<usize>();
    println!("{} pages, {bytes} bytes", counts.iter().sum::<usize>());
    assert_eq!((counts.iter().sum::<usize>(), bytes), (10, 131));
    Ok(())
}
