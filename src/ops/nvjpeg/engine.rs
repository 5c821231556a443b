//! One of nvJPEG's backends with what it keeps between batches.

use std::ffi::{c_int, c_uchar};
use std::ptr::null_mut;
use std::sync::Arc;

use super::Picture;
use super::library::{COMPONENTS, Image, Library, Raw, Status};

/// Which of nvJPEG's implementations decodes: the numbers are `nvjpegBackend_t`'s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// Huffman codes on the GPU too, in large batches.
    GpuHybrid = 2,
    /// The engines that A100, H100 and their successors have beside their cores.
    Hardware = 3,
}

/// `NVJPEG_OUTPUT_RGBI`: three bytes a pixel, red first.
const RGB: c_int = 5;
/// `NVJPEG_FLAGS_UPSAMPLING_WITH_INTERPOLATION`: colours are interpolated, as libjpeg-turbo does, not repeated.
const SMOOTH: u32 = 1 << 5;

pub(super) struct Engine {
    library: Arc<Library>,
    handle: Raw,
    state: Raw,
    parser: Raw,
    /// The size that batches were last said to have; 0 for none.
    batch: usize,
    threads: c_int,
}

// SAFETY: nvJPEG's handles may be used from any thread, by one at a time, which `&mut` sees to.
unsafe impl Send for Engine {}

impl Engine {
    /// Makes what the backend needs; `threads` of the processor may help it. The device must be the thread's.
    ///
    /// # Errors
    /// nvJPEG's status: the GPU or this nvJPEG may lack the backend.
    pub fn new(library: &Arc<Library>, backend: Backend, threads: usize) -> Result<Self, Status> {
        let threads = c_int::try_from(threads).unwrap_or(c_int::MAX);
        let mut engine = Self {
            library: library.clone(),
            handle: null_mut(),
            state: null_mut(),
            parser: null_mut(),
            batch: 0,
            threads,
        };
        let functions = &library.functions;
        // SAFETY: no allocators of our own; what is made is written into the engine, whose drop takes it back.
        unsafe {
            success((functions.create)(backend as c_int, null_mut(), null_mut(), SMOOTH, &mut engine.handle))?;
            success((functions.create_state)(engine.handle, &mut engine.state))?;
            success((functions.create_parser)(engine.handle, &mut engine.parser))?;
        }
        Ok(engine)
    }

    /// Whether the file's header says what the picture's place was made for: nvJPEG writes as many pixels as that says.
    pub fn agrees(&self, picture: &Picture) -> bool {
        let (mut components, mut sampling) = (0, 0);
        let [mut widths, mut heights] = [[0; COMPONENTS]; 2];
        // SAFETY: the bytes are one slice; four ints each are what it may write.
        let status = unsafe {
            (self.library.functions.image_info)(
                self.handle,
                picture.bytes.as_ptr(),
                picture.bytes.len(),
                &mut components,
                &mut sampling,
                widths.as_mut_ptr(),
                heights.as_mut_ptr(),
            )
        };
        let same = |found: c_int, wanted: usize| usize::try_from(found) == Ok(wanted);
        status == Status::SUCCESS
            && matches!(components, 1 | 3)
            && same(widths[0], picture.width)
            && same(heights[0], picture.height)
    }

    /// Whether the backend decodes files like this one in batches.
    pub fn supports(&self, picture: &Picture) -> bool {
        let functions = &self.library.functions;
        let mut unsupported = -1;
        // SAFETY: the bytes are one slice; handle and parser are live.
        let status = unsafe {
            let bytes = (picture.bytes.as_ptr(), picture.bytes.len());
            match (functions.parse_header)(self.handle, bytes.0, bytes.1, self.parser) {
                Status::SUCCESS => (functions.is_supported)(self.handle, self.parser, &mut unsupported),
                failure => failure,
            }
        };
        status == Status::SUCCESS && unsupported == 0
    }

    /// Decodes all pictures, or says why not.
    ///
    /// # Safety
    /// [`Engine::agrees`] with every picture, and `stream` is one of the device that is this thread's.
    pub unsafe fn decode_batch(&mut self, pictures: &[&Picture], stream: Raw) -> Result<(), Status> {
        let functions = &self.library.functions;
        if self.batch != pictures.len() {
            self.batch = 0;
            let count = c_int::try_from(pictures.len()).unwrap_or(c_int::MAX);
            // SAFETY: handle and state are live.
            success(unsafe { (functions.begin_batch)(self.handle, self.state, count, self.threads, RGB) })?;
            self.batch = pictures.len();
        }
        let files: Vec<*const c_uchar> = pictures.iter().map(|picture| picture.bytes.as_ptr()).collect();
        let lengths: Vec<usize> = pictures.iter().map(|picture| picture.bytes.len()).collect();
        let mut images: Vec<Image> = pictures.iter().map(|picture| picture.image()).collect();
        // SAFETY: the arrays have as many entries as the batch was said to have; each image has room for its picture.
        let status = unsafe {
            (functions.decode_batch)(
                self.handle,
                self.state,
                files.as_ptr(),
                lengths.as_ptr(),
                images.as_mut_ptr(),
                stream,
            )
        };
        if status != Status::SUCCESS {
            // Beginning anew is what brings a failed batch's state back.
            self.batch = 0;
        }
        success(status)
    }

    /// Decodes one picture.
    ///
    /// # Safety
    /// As for [`Engine::decode_batch`].
    pub unsafe fn decode(&mut self, picture: &Picture, stream: Raw) -> Result<(), Status> {
        let (bytes, length) = (picture.bytes.as_ptr(), picture.bytes.len());
        let mut image = picture.image();
        self.batch = 0;
        // SAFETY: the bytes are one slice; the image has room for the picture.
        success(unsafe {
            (self.library.functions.decode)(self.handle, self.state, bytes, length, RGB, &mut image, stream)
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let functions = &self.library.functions;
        let parts = [
            (self.parser, functions.destroy_parser),
            (self.state, functions.destroy_state),
            (self.handle, functions.destroy),
        ];
        for (part, destroy) in parts {
            if !part.is_null() {
                // SAFETY: it was made by the library, and nothing uses it any more. A failure leaves nothing to do.
                unsafe { destroy(part) };
            }
        }
    }
}

fn success(status: Status) -> Result<(), Status> {
    if status == Status::SUCCESS { Ok(()) } else { Err(status) }
}
