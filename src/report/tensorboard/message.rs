//! TensorBoard's `Event` and `Summary` messages in protobuf's wire format, as far as they are written here.
//! <https://protobuf.dev/programming-guides/encoding/>

/// What an event says.
pub enum Content<'a> {
    /// The first event of a file.
    Version(&'a str),
    /// What came at this step and later is void.
    Restart,
    /// Numbers by tag.
    Scalars(&'a [(&'a str, f64)]),
    Image(&'a str, Image<'a>),
}

/// A picture in RGB.
pub struct Image<'a> {
    pub height: usize,
    pub width: usize,
    pub png: &'a [u8],
}

/// `Event` of a time in seconds since 1970.
pub fn event(seconds: f64, step: u64, content: &Content) -> Vec<u8> {
    let event = Message::default().double(1, seconds).number(2, step);
    let event = match content {
        Content::Version(version) => event.bytes(3, version.as_bytes()),
        // `SessionLog` with the status START.
        Content::Restart => event.bytes(7, &Message::default().number(1, 1).0),
        Content::Scalars(scalars) => {
            let value =
                |&(tag, number): &(&str, f64)| Message::default().bytes(1, tag.as_bytes()).float(2, number as f32);
            event.bytes(5, &summary(scalars.iter().map(value)))
        }
        Content::Image(tag, Image { height, width, png }) => {
            const RGB: u64 = 3;
            let image =
                Message::default().number(1, *height as u64).number(2, *width as u64).number(3, RGB).bytes(4, png);
            let value = Message::default().bytes(1, tag.as_bytes()).bytes(4, &image.0);
            event.bytes(5, &summary([value].into_iter()))
        }
    };
    event.0
}

/// `Summary` of these `Value`s.
fn summary(values: impl Iterator<Item = Message>) -> Vec<u8> {
    values.fold(Message::default(), |summary, value| summary.bytes(1, &value.0)).0
}

/// The bytes of a message's fields.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    const VARINT: u64 = 0;
    const FIXED_64: u64 = 1;
    const LENGTH: u64 = 2;
    const FIXED_32: u64 = 5;

    fn varint(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            // The low seven bits, and the mark that more follow.
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    fn key(self, field: u64, wire: u64) -> Self {
        self.varint(field << 3 | wire)
    }

    fn number(self, field: u64, number: u64) -> Self {
        self.key(field, Self::VARINT).varint(number)
    }

    fn double(self, field: u64, number: f64) -> Self {
        let mut message = self.key(field, Self::FIXED_64);
        message.0.extend(number.to_le_bytes());
        message
    }

    fn float(self, field: u64, number: f32) -> Self {
        let mut message = self.key(field, Self::FIXED_32);
        message.0.extend(number.to_le_bytes());
        message
    }

    fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        let mut message = self.key(field, Self::LENGTH).varint(bytes.len() as u64);
        message.0.extend(bytes);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_encoded_as_protobuf_does() {
        let version = event(1.5, 0, &Content::Version("brain.Event:2"));
        assert_eq!(version, b"\x09\0\0\0\0\0\0\xf8\x3f\x10\x00\x1a\x0dbrain.Event:2");
        let scalar = event(0.0, 300, &Content::Scalars(&[("a", 0.5)]));
        assert_eq!(scalar, b"\x09\0\0\0\0\0\0\0\0\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01a\x15\0\0\0\x3f");
        let restart = event(0.0, 1, &Content::Restart);
        assert_eq!(restart, b"\x09\0\0\0\0\0\0\0\0\x10\x01\x3a\x02\x08\x01");
    }
}
