//! Files of every kind: good images, broken ones, and such as were made to harm.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use image::{ColorType, DynamicImage, ImageFormat, RgbImage};
use nix::sys::stat::Mode;

/// What there is in a directory.
pub struct Files {
    /// Of these there must be thumbnails.
    pub good: Vec<PathBuf>,
    /// These must be told.
    pub bad: Vec<PathBuf>,
}

fn gradient(width: u32, height: u32, seed: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| image::Rgb([x + seed, y ^ seed, x * y].map(|c| c as u8));
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, pixel))
}

/// One of several kinds of pixels, sizes and formats.
fn good(number: u32) -> (DynamicImage, &'static str) {
    let (width, height) = (1 + number * 37 % 400, 1 + number * 53 % 300);
    let image = gradient(width, height, number);
    match number % 5 {
        0 => (image, "png"),
        1 => (image, "jpg"),
        2 => (image.to_luma8().into(), "jpeg"),
        3 => (image.to_rgba8().into(), "png"),
        _ => (image.to_luma16().into(), "png"),
    }
}

/// A PNG file of this many pixels, all black, one bit each: small, however large they are.
fn black(side: u32, is_whole: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side, side);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("a header");
    if is_whole {
        let mut stream = writer.stream_writer().expect("a stream");
        let row = vec![0; side.div_ceil(8) as usize];
        for _ in 0..side {
            std::io::Write::write_all(&mut stream, &row).expect("a row");
        }
        stream.finish().expect("a whole image");
    }
    drop(writer);
    bytes
}

/// Fills a directory: `count` good images, and some of each bad kind.
pub fn generate(top: &Path, count: u32) -> Files {
    let mut files = Files {
        good: Vec::new(),
        bad: Vec::new(),
    };
    for number in 0..count {
        let (image, extension) = good(number);
        let directory = top.join(format!("{} images", number % 7)).join("of mine");
        fs::create_dir_all(&directory).expect("makes it");
        let path = directory.join(format!("ü {number}.{extension}"));
        image.save(&path).expect("writes");
        assert_ne!(image.color(), ColorType::La8);
        files.good.push(path);
    }
    // A good one without a name that says what it is.
    let unnamed = top.join("unnamed");
    gradient(50, 50, 3)
        .save_with_format(&unnamed, ImageFormat::Png)
        .expect("writes");
    files.good.push(unnamed);
    let whole = fs::read(&files.good[0]).expect("reads");
    let jpeg = fs::read(&files.good[6]).expect("reads");
    let mut flipped = whole.clone();
    for byte in &mut flipped[40..] {
        *byte ^= 0x55;
    }
    let bad: [(&str, &[u8]); 11] = [
        ("empty.png", b""),
        ("short.png", &whole[..whole.len() / 2]),
        ("short.jpg", &jpeg[..20]),
        ("header.png", &whole[..8]),
        ("flipped.png", &flipped),
        ("text.jpg", b"not an image at all"),
        ("zeros.png", &[0; 10_000]),
        // One claims 2^62 pixels, and has none; one has 1.4 * 10^8, in some thousand bytes.
        ("claims.png", &black(i32::MAX as u32, false)),
        ("bomb.png", &black(12_000, true)),
        ("decoder.crash", b"!"),
        ("decoder.hang", b"!"),
    ];
    for (name, bytes) in bad {
        fs::write(top.join(name), bytes).expect("writes");
        files.bad.push(top.join(name));
    }
    let fifo = top.join("fifo.png");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).expect("makes it");
    let (dangling, endless) = (top.join("dangling.png"), top.join("endless.png"));
    std::os::unix::fs::symlink("nowhere", &dangling).expect("links");
    std::os::unix::fs::symlink("/dev/zero", &endless).expect("links");
    files.bad.extend([fifo, dangling, endless]);
    if !nix::unistd::geteuid().is_root() {
        let locked = top.join("locked.png");
        fs::copy(&files.good[0], &locked).expect("copies");
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o0)).expect("locks");
        files.bad.push(locked);
    }
    files
}
