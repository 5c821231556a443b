//! The markers of a JPEG stream: does it end, and does one scan hold all of it? Asked only after a warning.

/// What the markers tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// There is an end marker behind the data; or, in the only scan, another one that the decoder does not go beyond,
    /// but takes the rest of the picture for zeros.
    pub ends: bool,
    /// The first scan holds every component at full precision.
    pub one_scan: bool,
}

const START_OF_SCAN: u8 = 0xda;
const END: u8 = 0xd9;

impl Stream {
    /// Walks over the segments of `bytes`; anything odd ends the walk.
    pub fn walk(bytes: &[u8]) -> Self {
        let mut stream = Self::default();
        let mut components = None;
        let mut scans = 0;
        let mut restarts = false;
        // Behind the start-of-image marker.
        let mut rest = bytes.get(2..).unwrap_or_default();
        while let Some((marker, behind)) = next_marker(rest) {
            rest = behind;
            match marker {
                END => {
                    stream.ends = true;
                    break;
                }
                // Restarts, a temporary marker and another start carry no length.
                0xd0..=0xd8 | 0x01 => continue,
                // A damaged byte makes such a marker, which has no length. Only where restarts are expected does
                // libjpeg look for the next one (`jpeg_resync_to_restart`).
                0x02..0xc0 if stream.one_scan => {
                    stream.ends |= !restarts;
                    continue;
                }
                _ => stream.ends |= stream.one_scan,
            }
            let Some((segment, behind)) = segment(rest) else { break };
            rest = behind;
            match marker {
                // Sequential frames; in progressive ones no scan is complete.
                0xc0 | 0xc1 | 0xc9 => components = segment.get(5).copied(),
                0xdd => restarts = segment != [0, 0],
                START_OF_SCAN => {
                    scans += 1;
                    stream.one_scan = scans == 1 && components.is_some() && segment.first().copied() == components;
                }
                _ => {}
            }
        }
        stream
    }
}

/// The next marker and what follows it. Passes over entropy-coded data, where 0xff is followed by zero.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let at = bytes.windows(2).position(|two| two[0] == 0xff && !matches!(two[1], 0 | 0xff))?;
    Some((bytes[at + 1], &bytes[at + 2..]))
}

/// The body of a segment that begins with its length, and what follows.
fn segment(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
    Some((bytes.get(2..length)?, &bytes[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &[u8] = b"\xff\xd8\xff\xc0\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0";
    const SCAN: &[u8] = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\x12\xff\0\x34\xff\xd0\x56";

    #[test]
    fn an_end_marker_behind_the_scan_is_found() {
        let whole = [FRAME, SCAN, b"\xff\xd9"].concat();
        assert_eq!(Stream::walk(&whole), Stream { ends: true, one_scan: true });
        assert_eq!(Stream::walk(&whole[..whole.len() - 1]), Stream { ends: false, one_scan: true });
    }

    #[test]
    fn an_end_marker_inside_a_segment_is_none() {
        let comment = b"\xff\xfe\0\x04\xff\xd9";
        assert!(!Stream::walk(&[FRAME, comment, SCAN].concat()).ends);
    }

    #[test]
    fn a_marker_that_damage_made_ends_the_only_scan() {
        let damaged = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\x12\xff\x4b\xff\0\x34";
        let application = b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\x12\xff\xe4\xff\0\x34";
        assert!(Stream::walk(&[FRAME, damaged].concat()).ends);
        assert!(Stream::walk(&[FRAME, application].concat()).ends);
        // Where restarts are expected, the decoder passes over it and needs an end.
        let interval = b"\xff\xdd\0\x04\0\x03";
        assert!(!Stream::walk(&[FRAME, interval, damaged].concat()).ends);
        assert!(Stream::walk(&[FRAME, interval, damaged, b"\xff\xd9"].concat()).ends);
    }

    #[test]
    fn a_second_scan_is_noticed() {
        assert!(!Stream::walk(&[FRAME, SCAN, SCAN, b"\xff\xd9"].concat()).one_scan);
    }

    #[test]
    fn every_prefix_is_walked_without_complaint() {
        let whole = [FRAME, SCAN, b"\xff\xd9"].concat();
        assert!((0..whole.len()).all(|length| !Stream::walk(&whole[..length]).ends));
    }
}
