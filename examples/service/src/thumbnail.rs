//! What is done with one image, in a worker.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{DynamicImage, ImageFormat, ImageReader, Limits};

/// The longer side of a thumbnail.
const SIDE: u32 = 128;
/// No image is decoded that takes more memory.
const DECODED_MAX: u64 = 128 << 20;
/// No file is read that is longer.
const FILE_MAX: u64 = 64 << 20;

/// Writes a thumbnail of the image `from` into the file `to`; returns how long that is.
///
/// # Errors
/// What is wrong with the file. That will not be better the next time.
pub fn make((from, to): (PathBuf, PathBuf)) -> Result<u64, String> {
    let about = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
    let file = fs::metadata(&from).map_err(|error| about("it cannot be read", &error))?;
    // Who opens a FIFO waits for a writer.
    if !file.is_file() {
        return Err("it is no file".to_owned());
    }
    if file.len() > FILE_MAX {
        return Err(format!("it is longer than {FILE_MAX} bytes"));
    }
    let bytes = fs::read(&from).map_err(|error| about("it cannot be read", &error))?;
    let image = decode(&from, &bytes)?.thumbnail(SIDE, SIDE);
    is_wanted()?;
    let mut png = Cursor::new(Vec::new());
    let written = image.write_to(&mut png, ImageFormat::Png);
    written.map_err(|error| about("its thumbnail", &error))?;
    let options = oxipng::Options::from_preset(2);
    let png = oxipng::optimize_from_memory(png.get_ref(), &options);
    let png = png.map_err(|error| about("its thumbnail", &error))?;
    is_wanted()?;
    write(&to, &png).map_err(|error| about("its thumbnail cannot be written", &error))?;
    Ok(png.len() as u64)
}

/// At Ctrl-C what runs ends here.
fn is_wanted() -> Result<(), String> {
    let wanted = pinfold::context().check();
    wanted.map_err(|cancelled| cancelled.to_string())
}

fn decode(from: &Path, bytes: &[u8]) -> Result<DynamicImage, String> {
    // Stand for a decoder in C that some file brings down.
    match from.extension().and_then(|extension| extension.to_str()) {
        Some("crash") => std::process::abort(),
        Some("hang") => loop {
            std::hint::spin_loop();
        },
        _ => {}
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED_MAX);
    let mut reader = ImageReader::new(Cursor::new(bytes));
    reader.limits(limits);
    let reader = reader
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    reader.decode().map_err(|error| error.to_string())
}

/// The file is there as a whole, or not at all, whenever this process is killed.
fn write(to: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::write(part(to), bytes)?;
    fs::rename(part(to), to)
}

fn part(to: &Path) -> PathBuf {
    to.with_extension("part")
}

/// Removes what a worker has left that was killed while it wrote.
pub fn clean(to: &Path) {
    // Mostly there is nothing.
    let _ = fs::remove_file(part(to));
}
