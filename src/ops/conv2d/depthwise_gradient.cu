// The gradients of depthwise convolution. conv2d/depthwise.rs defines them; depthwise.cu goes forward.
//
// As forward, a launch takes a band of neighbouring channels with kernels of one side, [K][K][band].

// Pixels along a row that one thread takes: `STRIP` of depthwise.rs.
constexpr int STRIP = 4;

// out = the input's gradient + add, which may be missing and may be `out`. A thread makes eight channels of a strip; of
// the taps it visits those alone that an output was read by, so that a stride of 2 costs a quarter of the work.
#define INPUT_PARAMETERS                                                                                             \
    const T *gradient, const T *weight, const T *add, T *out, int batch, int height, int width, int channels,       \
        int out_height, int out_width, int first_channel, int band

template <int K, int STRIDE>
DEVICE void depthwise_input_gradient(INPUT_PARAMETERS) {
    // Columns of the gradient that reach a strip, counted from where its first pixel lies among them.
    constexpr int LEFT = -(K / 2 / STRIDE), RIGHT = (STRIP - 1 + K / 2) / STRIDE;
    int groups = band / EIGHT, strips = (width + STRIP - 1) / STRIP;
    int index = thread_index();
    if (index >= batch * height * strips * groups) return;
    int own = index % groups * EIGHT, channel = first_channel + own;
    index /= groups;
    int first = index % strips * STRIP, y = index / strips % height;
    long long image = index / strips / height;

    Eight sums[STRIP];
#pragma unroll
    for (int at = 0; at < STRIP; at++) sums[at] = Eight::filled(0.0f);
#pragma unroll 1
    for (int row = (y + K / 2) % STRIDE; row < K; row += STRIDE) {
        // The line of outputs that read this one by this row of taps.
        int from = (y + K / 2 - row) / STRIDE;
        if (y + K / 2 < row || from >= out_height) continue;
        const T* line = gradient + (image * out_height + from) * out_width * channels + channel;
        Eight taps[K];
#pragma unroll
        for (int tap = 0; tap < K; tap++) taps[tap] = Eight::load(weight + (row * K + tap) * band + own);
#pragma unroll
        for (int column = LEFT; column <= RIGHT; column++) {
            int x = first / STRIDE + column;
            if (x < 0 || x >= out_width) continue;
            Eight pixel = Eight::load(line + static_cast<long long>(x) * channels);
#pragma unroll
            for (int at = 0; at < STRIP; at++) {
                int tap = at + K / 2 - column * STRIDE;
                if (tap < 0 || tap >= K) continue;
#pragma unroll
                for (int i = 0; i < EIGHT; i++) sums[at].at[i] += pixel.at[i] * taps[tap].at[i];
            }
        }
    }
    long long to = ((image * height + y) * width + first) * channels + channel;
#pragma unroll
    for (int at = 0; at < STRIP; at++, to += channels) {
        if (first + at >= width) break;
        if (add) sums[at].add(Eight::load(add + to));
        sums[at].store(out + to);
    }
}

// Blocks' sums of the weight's gradient, [blocks][K][K][band], of `chunk` strips of outputs each. A block takes 32
// channels, eight a thread, and a thread one row of taps over every so many strips; sums then meet in shared memory, in
// one order. filter_parts.cu joins the blocks. Grid: chunks by blocks of 32 channels.
#define WEIGHT_PARAMETERS                                                                                            \
    const T *input, const T *gradient, float *sums, int batch, int height, int width, int channels, int out_height, \
        int out_width, int first_channel, int band, int chunk

constexpr int GROUPS = 4;
constexpr int BLOCK_CHANNELS = GROUPS * EIGHT;
constexpr int WORKERS = BLOCK / GROUPS;

template <int K, int STRIDE>
DEVICE void depthwise_weight_gradient(WEIGHT_PARAMETERS) {
    // Threads that share a row of taps and channels: `sets` of depthwise.rs.
    constexpr int SETS = WORKERS / K, COLUMNS = (STRIP - 1) * STRIDE + K;
    int group = threadIdx.x % GROUPS, worker = threadIdx.x / GROUPS, row = worker % K;
    int own = blockIdx.y * BLOCK_CHANNELS + group * EIGHT, channel = first_channel + own;
    int strips = (out_width + STRIP - 1) / STRIP, all = batch * out_height * strips;
    long long first = static_cast<long long>(blockIdx.x) * chunk, end = first + chunk < all ? first + chunk : all;

    Eight products[K];
#pragma unroll
    for (int tap = 0; tap < K; tap++) products[tap] = Eight::filled(0.0f);
    if (worker < SETS * K && own < band) {
#pragma unroll 1
        for (long long item = first + worker / K; item < end; item += SETS) {
            int strip = static_cast<int>(item), left = strip % strips * STRIP, y = strip / strips % out_height;
            long long image = strip / strips / out_height;
            int from = y * STRIDE - K / 2 + row;
            if (from < 0 || from >= height) continue;
            const T* outputs = gradient + ((image * out_height + y) * out_width + left) * channels + channel;
            const T* line = input + (image * height + from) * width * channels + channel;
            Eight pixels[STRIP];
#pragma unroll
            for (int at = 0; at < STRIP; at++) {
                bool inside = left + at < out_width;
                pixels[at] = inside ? Eight::load(outputs + static_cast<long long>(at) * channels) : Eight::filled(0.0f);
            }
#pragma unroll
            for (int column = 0; column < COLUMNS; column++) {
                int x = left * STRIDE - K / 2 + column;
                if (x < 0 || x >= width) continue;
                Eight value = Eight::load(line + static_cast<long long>(x) * channels);
#pragma unroll
                for (int at = 0; at < STRIP; at++) {
                    int tap = column - at * STRIDE;
                    if (tap < 0 || tap >= K) continue;
#pragma unroll
                    for (int i = 0; i < EIGHT; i++) products[tap].at[i] += value.at[i] * pixels[at].at[i];
                }
            }
        }
    }
    __shared__ float shared[WORKERS][BLOCK_CHANNELS];
    float* to = sums + static_cast<long long>(blockIdx.x) * K * K * band + blockIdx.y * BLOCK_CHANNELS;
    int left_over = band - static_cast<int>(blockIdx.y) * BLOCK_CHANNELS;
#pragma unroll
    for (int tap = 0; tap < K; tap++) {
        products[tap].store(&shared[worker][group * EIGHT]);
        __syncthreads();
        for (int at = threadIdx.x; at < K * BLOCK_CHANNELS; at += BLOCK) {
            int column = at % BLOCK_CHANNELS, line = at / BLOCK_CHANNELS;
            if (column >= left_over) continue;
            float sum = 0.0f;
            for (int set = 0; set < SETS; set++) sum += shared[set * K + line][column];
            to[static_cast<long long>(line * K + tap) * band + column] = sum;
        }
        __syncthreads();
    }
}

