// Squeeze-and-excitation: the gate of each image, its use, and both backward. squeeze_excite.rs defines it; the means
// come from pool.cu, the gradients of the weights from linear.cu.

// What fits the shared memory of a block: launches check it.
constexpr int MOST_CHANNELS = 4096;
constexpr int MOST_HIDDEN = 1024;

constexpr int WARPS = BLOCK / WARP;
// Rows of a matrix that a warp multiplies at a time, so that it waits for memory once for all of them.
constexpr int ROWS = 8;

// The products of rows `first`, `first + WARPS` and so on below `end` of a matrix [end][length] with a vector: that of
// the first in lane 0, that of the next in lane 1. Lanes from ROWS on, and those of rows from `end` on, get some other.
DEVICE float row_products(const float* matrix, const float* vector, int first, int end, int length) {
    int lane = threadIdx.x % WARP;
    const float* rows[ROWS];
    float sums[ROWS];
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        int at = first + row * WARPS;
        rows[row] = matrix + static_cast<long long>(at < end ? at : end - 1) * length;
        sums[row] = 0.0f;
    }
#pragma unroll 4
    for (int at = lane; at < length; at += WARP) {
#pragma unroll
        for (int row = 0; row < ROWS; row++) sums[row] += rows[row][at] * vector[at];
    }
    float own = 0.0f;
#pragma unroll
    for (int row = 0; row < ROWS; row++) {
        float sum = warp_sum(sums[row]);
        if (lane == row) own = sum;
    }
    return own;
}

// gates = sigmoid(expand(between(reduce(mean)))), an image a block. `parts` holds the means in `splits` parts. The mean
// and the hidden values are written for the gradient, and where `reduced` is given, what `between` was given.
PLAIN_KERNEL(squeeze_excite_gate, const float* parts, const float* reduce, const float* reduce_bias,
             const float* expand, const float* expand_bias, float between, float* mean, float* reduced, float* hidden,
             float* gates, int splits, int batch, int channels, int hidden_size) {
    __shared__ float shared_mean[MOST_CHANNELS];
    __shared__ float shared_hidden[MOST_HIDDEN];
    long long image = blockIdx.x;
    for (int channel = threadIdx.x; channel < channels; channel += BLOCK) {
        float sum = 0.0f;
        for (int split = 0; split < splits; split++) sum += parts[(split * batch + image) * channels + channel];
        shared_mean[channel] = sum;
        mean[image * channels + channel] = sum;
    }
    __syncthreads();
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int first = warp; first < hidden_size; first += ROWS * WARPS) {
        float given = row_products(reduce, shared_mean, first, hidden_size, channels);
        int at = first + lane * WARPS;
        if (lane >= ROWS || at >= hidden_size) continue;
        given += reduce_bias[at];
        float value = activate(given, between);
        if (reduced) reduced[image * hidden_size + at] = given;
        shared_hidden[at] = value;
        hidden[image * hidden_size + at] = value;
    }
    __syncthreads();
    for (int first = warp; first < channels; first += ROWS * WARPS) {
        float sum = row_products(expand, shared_hidden, first, channels, hidden_size);
        int channel = first + lane * WARPS;
        if (lane >= ROWS || channel >= channels) continue;
        gates[image * channels + channel] = 1.0f / (1.0f + expf(-sum - expand_bias[channel]));
    }
}

// out = activation(input * gate + residual); `out` may be either, and `residual` may be missing.
KERNEL(squeeze_excite_apply, const T* input, const float* gates, const T* residual, float slope, T* out, int batch,
       int area, int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= batch * area * groups) return;
    int channel = index % groups * EIGHT;
    long long at = static_cast<long long>(index) * EIGHT, image = index / groups / area;
    Eight value = Eight::load(input + at), gate = Eight::load(gates + image * channels + channel);
    Eight more = Eight::filled(0.0f);
    if (residual) more = Eight::load(residual + at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) value.at[i] = value.at[i] * gate.at[i] + more.at[i];
    value.activate(slope);
    value.store(out + at);
}

