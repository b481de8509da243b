//! A slab whose keys go stale: what a key named is gone for good once it has been taken out, even
//! when its slot has a new tenant.
//!
//! Both users need exactly that. A cancelled timer's handle may be cancelled again years later, and
//! an event already taken from the kernel may name a source that was replaced a moment ago.

/// Names one value in a [`Slots`]: the slot's index and its generation at the time.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SlotKey {
    index: u32,
    /// Starts at 1, so the bits of a key are never 0.
    generation: u32,
}

impl SlotKey {
    pub(crate) const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The inverse of `to_bits`. Any number is accepted; one that `to_bits` never gave names
    /// nothing.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

#[derive(Debug)]
pub(crate) struct Slots<V> {
    slots: Vec<Slot<V>>,
    /// The vacant slot to use next, `END` if there is none.
    free: u32,
    len: usize,
}

#[derive(Debug)]
struct Slot<V> {
    /// Of the tenant, or of the next tenant if the slot is vacant.
    generation: u32,
    content: Content<V>,
}

#[derive(Debug)]
enum Content<V> {
    Tenant(V),
    Vacant { next: u32 },
}

/// Ends the list of vacant slots. The slot with this index is never made: its entries alone would
/// fill 64 GiB.
const END: u32 = u32::MAX;

impl<V> Slots<V> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: END, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, value: V) -> SlotKey {
        self.len += 1;
        if let Some(slot) = self.slots.get_mut(self.free as usize)
            && let Content::Vacant { next } = slot.content
        {
            let key = SlotKey { index: self.free, generation: slot.generation };
            slot.content = Content::Tenant(value);
            self.free = next;
            return key;
        }
        let key = SlotKey { index: self.slots.len() as u32, generation: 1 };
        assert!(key.index != END, "fewer than 2^32 - 1 slots fit any memory");
        self.slots.push(Slot { generation: 1, content: Content::Tenant(value) });
        key
    }

    pub(crate) fn get(&self, key: SlotKey) -> Option<&V> {
        match self.slots.get(key.index as usize) {
            Some(Slot { generation, content: Content::Tenant(value) })
                if *generation == key.generation =>
            {
                Some(value)
            }
            Some(_) | None => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: SlotKey) -> Option<&mut V> {
        match self.slots.get_mut(key.index as usize) {
            Some(Slot { generation, content: Content::Tenant(value) })
                if *generation == key.generation =>
            {
                Some(value)
            }
            Some(_) | None => None,
        }
    }

    pub(crate) fn contains(&self, key: SlotKey) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn remove(&mut self, key: SlotKey) -> Option<V> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation || matches!(slot.content, Content::Vacant { .. }) {
            return None;
        }
        // A slot that has used up its generations is retired, not reused: a key must never come
        // back. That is one slot lost in four thousand million tenants of it.
        let next_generation = slot.generation.checked_add(1);
        let vacant = match next_generation {
            Some(generation) => {
                slot.generation = generation;
                let next = self.free;
                self.free = key.index;
                Content::Vacant { next }
            }
            None => Content::Vacant { next: END },
        };
        self.len -= 1;
        match std::mem::replace(&mut slot.content, vacant) {
            Content::Tenant(value) => Some(value),
            Content::Vacant { .. } => None,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SlotKey, &V)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match &slot.content {
            Content::Tenant(value) => {
                Some((SlotKey { index: index as u32, generation: slot.generation }, value))
            }
            Content::Vacant { .. } => None,
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (SlotKey, &mut V)> {
        self.slots.iter_mut().enumerate().filter_map(|(index, slot)| match &mut slot.content {
            Content::Tenant(value) => {
                Some((SlotKey { index: index as u32, generation: slot.generation }, value))
            }
            Content::Vacant { .. } => None,
        })
    }

    /// Takes every value out, in order of slot. Their keys are stale from now on.
    pub(crate) fn drain(&mut self) -> Vec<V> {
        let keys: Vec<SlotKey> = self.iter().map(|(key, _)| key).collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_never_reaches_the_new_tenant() {
        let mut slots = Slots::new();
        let old = slots.insert('a');
        assert_eq!(slots.remove(old), Some('a'));
        let new = slots.insert('b');
        assert_eq!(new.index, old.index);
        assert_eq!(slots.get(old), None);
        assert_eq!(slots.get_mut(old), None);
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.get(new), Some(&'b'));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn a_slot_out_of_generations_is_retired() {
        let mut slots = Slots::new();
        let first = slots.insert(0);
        slots.slots[0].generation = u32::MAX;
        let last = SlotKey { index: first.index, generation: u32::MAX };
        assert_eq!(slots.remove(last), Some(0));
        assert_eq!(slots.get(last), None);
        let next = slots.insert(1);
        assert_ne!(next.index, last.index);
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn bits_round_trip_and_are_never_zero() {
        let mut slots = Slots::new();
        let key = slots.insert(());
        assert_ne!(key.to_bits(), 0);
        assert_eq!(SlotKey::from_bits(key.to_bits()), key);
        assert!(!slots.contains(SlotKey::from_bits(0)));
        assert!(!slots.contains(SlotKey::from_bits(u64::MAX)));
    }

    /// Every sequence of six inserts and removes, against a plain list.
    #[test]
    fn agrees_with_a_list_for_every_short_history() {
        // Miri takes its time.
        for history in (0..4u32.pow(6)).step_by(if cfg!(miri) { 61 } else { 1 }) {
            let mut slots = Slots::new();
            let mut model: Vec<(SlotKey, u32)> = Vec::new();
            for step in 0..6 {
                match (history >> (2 * step)) & 3 {
                    0 | 1 => model.push((slots.insert(step), step)),
                    2 if !model.is_empty() => {
                        let (key, value) = model.remove(0);
                        assert_eq!(slots.remove(key), Some(value));
                        assert_eq!(slots.remove(key), None);
                    }
                    3 if !model.is_empty() => {
                        let (key, value) = model.remove(model.len() - 1);
                        assert_eq!(slots.remove(key), Some(value));
                    }
                    _ => {}
                }
                assert_eq!(slots.len(), model.len());
                assert!(model.iter().all(|(key, value)| slots.get(*key) == Some(value)));
                assert_eq!(slots.iter().count(), model.len());
            }
        }
    }
}
