//! JPEG through libjpeg-turbo, the decoder that Pillow uses, with the settings that it uses: the accurate integer
//! DCT and smooth upsampling. Pixels are identical.
//!
//! The bindings are used directly, since the safe layer takes every warning for a failure and drops what the header
//! said. A decompressor serves one picture: libjpeg keeps the tables of the last one, and a picture that lacks its
//! own would depend on which came before it.

use std::ffi::{CStr, c_int};

use anyhow::{Result, bail, ensure};
use turbojpeg::raw;

use super::check_size;
use super::jpeg_stream::Stream;
use crate::augment::Rgb;

/// More scans than any encoder writes; a file of thousands of empty ones takes minutes (libjpeg-turbo's fuzzers use
/// this limit).
const MOST_SCANS: c_int = 500;

/// How libjpeg's messages begin where it can go on, as Pillow then does (`jerror.h`, those named `JWRN`).
const WARNINGS: [&str; 6] = [
    "Corrupt JPEG data:",
    "Premature end of JPEG file",
    "Invalid SOS parameters for sequential JPEG",
    "Unknown Adobe color transform code",
    "Inconsistent progression sequence",
    "Warning: unknown JFIF revision",
];

/// What libjpeg says of data between the last row and the end marker.
const LEFT_OVER: &str = "extraneous bytes before marker 0xd9";

const CUT_OFF: &str = "the file is cut off";

/// Decodes a JPEG into `image`.
///
/// # Errors
///
/// Where Pillow has one: corrupt beyond going on, cut off, or too large.
pub fn decode(bytes: &[u8], image: &mut Rgb) -> Result<()> {
    let Some(warning) = decode_leniently(bytes, image)? else { return Ok(()) };
    let stream = Stream::walk(bytes);
    if !stream.ends {
        // Pillow hands data over as it comes and fails when that runs out before the last row is decoded. A second
        // attempt with an end marker tells: only behind the last row are bytes left over before it.
        ensure!(stream.one_scan, CUT_OFF);
        let ended = [bytes, b"\xff\xd9"].concat();
        let left_over = decode_leniently(&ended, image)?.is_some_and(|warning| warning.contains(LEFT_OVER));
        ensure!(left_over, CUT_OFF);
    }
    tracing::debug!("libjpeg: {warning}");
    Ok(())
}

/// Decodes as far as there is data, and returns the first warning.
fn decode_leniently(bytes: &[u8], image: &mut Rgb) -> Result<Option<String>> {
    let mut decompressor = Decompressor::new()?;
    let header = decompressor.read_header(bytes)?;
    check_size(header.width as u64, header.height as u64)?;
    let pixels = header.width * header.height;
    (image.width, image.height) = (header.width, header.height);
    if header.four_inks {
        let mut inks = vec![0; pixels * 4];
        let warning = decompressor.decode(bytes, &mut inks, header.width, raw::TJPF_TJPF_CMYK)?;
        image.pixels.clear();
        image.pixels.extend(inks.chunks_exact(4).flat_map(|ink| from_inks([ink[0], ink[1], ink[2], ink[3]])));
        Ok(warning)
    } else {
        image.pixels.resize(pixels * 3, 0);
        decompressor.decode(bytes, &mut image.pixels, header.width, raw::TJPF_TJPF_RGB)
    }
}

