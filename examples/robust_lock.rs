//! A lock whose holder is killed: the next one is told, and mends what was left half changed.

use pinfold::sync::{LockError, LockFault, Mutex};

/// Two accounts; together they hold 100, but while somebody moves money.
type Accounts = Mutex<[i64; 2]>;

fn transfer((accounts, amount): (Accounts, i64)) -> Result<(), LockFault> {
    let mut accounts = accounts.lock().or_else(|error| error.mend(put_right))?;
    accounts[0] -= amount;
    if amount == 13 {
        std::process::abort(); // killed, between the two
    }
    accounts[1] += amount;
    Ok(())
}

/// The first account is changed first: what has left it has not arrived.
fn put_right(accounts: &mut [i64; 2]) {
    println!("somebody died with {accounts:?}");
    accounts[0] = 100 - accounts[1];
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pinfold::init();
    let rt = pinfold::Runtime::builder().workers(2).start()?;
    let accounts = Mutex::new(&rt, [100, 0])?;
    rt.spawn(transfer, (accounts.clone(), 20)).join_flat()?;

    let killed = rt.spawn(transfer, (accounts.clone(), 13));
    println!("{}", killed.join_flat().expect_err("its worker dies"));

    // The lock was given back, with a mark: the data may be half changed.
    match accounts.lock() {
        Err(LockError::Poisoned(guard)) => println!("told, and left as it is: {:?}", *guard),
        other => panic!("{other:?}"),
    }
    // So the next one is told, too: this one mends. Later ones hear nothing of it.
    rt.spawn(transfer, (accounts.clone(), 5)).join_flat()?;
    let guard = accounts.lock().map_err(|error| error.to_string())?;
    assert_eq!(*guard, [75, 25]);
    println!("in the end {:?}", *guard);
    Ok(())
}
