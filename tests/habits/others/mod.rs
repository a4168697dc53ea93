//! A few habits of users of other systems that give work to processes.

mod celery;
mod dask;
mod piscina;
mod ray;

use crate::habit::Library;

pub fn libraries() -> Vec<Library> {
    vec![
        ray::library(),
        dask::library(),
        celery::library(),
        piscina::library(),
    ]
}
