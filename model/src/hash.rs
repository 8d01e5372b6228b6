//! The stable hash behind everything that must come out the same on every node and in every version: the `H` of a
//! schedule, run ids, the choice of a job's owner.

use xxhash_rust::xxh64::Xxh64;

/// XXH64 (seed 0) over the parts, each followed by a zero byte, so that `("ab", "c")` and `("a", "bc")` differ.
///
/// The values are part of the stored format: they never change between versions.
pub fn stable_hash(parts: &[&str]) -> u64 {
    let mut hash = Xxh64::new(0);
    for part in parts {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_frozen() {
        assert_eq!(stable_hash(&["backup", "minute"]), FROZEN);
        assert_ne!(stable_hash(&["ab", "c"]), stable_hash(&["a", "bc"]));
    }

    const FROZEN: u64 = 0x3890_649a_c6b9_5a22;
}