#define INPUT_ARGUMENTS                                                                                              \
    gradient, weight, add, out, batch, height, width, channels, out_height, out_width, first_channel, band
#define WEIGHT_ARGUMENTS                                                                                             \
    input, gradient, sums, batch, height, width, channels, out_height, out_width, first_channel, band, chunk

KERNEL(depthwise_input_gradient_3_by_1, INPUT_PARAMETERS) { depthwise_input_gradient<3, 1>(INPUT_ARGUMENTS); }
KERNEL(depthwise_input_gradient_3_by_2, INPUT_PARAMETERS) { depthwise_input_gradient<3, 2>(INPUT_ARGUMENTS); }
KERNEL(depthwise_input_gradient_5_by_1, INPUT_PARAMETERS) { depthwise_input_gradient<5, 1>(INPUT_ARGUMENTS); }
KERNEL(depthwise_input_gradient_5_by_2, INPUT_PARAMETERS) { depthwise_input_gradient<5, 2>(INPUT_ARGUMENTS); }
KERNEL(depthwise_input_gradient_7_by_1, INPUT_PARAMETERS) { depthwise_input_gradient<7, 1>(INPUT_ARGUMENTS); }
KERNEL(depthwise_input_gradient_7_by_2, INPUT_PARAMETERS) { depthwise_input_gradient<7, 2>(INPUT_ARGUMENTS); }
KERNEL(depthwise_input_gradient_9_by_1, INPUT_PARAMETERS) { depthwise_input_gradient<9, 1>(INPUT_ARGUMENTS); }
KERNEL(depthwise_input_gradient_9_by_2, INPUT_PARAMETERS) { depthwise_input_gradient<9, 2>(INPUT_ARGUMENTS); }
KERNEL(depthwise_input_gradient_11_by_1, INPUT_PARAMETERS) { depthwise_input_gradient<11, 1>(INPUT_ARGUMENTS); }
KERNEL(depthwise_input_gradient_11_by_2, INPUT_PARAMETERS) { depthwise_input_gradient<11, 2>(INPUT_ARGUMENTS); }

KERNEL(depthwise_weight_gradient_3_by_1, WEIGHT_PARAMETERS) { depthwise_weight_gradient<3, 1>(WEIGHT_ARGUMENTS); }
KERNEL(depthwise_weight_gradient_3_by_2, WEIGHT_PARAMETERS) { depthwise_weight_gradient<3, 2>(WEIGHT_ARGUMENTS); }
KERNEL(depthwise_weight_gradient_5_by_1, WEIGHT_PARAMETERS) { depthwise_weight_gradient<5, 1>(WEIGHT_ARGUMENTS); }
KERNEL(depthwise_weight_gradient_5_by_2, WEIGHT_PARAMETERS) { depthwise_weight_gradient<5, 2>(WEIGHT_ARGUMENTS); }
KERNEL(depthwise_weight_gradient_7_by_1, WEIGHT_PARAMETERS) { depthwise_weight_gradient<7, 1>(WEIGHT_ARGUMENTS); }
KERNEL(depthwise_weight_gradient_7_by_2, WEIGHT_PARAMETERS) { depthwise_weight_gradient<7, 2>(WEIGHT_ARGUMENTS); }
KERNEL(depthwise_weight_gradient_9_by_1, WEIGHT_PARAMETERS) { depthwise_weight_gradient<9, 1>(WEIGHT_ARGUMENTS); }
KERNEL(depthwise_weight_gradient_9_by_2, WEIGHT_PARAMETERS) { depthwise_weight_gradient<9, 2>(WEIGHT_ARGUMENTS); }
KERNEL(depthwise_weight_gradient_11_by_1, WEIGHT_PARAMETERS) { depthwise_weight_gradient<11, 1>(WEIGHT_ARGUMENTS); }
KERNEL(depthwise_weight_gradient_11_by_2, WEIGHT_PARAMETERS) { depthwise_weight_gradient<11, 2>(WEIGHT_ARGUMENTS); }
#undef INPUT_PARAMETERS
#undef WEIGHT_PARAMETERS
#undef INPUT_ARGUMENTS
#undef WEIGHT_ARGUMENTS
