// Depthwise convolution: each channel is filtered alone. depthwise.rs defines it.
//
// A launch filters a band of neighbouring channels with kernels of one side, so that the side is known to the compiler;
// a thread takes eight channels of a strip of outputs along a row, whose pixels it reads once for all of them. The
// band's weight is [K][K][band].

// out = activation(conv(input) + bias + residual) in the band's channels; `bias` and `residual` may be
// missing.
#define DEPTHWISE_PARAMETERS                                                                                        \
    const T *input, const T *weight, const float *bias, const T *residual, float slope, T *out, int batch,          \
        int height, int width, int channels, int out_height, int out_width, int first_channel, int band

template <int K, int STRIDE>
DEVICE void depthwise(DEPTHWISE_PARAMETERS) {
    // Outputs of a thread, `strip` of depthwise.rs, and the columns that they read.
    constexpr int STRIP = STRIDE == 1 ? 4 : 2, COLUMNS = (STRIP - 1) * STRIDE + K;
    int groups = band / EIGHT, strips = (out_width + STRIP - 1) / STRIP;
    int index = thread_index();
    if (index >= batch * out_height * strips * groups) return;
    int own = index % groups * EIGHT, channel = first_channel + own;
    index /= groups;
    int first = index % strips * STRIP, y = index / strips % out_height;
    long long image = index / strips / out_height;
    int left = first * STRIDE - K / 2, top = y * STRIDE - K / 2;

    Eight sums[STRIP];
#pragma unroll
    for (int at = 0; at < STRIP; at++) sums[at] = bias ? Eight::load(bias + channel) : Eight::filled(0.0f);
#pragma unroll 1
    for (int row = 0; row < K; row++) {
        int from = top + row;
        if (from < 0 || from >= height) continue;
        const T* line = input + (image * height + from) * width * channels + channel;
        Eight taps[K];
#pragma unroll
        for (int tap = 0; tap < K; tap++) taps[tap] = Eight::load(weight + (row * K + tap) * band + own);
#pragma unroll
        for (int column = 0; column < COLUMNS; column++) {
            int x = left + column;
            if (x < 0 || x >= width) continue;
            Eight pixel = Eight::load(line + static_cast<long long>(x) * channels);
#pragma unroll
            for (int at = 0; at < STRIP; at++) {
                int tap = column - at * STRIDE;
                if (tap < 0 || tap >= K) continue;
#pragma unroll
                for (int i = 0; i < EIGHT; i++) sums[at].at[i] += pixel.at[i] * taps[tap].at[i];
            }
        }
    }
    long long to = ((image * out_height + y) * out_width + first) * channels + channel;
#pragma unroll
    for (int at = 0; at < STRIP; at++, to += channels) {
        if (first + at >= out_width) break;
        if (residual) sums[at].add(Eight::load(residual + to));
        sums[at].activate(slope);
        sums[at].store(out + to);
    }
}

#define DEPTHWISE_ARGUMENTS                                                                                         \
    input, weight, bias, residual, slope, out, batch, height, width, channels, out_height, out_width, first_channel, band

KERNEL(depthwise_3_by_1, DEPTHWISE_PARAMETERS) { depthwise<3, 1>(DEPTHWISE_ARGUMENTS); }
KERNEL(depthwise_3_by_2, DEPTHWISE_PARAMETERS) { depthwise<3, 2>(DEPTHWISE_ARGUMENTS); }
KERNEL(depthwise_5_by_1, DEPTHWISE_PARAMETERS) { depthwise<5, 1>(DEPTHWISE_ARGUMENTS); }
KERNEL(depthwise_5_by_2, DEPTHWISE_PARAMETERS) { depthwise<5, 2>(DEPTHWISE_ARGUMENTS); }
KERNEL(depthwise_7_by_1, DEPTHWISE_PARAMETERS) { depthwise<7, 1>(DEPTHWISE_ARGUMENTS); }
KERNEL(depthwise_7_by_2, DEPTHWISE_PARAMETERS) { depthwise<7, 2>(DEPTHWISE_ARGUMENTS); }
KERNEL(depthwise_9_by_1, DEPTHWISE_PARAMETERS) { depthwise<9, 1>(DEPTHWISE_ARGUMENTS); }
KERNEL(depthwise_9_by_2, DEPTHWISE_PARAMETERS) { depthwise<9, 2>(DEPTHWISE_ARGUMENTS); }
KERNEL(depthwise_11_by_1, DEPTHWISE_PARAMETERS) { depthwise<11, 1>(DEPTHWISE_ARGUMENTS); }
KERNEL(depthwise_11_by_2, DEPTHWISE_PARAMETERS) { depthwise<11, 2>(DEPTHWISE_ARGUMENTS); }
#undef DEPTHWISE_PARAMETERS
#undef DEPTHWISE_ARGUMENTS
