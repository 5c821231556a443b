use std::fs;
use std::path::Path;

use turbojpeg::raw;

use super::super::jpeg::{self, Encoding};
use super::*;

/// An LCG (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end
    }

    /// A ramp under noise of a strength that is drawn too, so that there are flat blocks and full ones.
    fn picture(&mut self, width: usize, height: usize) -> Rgb {
        let strength = [1, 16, 300][self.below(3)];
        let slope = self.below(12);
        let value = |place: usize| (place / 3 % width * slope + self.below(strength)).min(255) as u8;
        Rgb { width, height, pixels: (0..width * height * 3).map(value).collect() }
    }

    fn region(&mut self, width: usize, height: usize) -> Region {
        let (left, top) = (self.below(width), self.below(height));
        Region { left, top, width: 1 + self.below(width - left), height: 1 + self.below(height - top) }
    }
}

const KINDS: [(raw::TJSAMP, raw::TJCS); 8] = [
    (raw::TJSAMP_TJSAMP_420, raw::TJCS_TJCS_YCbCr),
    (raw::TJSAMP_TJSAMP_422, raw::TJCS_TJCS_YCbCr),
    (raw::TJSAMP_TJSAMP_440, raw::TJCS_TJCS_YCbCr),
    (raw::TJSAMP_TJSAMP_444, raw::TJCS_TJCS_YCbCr),
    (raw::TJSAMP_TJSAMP_GRAY, raw::TJCS_TJCS_GRAY),
    (raw::TJSAMP_TJSAMP_444, raw::TJCS_TJCS_RGB),
    (raw::TJSAMP_TJSAMP_420, raw::TJCS_TJCS_YCbCr),
    (raw::TJSAMP_TJSAMP_422, raw::TJCS_TJCS_YCbCr),
];

/// A file of the kind `number`, all else drawn.
fn file(random: &mut Random, number: usize, width: usize, height: usize) -> Vec<u8> {
    let (sampling, colours) = KINDS[number % KINDS.len()];
    let encoding = Encoding {
        quality: [1, 30, 75, 95, 100][random.below(5)],
        sampling,
        colours,
        restart: [0, 0, 1, 3][random.below(4)],
        optimised: random.below(2) == 1,
    };
    encoding.encode(&random.picture(width, height))
}

/// Whether the `region` of both is the same.
fn same(one: &Rgb, other: &Rgb, region: Region) -> bool {
    let rows = region.top..region.top + region.height;
    let row = |image: &Rgb, y: usize| {
        let start = (y * image.width + region.left) * 3;
        image.pixels[start..start + region.width * 3].to_vec()
    };
    (one.width, one.height) == (other.width, other.height) && rows.into_iter().all(|y| row(one, y) == row(other, y))
}

/// What libjpeg-turbo makes of `bytes`.
fn expected(bytes: &[u8]) -> Option<Rgb> {
    let mut image = Rgb::default();
    jpeg::decode(bytes, &mut image).ok().map(|()| image)
}

/// Decodes with nothing around the region that could be right by chance.
fn decoded(baseline: &mut Baseline, bytes: &[u8], region: Region) -> Option<Rgb> {
    let mut image = Rgb { pixels: vec![0xa5; 1 << 16], ..Rgb::default() };
    baseline.decode(bytes, |_, _| region, &mut image).map(|()| image)
}

#[test]
fn pictures_of_every_size_and_kind_equal_libjpegs() {
    let mut random = Random(1);
    let mut baseline = Baseline::default();
    let sizes = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 18, 25, 31, 32, 33, 40];
    for (number, (width, height)) in sizes.iter().flat_map(|&w| sizes.map(|h| (w, h))).enumerate() {
        for kind in number..number + 4 {
            let bytes = file(&mut random, kind, width, height);
            let expected = expected(&bytes).unwrap();
            let whole = Region { left: 0, top: 0, width, height };
            let parts: [Region; 4] = std::array::from_fn(|_| random.region(width, height));
            for region in [whole].into_iter().chain(parts) {
                let image = decoded(&mut baseline, &bytes, region).unwrap();
                assert!(same(&image, &expected, region), "{width} x {height}, {:?}, {region:?}", KINDS[kind % 8]);
            }
        }
    }
}

