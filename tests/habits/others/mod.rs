//! A few habits of users of other systems that give work to processes.

mod celery;
mod dask;
mod pebble;
mod piscina;
mod ray;
mod threads;

use crate::habit::Library;

pub fn libraries() -> Vec<Library> {
    vec![
        threads::library(),
        ray::library(),
        dask::library(),
        celery::library(),
        pebble::library(),
        piscina::library(),
    ]
}
