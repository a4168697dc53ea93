//! Long messages made smaller, where a channel is made so.
//!
//! ```text
//!   u32: how many bytes it is when it is expanded | one block of LZ4
//! ```

/// The most that a byte of LZ4 can stand for.
#[cfg(feature = "lz4")]
const RATIO_MAX: usize = 255;

/// The bytes compressed; `None` if that makes them no smaller.
#[cfg(feature = "lz4")]
pub fn pack(bytes: &[u8]) -> Option<Vec<u8>> {
    let packed = lz4_flex::block::compress_prepend_size(bytes);
    (packed.len() < bytes.len()).then_some(packed)
}

/// What [`pack`] was given; or what is wrong with it.
#[cfg(feature = "lz4")]
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let damaged = |what: String| format!("its compressed bytes are damaged: {what}");
    let Some((len, block)) = packed.split_first_chunk() else {
        return Err(damaged(format!("there are {}", packed.len())));
    };
    let len = u32::from_le_bytes(*len) as usize;
    // Looked at before so much memory is taken.
    if len > block.len().saturating_mul(RATIO_MAX) {
        let what = format!("{} cannot stand for {len}", block.len());
        return Err(damaged(what));
    }
    let mut bytes = vec![0; len];
    match lz4_flex::block::decompress_into(block, &mut bytes) {
        Ok(read) if read == len => Ok(bytes),
        Ok(read) => Err(damaged(format!("they stand for {read}, and not {len}"))),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Channels are not made so.
#[cfg(not(feature = "lz4"))]
pub fn pack(_bytes: &[u8]) -> Option<Vec<u8>> {
    None
}

/// None were packed.
#[cfg(not(feature = "lz4"))]
pub fn unpack(_packed: &[u8]) -> Result<Vec<u8>, String> {
    Err("it is compressed, and this program is built without the feature `lz4`".to_owned())
}

#[cfg(all(test, feature = "lz4"))]
mod tests {
    use super::*;

    fn text(len: usize) -> Vec<u8> {
        let lines = (0..).map(|n: u32| format!("{n}: the worker has ended with {}\n", n % 7));
        lines.flat_map(String::into_bytes).take(len).collect()
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        for len in [100, 1000, 65_536, 1 << 20] {
            let packed = pack(&text(len)).expect("smaller");
            assert!(packed.len() < len);
            assert_eq!(unpack(&packed), Ok(text(len)));
        }
        let zeros = vec![0; 10 << 20];
        let packed = pack(&zeros).expect("smaller");
        assert!(packed.len() < zeros.len() / 200);
        assert_eq!(unpack(&packed), Ok(zeros));
        let mut random = 1_u64;
        let noise: Vec<u8> = (0..5000)
            .map(|_| {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                (random >> 56) as u8
            })
            .collect();
        assert_eq!(pack(&noise), None, "it becomes no smaller");
    }

    /// Whatever is written there: an error, or other bytes, and no more memory than there can be.
    #[test]
    fn damaged_bytes_are_an_error() {
        let packed = pack(&text(3000)).expect("smaller");
        for len in 0..packed.len() {
            assert!(unpack(&packed[..len]).is_err(), "cut at {len}");
        }
        for len in [u32::MAX, 1 << 30, 0, 2999, 3001] {
            let mut spoilt = packed.clone();
            spoilt[..4].copy_from_slice(&len.to_le_bytes());
            let why = unpack(&spoilt).expect_err("another length");
            assert!(why.contains("damaged"), "{why}");
        }
        let mut random = 7_u64;
        for _ in 0..20_000 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
            let mut spoilt = packed.clone();
            let at = (random >> 32) as usize % spoilt.len();
            spoilt[at] ^= (random >> 20) as u8 | 1;
            if let Ok(bytes) = unpack(&spoilt) {
                assert!(bytes.len() <= spoilt.len() * RATIO_MAX);
            }
        }
    }
}