// Takes the gradient through the activation, in place, by the sign of `output`, and sums its products with the input
// over each image in `splits` parts: [splits][batch][channels]. Grid: images by blocks of 64 channels by splits.
KERNEL(squeeze_excite_sums, T* gradient, const T* output, const T* input, float slope, float* parts, int batch,
       int area, int channels, int splits) {
    int channel = column_channel();
    long long image = blockIdx.x;
    Eight sum = Eight::filled(0.0f);
    if (channel < channels) {
        for (int place = blockIdx.z * COLUMN_ROWS + column_row(); place < area; place += splits * COLUMN_ROWS) {
            long long at = (image * area + place) * channels + channel;
            Eight value = Eight::load(gradient + at), x = Eight::load(input + at);
            if (slope != 1.0f) {
                value.leak_back(Eight::load(output + at), slope);
                value.store(gradient + at);
            }
#pragma unroll
            for (int i = 0; i < EIGHT; i++) sum.at[i] += value.at[i] * x.at[i];
        }
    }
    column_sum(sum);
    if (channel < channels && column_row() == 0) {
        sum.store(parts + (static_cast<long long>(blockIdx.z) * batch + image) * channels + channel);
    }
}

// From those sums back through the gate, an image a block: the gradients of what the sigmoid took, of what `between`
// took, and of each position of the input by way of the mean. SiLU goes back by `reduced`, others by `hidden`.
PLAIN_KERNEL(squeeze_excite_gate_gradient, const float* parts, const float* gates, const float* reduced,
             const float* hidden, const float* reduce, const float* expand, float between, float* expand_gradient,
             float* hidden_gradient, float* position_gradient, int splits, int batch, int area, int channels,
             int hidden_size) {
    __shared__ float shared_gates[MOST_CHANNELS];
    __shared__ float shared_hidden[MOST_HIDDEN];
    __shared__ float sums[WARPS][WARP];
    long long image = blockIdx.x;
    for (int channel = threadIdx.x; channel < channels; channel += BLOCK) {
        float sum = 0.0f, gate = gates[image * channels + channel];
        for (int split = 0; split < splits; split++) sum += parts[(split * batch + image) * channels + channel];
        sum *= gate * (1.0f - gate);
        shared_gates[channel] = sum;
        expand_gradient[image * channels + channel] = sum;
    }
    __syncthreads();
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    for (int first = 0; first < hidden_size; first += WARP) {
        int at = first + lane;
        float sum = 0.0f;
        if (at < hidden_size) {
            for (int channel = warp; channel < channels; channel += WARPS) {
                sum += expand[static_cast<long long>(channel) * hidden_size + at] * shared_gates[channel];
            }
        }
        sums[warp][lane] = sum;
        __syncthreads();
        if (warp == 0 && at < hidden_size) {
            for (int other = 1; other < WARPS; other++) sum += sums[other][lane];
            if (between == SILU) {
                sum *= silu_slope(reduced[image * hidden_size + at]);
            } else if (!(hidden[image * hidden_size + at] > 0.0f)) {
                sum *= between;
            }
            shared_hidden[at] = sum;
            hidden_gradient[image * hidden_size + at] = sum;
        }
        __syncthreads();
    }
    for (int channel = threadIdx.x; channel < channels; channel += BLOCK) {
        float sum = 0.0f;
        for (int at = 0; at < hidden_size; at++) {
            sum += reduce[static_cast<long long>(at) * channels + channel] * shared_hidden[at];
        }
        position_gradient[image * channels + channel] = sum / static_cast<float>(area);
    }
}

// The input's gradient: gradient * gate + position_gradient; `out` may be `gradient`.
KERNEL(squeeze_excite_gradient_apply, const T* gradient, const float* gates, const float* position_gradient, T* out,
       int batch, int area, int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= batch * area * groups) return;
    int channel = index % groups * EIGHT;
    long long at = static_cast<long long>(index) * EIGHT, own = index / groups / area * channels + channel;
    Eight value = Eight::load(gradient + at), gate = Eight::load(gates + own);
    Eight more = Eight::load(position_gradient + own);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) value.at[i] = value.at[i] * gate.at[i] + more.at[i];
    value.store(out + at);
}
