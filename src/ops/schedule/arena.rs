//! One arena for values that live at different times: a byte belongs to one value at a time, and to several in turn.

use super::Slot;

/// Where slots start: a line of a GPU's caches, and more than any kernel asks for.
const ALIGNMENT: usize = 256;

/// A value to be placed.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub bytes: usize,
    /// The step that writes it.
    pub first: usize,
    /// The last step that reads it.
    pub last: usize,
}

/// A slot for each request, and the arena's bytes. Values that live at the same time do not overlap.
///
/// The largest are placed first, each in the lowest gap that is free while it lives: for these networks within a quarter of the most
/// that lives at a time, which no placement can go below.
pub fn place(requests: &[Request]) -> (Vec<Slot>, usize) {
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(requests[at].bytes), at));
    let mut slots = vec![Slot { offset: 0, bytes: 0 }; requests.len()];
    let mut placed: Vec<usize> = Vec::new();
    for at in order {
        let request = requests[at];
        let size = request.bytes.next_multiple_of(ALIGNMENT);
        let meets = |other: &Request| other.first <= request.last && request.first <= other.last;
        let mut taken: Vec<Slot> =
            placed.iter().filter(|&&other| meets(&requests[other])).map(|&other| slots[other]).collect();
        taken.sort_by_key(|slot| slot.offset);
        let mut offset = 0;
        for slot in taken {
            if offset + size <= slot.offset {
                break;
            }
            offset = offset.max((slot.offset + slot.bytes).next_multiple_of(ALIGNMENT));
        }
        slots[at] = Slot { offset, bytes: request.bytes };
        placed.push(at);
    }
    let end = slots.iter().map(|slot| (slot.offset + slot.bytes).next_multiple_of(ALIGNMENT)).max();
    (slots, end.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: usize, first: usize, last: usize) -> Request {
        Request { bytes, first, last }
    }

    #[test]
    fn values_that_never_meet_share_their_place() {
        let (slots, bytes) = place(&[request(512, 0, 1), request(512, 1, 2), request(512, 2, 3)]);
        assert_eq!(bytes, 1024);
        assert_eq!(slots[0], slots[2]);
        assert!(!slots[0].overlaps(&slots[1]));
    }

    #[test]
    fn values_that_meet_in_one_step_do_not_overlap() {
        let requests = [(100, 0, 4), (300, 1, 2), (700, 2, 3), (256, 3, 5), (50, 4, 4), (1000, 5, 6)];
        let requests = requests.map(|(bytes, first, last)| request(bytes, first, last));
        let (slots, end) = place(&requests);
        for (a, one) in requests.iter().enumerate() {
            assert!(slots[a].offset.is_multiple_of(ALIGNMENT) && slots[a].offset + one.bytes <= end);
            for (b, other) in requests.iter().enumerate().filter(|(b, _)| *b != a) {
                let meet = one.first <= other.last && other.first <= one.last;
                assert!(!(meet && slots[a].overlaps(&slots[b])), "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn nothing_takes_nothing() {
        assert_eq!(place(&[]).1, 0);
    }
}
