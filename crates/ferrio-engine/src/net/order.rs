//! In which order to try a host's addresses (RFC 8305, section 4).

/// Lets address families take turns, keeping the order within each. `first_family_count` entries of
/// the family that comes first lead (0 counts as 1); families come in order of first appearance.
///
/// asyncio's `_interleave_addrinfos` (CPython, `Lib/asyncio/base_events.py`), which
/// `create_connection(interleave=)` asks for.
///
/// ```
/// use ferrio_engine::net::interleave;
///
/// let found = [(6, "a"), (6, "b"), (6, "c"), (4, "d"), (4, "e")];
/// let order: String = interleave(found, |entry| entry.0, 2).iter().map(|entry| entry.1).collect();
/// assert_eq!(order, "abdce");
/// ```
pub fn interleave<T, K: PartialEq>(
    entries: impl IntoIterator<Item = T>,
    family: impl Fn(&T) -> K,
    first_family_count: usize,
) -> Vec<T> {
    let mut families: Vec<(K, Vec<T>)> = Vec::new();
    for entry in entries {
        let key = family(&entry);
        match families.iter_mut().find(|(other, _)| *other == key) {
            Some((_, members)) => members.push(entry),
            None => families.push((key, vec![entry])),
        }
    }
    let total = families.iter().map(|(_, members)| members.len()).sum();
    let mut ordered = Vec::with_capacity(total);
    let mut queues: Vec<_> = families.into_iter().map(|(_, members)| members.into_iter()).collect();
    if let Some(first) = queues.first_mut() {
        ordered.extend(first.take(first_family_count.saturating_sub(1)));
    }
    while ordered.len() < total {
        ordered.extend(queues.iter_mut().filter_map(Iterator::next));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(entries: &str, first_family_count: usize) -> String {
        // Letters are IPv6, digits IPv4, anything else a third family.
        let family = |entry: &char| (entry.is_ascii_alphabetic(), entry.is_ascii_digit());
        interleave(entries.chars(), family, first_family_count).into_iter().collect()
    }

    #[test]
    fn families_take_turns_in_order_of_appearance() {
        assert_eq!(order("", 1), "");
        assert_eq!(order("abc", 1), "abc");
        assert_eq!(order("ab12", 1), "a1b2");
        assert_eq!(order("12ab", 1), "1a2b");
        assert_eq!(order("abcd1", 1), "a1bcd");
        assert_eq!(order("a1-b2+", 1), "a1-b2+");
        assert_eq!(order("abc1-", 1), "a1-bc");
    }

    /// Taken from running asyncio's own function.
    #[test]
    fn the_first_family_leads_with_its_count() {
        assert_eq!(order("abcd123", 0), "a1b2c3d");
        assert_eq!(order("abcd123", 2), "ab1c2d3");
        assert_eq!(order("abcd123", 3), "abc1d23");
        assert_eq!(order("abcd123", 4), "abcd123");
        assert_eq!(order("abcd123", 9), "abcd123");
    }
}