#[test]
fn larger_pictures_equal_libjpegs() {
    let mut random = Random(2);
    let mut baseline = Baseline::default();
    for kind in 0..24 {
        let (width, height) = (60 + random.below(200), 60 + random.below(200));
        let bytes = file(&mut random, kind, width, height);
        let expected = expected(&bytes).unwrap();
        for _ in 0..10 {
            let region = random.region(width, height);
            let image = decoded(&mut baseline, &bytes, region).unwrap();
            assert!(same(&image, &expected, region), "{width} x {height}, {:?}, {region:?}", KINDS[kind % 8]);
        }
    }
}

#[test]
fn damage_is_noticed_or_changes_nothing() {
    let mut random = Random(3);
    let mut baseline = Baseline::default();
    let mut outcomes = [0; 3];
    for round in 0..6000 {
        let mut bytes = file(&mut random, round, 33, 41);
        for _ in 0..1 + random.below(2) {
            // The headers are hit in every second round.
            let end = if round % 2 == 0 { bytes.len() } else { bytes.len().min(600) };
            let at = random.below(end);
            bytes[at] ^= 1 << random.below(8);
        }
        let expected = expected(&bytes);
        let sizes = expected.as_ref().map_or((33, 41), |image| (image.width, image.height));
        let region = random.region(sizes.0.min(33), sizes.1.min(41));
        // A size that was hit may be too small for the region, unless libjpeg-turbo has told.
        let fits = |width: usize, height: usize| if expected.is_some() { region } else { random_corner(width, height) };
        let mut image = Rgb::default();
        let ours = baseline.decode(&bytes, fits, &mut image);
        match (ours, &expected) {
            (Some(()), Some(expected)) => assert!(same(&image, expected, region), "round {round}, {region:?}"),
            (Some(()), None) => panic!("round {round}: libjpeg-turbo refuses it"),
            (None, _) => {}
        }
        outcomes[if ours.is_some() { 0 } else { 1 + usize::from(expected.is_some()) }] += 1;
    }
    // Decoded, refused by both, and left to libjpeg-turbo, which decodes it.
    assert!(outcomes.iter().all(|&count| count > 300), "{outcomes:?}");
}

fn random_corner(width: usize, height: usize) -> Region {
    Region { left: width / 2, top: height / 2, width: 1, height: 1 }
}

#[test]
fn a_file_without_its_end_is_left_to_libjpeg_turbo() {
    let mut random = Random(4);
    let mut baseline = Baseline::default();
    for kind in 0..KINDS.len() {
        let bytes = file(&mut random, kind, 24, 24);
        let first = Region { left: 0, top: 0, width: 1, height: 1 };
        for length in 0..bytes.len() {
            assert_eq!(decoded(&mut baseline, &bytes[..length], first), None, "{length} of {}", bytes.len());
        }
    }
}

#[test]
fn committed_pictures_equal_libjpegs_where_they_are_not_left_to_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/preprocessing");
    let mut random = Random(5);
    let mut baseline = Baseline::default();
    let (mut own, mut left) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jpg") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        let expected = expected(&bytes).unwrap();
        for _ in 0..6 {
            let region = random.region(expected.width, expected.height);
            match decoded(&mut baseline, &bytes, region) {
                Some(image) => assert!(same(&image, &expected, region), "{name}, {region:?}"),
                None => left.push(name.clone()),
            }
        }
        own.push(name);
    }
    left.dedup();
    own.retain(|name| !left.contains(name));
    left.sort();
    let foreign = ["baseline-411", "bytes-before-a-marker", "cmyk-progressive", "cmyk", "gray-progressive"];
    let more = ["no-end-but-padding", "progressive-444", "progressive", "ycck-420", "ycck"];
    let foreign: Vec<String> = foreign.iter().chain(&more).map(|name| format!("{name}.jpg")).collect();
    assert_eq!(left, foreign);
    assert!(own.len() >= 15, "{own:?}");
}
