//! Names that strangers give themselves.

/// Longest name that an end may give itself, bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// A name as it may be kept and shown: no control characters, at most [`MAX_NAME_BYTES`].
pub fn clean_name(name: &str) -> String {
    let mut clean = String::new();
    for letter in name.trim().chars().filter(|letter| !letter.is_control()) {
        if clean.len() + letter.len_utf8() > MAX_NAME_BYTES {
            break;
        }
        clean.push(letter);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_and_cleaned() {
        assert_eq!(clean_name("  De\u{1b}ck\n "), "Deck");
        assert_eq!(clean_name(&"ü".repeat(200)).len(), MAX_NAME_BYTES);
    }
}