/// Pillow's `CMYK` to `RGB`, of inks that Adobe's habit stores inverted (Pillow supposes so of every JPEG).
fn from_inks([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let light = u32::from(black);
    [cyan, magenta, yellow].map(|stored| {
        let product = u32::from(255 - stored) * light + 128;
        // At most `light`, so this neither wraps nor leaves a byte.
        (light - (((product >> 8) + product) >> 8)) as u8
    })
}

struct Header {
    width: usize,
    height: usize,
    /// CMYK or YCCK.
    four_inks: bool,
}

/// A decompressor of libjpeg-turbo, for one picture.
struct Decompressor(raw::tjhandle);

impl Decompressor {
    fn new() -> Result<Self> {
        // SAFETY: no precondition; null is checked.
        let handle = unsafe { raw::tj3Init(raw::TJINIT_TJINIT_DECOMPRESS as c_int) };
        ensure!(!handle.is_null(), "out of memory");
        let decompressor = Self(handle);
        decompressor.set(raw::TJPARAM_TJPARAM_SCANLIMIT, MOST_SCANS);
        // No colour profile: it would only be copied.
        decompressor.set(raw::TJPARAM_TJPARAM_SAVEMARKERS, 0);
        Ok(decompressor)
    }

    fn set(&self, parameter: raw::TJPARAM, value: c_int) {
        // SAFETY: the handle is live. A parameter that this libjpeg-turbo does not know is refused without harm.
        unsafe { raw::tj3Set(self.0, parameter as c_int, value) };
    }

    fn get(&self, parameter: raw::TJPARAM) -> c_int {
        // SAFETY: the handle is live.
        unsafe { raw::tj3Get(self.0, parameter as c_int) }
    }

    fn read_header(&mut self, bytes: &[u8]) -> Result<Header> {
        // SAFETY: the handle is live; pointer and length are those of one slice.
        let status = unsafe { raw::tj3DecompressHeader(self.0, bytes.as_ptr(), bytes.len() as raw::size_t) };
        self.verdict(status)?;
        let side = |parameter| usize::try_from(self.get(parameter)).unwrap_or(0);
        let colours = self.get(raw::TJPARAM_TJPARAM_COLORSPACE);
        Ok(Header {
            width: side(raw::TJPARAM_TJPARAM_JPEGWIDTH),
            height: side(raw::TJPARAM_TJPARAM_JPEGHEIGHT),
            four_inks: [raw::TJCS_TJCS_CMYK, raw::TJCS_TJCS_YCCK].contains(&(colours as raw::TJCS)),
        })
    }

    /// Decodes the picture whose header was read into `pixels`, and returns the first warning.
    fn decode(&mut self, bytes: &[u8], pixels: &mut [u8], width: usize, format: raw::TJPF) -> Result<Option<String>> {
        let depth = if format == raw::TJPF_TJPF_CMYK { 4 } else { 3 };
        let height = usize::try_from(self.get(raw::TJPARAM_TJPARAM_JPEGHEIGHT)).unwrap_or(0);
        let pitch = c_int::try_from(width * depth)?;
        ensure!(pixels.len() >= width * depth * height, "corrupt: two headers that differ");
        // SAFETY: the handle is live; the input is one slice; the output has `height` rows of `pitch` bytes, of a
        // picture whose header the same bytes gave (the decoder reads them again, and they are borrowed throughout).
        let status = unsafe {
            raw::tj3Decompress8(
                self.0,
                bytes.as_ptr(),
                bytes.len() as raw::size_t,
                pixels.as_mut_ptr(),
                pitch,
                format as c_int,
            )
        };
        self.verdict(status)
    }

    /// Nothing, a warning, or a failure. The library's own code for that calls a failure after a warning a warning, so
    /// the message must tell.
    fn verdict(&self, status: c_int) -> Result<Option<String>> {
        if status == 0 {
            return Ok(None);
        }
        // SAFETY: the handle is live, and the library returns a string that ends in zero.
        let message = unsafe { CStr::from_ptr(raw::tj3GetErrorStr(self.0)) }.to_string_lossy().into_owned();
        if WARNINGS.iter().any(|start| message.starts_with(start)) {
            return Ok(Some(message));
        }
        bail!("corrupt: {message}")
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: the handle is live and not used again.
        unsafe { raw::tj3Destroy(self.0) };
    }
}

/// How a picture is made for a test.
#[cfg(test)]
pub struct Encoding {
    pub quality: c_int,
    pub sampling: raw::TJSAMP,
    pub colours: raw::TJCS,
    /// Units between restart markers; 0 for none.
    pub restart: c_int,
    pub optimised: bool,
}

#[cfg(test)]
impl Encoding {
    /// The file of an RGB picture.
    pub fn encode(&self, image: &Rgb) -> Vec<u8> {
        let parameters = [
            (raw::TJPARAM_TJPARAM_QUALITY, self.quality),
            (raw::TJPARAM_TJPARAM_SUBSAMP, self.sampling as c_int),
            (raw::TJPARAM_TJPARAM_COLORSPACE, self.colours as c_int),
            (raw::TJPARAM_TJPARAM_RESTARTBLOCKS, self.restart),
            (raw::TJPARAM_TJPARAM_OPTIMIZE, self.optimised.into()),
        ];
        let (mut file, mut length) = (std::ptr::null_mut(), 0);
        let (width, height) = (image.width as c_int, image.height as c_int);
        let format = raw::TJPF_TJPF_RGB as c_int;
        assert_eq!(image.pixels.len(), image.width * image.height * 3);
        // SAFETY: the handle lives until it is destroyed; the input has the rows that width and height say, without gaps;
        // the output is allocated by the library, copied, and freed as it says.
        unsafe {
            let handle = raw::tj3Init(raw::TJINIT_TJINIT_COMPRESS as c_int);
            for (parameter, value) in parameters {
                assert_eq!(raw::tj3Set(handle, parameter as c_int, value), 0, "{parameter} {value}");
            }
            let pixels = image.pixels.as_ptr();
            let status = raw::tj3Compress8(handle, pixels, width, 0, height, format, &mut file, &mut length);
            assert_eq!(status, 0);
            let bytes = std::slice::from_raw_parts(file, length as usize).to_vec();
            raw::tj3Free(file.cast());
            raw::tj3Destroy(handle);
            bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_mix_as_pillow_mixes_them() {
        // `Image.new("CMYK", (1, 1), (255 - c, 255 - m, 255 - y, 255 - k)).convert("RGB")`, Pillow 13.0.
        assert_eq!(from_inks([255, 255, 255, 255]), [255, 255, 255]);
        assert_eq!(from_inks([0, 128, 255, 255]), [0, 128, 255]);
        assert_eq!(from_inks([200, 100, 50, 128]), [100, 50, 25]);
        assert_eq!(from_inks([77, 13, 201, 99]), [30, 5, 78]);
        assert_eq!(from_inks([9, 8, 7, 0]), [0, 0, 0]);
    }
}
