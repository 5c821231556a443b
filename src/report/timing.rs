//! Where an evaluation's time went, and what it waited for.

use std::time::Duration;

use serde::Serialize;

use super::count;

/// Where the time went.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Timing {
    /// Wall time from the first image to the last.
    pub seconds: f64,
    /// Counted images in that time.
    pub img_per_sec: f64,
    /// What the loader's threads worked, divided by their number: the wall time of loading alone.
    pub loading_seconds: f64,
    /// The network's wall time.
    pub computing_seconds: f64,
    /// How long the network stood waiting for images. The rest of loading hid behind computing.
    pub waiting_seconds: f64,
    /// `loading` or `computing`, whichever takes longer.
    pub bottleneck: &'static str,
    /// Threads of the loader.
    pub workers: usize,
    /// What decodes JPEGs: `cpu`, or `gpu` for those that it takes.
    pub decode: &'static str,
    /// Images that the GPU decoded.
    pub decoded_on_gpu: usize,
    /// Wall time that their decoding and resizing there took, beside the threads' work.
    pub gpu_decoding_seconds: f64,
}

impl Timing {
    /// Of a run over `images` images: its wall time, the network's, all the loader's threads' together, and what the
    /// network waited for them.
    pub fn new(
        images: usize,
        elapsed: Duration,
        computing: Duration,
        busy: Duration,
        waited: Duration,
        workers: usize,
    ) -> Self {
        let loading = busy.as_secs_f64() / workers.max(1) as f64;
        let (seconds, computing) = (elapsed.as_secs_f64(), computing.as_secs_f64());
        Self {
            seconds,
            img_per_sec: images as f64 / seconds.max(f64::MIN_POSITIVE),
            loading_seconds: loading,
            computing_seconds: computing,
            waiting_seconds: waited.as_secs_f64(),
            bottleneck: if loading > computing { "loading" } else { "computing" },
            workers,
            decode: "cpu",
            decoded_on_gpu: 0,
            gpu_decoding_seconds: 0.0,
        }
    }

    /// The same of a run in which the GPU decoded `images` images in `took`, while threads loaded the next ones.
    pub fn with_gpu_decoding(self, images: usize, took: Duration) -> Self {
        let decoding = took.as_secs_f64();
        let loading = self.loading_seconds.max(decoding);
        let bottleneck = if loading > self.computing_seconds { "loading" } else { "computing" };
        Self { decode: "gpu", decoded_on_gpu: images, gpu_decoding_seconds: decoding, bottleneck, ..self }
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let Self {
            seconds, img_per_sec, loading_seconds, computing_seconds, waiting_seconds, bottleneck, workers, ..
        } = self;
        let workers = count(*workers, "thread");
        let on_gpu = match self.decode {
            "gpu" => {
                let images = count(self.decoded_on_gpu, "image");
                format!(" and {:.2} s on the GPU ({images})", self.gpu_decoding_seconds)
            }
            _ => String::new(),
        };
        format!(
            "{img_per_sec:.1} img/s in {seconds:.2} s; computing {computing_seconds:.2} s, loading beside it \
             {loading_seconds:.2} s ({workers}){on_gpu}, of which {waiting_seconds:.2} s were waited for; the slower is \
             {bottleneck}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottleneck_is_what_takes_longest_of_all_three() {
        let seconds = Duration::from_secs;
        // Threads load for four seconds, the network computes for five.
        let own = Timing::new(8, seconds(6), seconds(5), seconds(8), seconds(1), 2);
        assert_eq!((own.bottleneck, own.decode), ("computing", "cpu"));
        let on_gpu = own.with_gpu_decoding(7, seconds(6));
        assert_eq!((on_gpu.bottleneck, on_gpu.decode, on_gpu.decoded_on_gpu), ("loading", "gpu", 7));
        assert!(on_gpu.line().contains("4.00 s (2 threads) and 6.00 s on the GPU (7 images)"), "{}", on_gpu.line());
        assert_eq!(own.with_gpu_decoding(7, seconds(2)).bottleneck, "computing");
        assert_eq!(Timing::new(8, seconds(6), seconds(5), seconds(12), seconds(1), 2).bottleneck, "loading");
    }
}
