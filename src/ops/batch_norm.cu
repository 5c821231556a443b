// Batch norm with activation for training: statistics and the forward pass. batch_norm.rs defines it;
// batch_norm_gradient.cu goes back.

// Mean and sum of squared deviations of `count` values, each for eight channels.
struct Moments {
    Eight mean, squares;
    float count;
};

// Chan, Golub and LeVeque's union of two sets' moments.
DEVICE void join(Moments& into, const Moments& other) {
    float count = into.count + other.count;
    if (other.count == 0.0f) return;
    float share = other.count / count;
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        float delta = other.mean.at[i] - into.mean.at[i];
        into.mean.at[i] += delta * share;
        into.squares.at[i] += other.squares.at[i] + delta * delta * into.count * share;
    }
    into.count = count;
}

// Moments of chunks of `chunk` pixels: [chunks][2][channels], mean and sum of squared deviations. Grid: chunks by
// blocks of 64 channels.
KERNEL(batch_norm_moments, const T* values, float* moments, int pixels, int channels, int chunk) {
    int channel = column_channel(), row = column_row();
    bool inside = channel < channels;
    long long first = static_cast<long long>(blockIdx.x) * chunk;
    long long end = first + chunk < pixels ? first + chunk : pixels;
    Moments own = {Eight::filled(0.0f), Eight::filled(0.0f), 0.0f};
    if (inside && first + row < end) {
        // Shifted by a value of their own, the squares do not cancel, however large the mean is.
        Eight origin = Eight::load(values + (first + row) * channels + channel);
        for (long long pixel = first + row; pixel < end; pixel += COLUMN_ROWS) {
            Eight value = Eight::load(values + pixel * channels + channel);
#pragma unroll
            for (int i = 0; i < EIGHT; i++) {
                float shifted = value.at[i] - origin.at[i];
                own.mean.at[i] += shifted;
                own.squares.at[i] += shifted * shifted;
            }
            own.count += 1.0f;
        }
#pragma unroll
        for (int i = 0; i < EIGHT; i++) {
            float shifted = own.mean.at[i] / own.count;
            own.squares.at[i] -= own.mean.at[i] * shifted;
            own.mean.at[i] = origin.at[i] + shifted;
        }
    }
    __shared__ float means[COLUMN_ROWS / 2][COLUMN_CHANNELS];
    __shared__ float squares[COLUMN_ROWS / 2][COLUMN_CHANNELS];
    __shared__ float counts[COLUMN_ROWS / 2][COLUMN_GROUPS];
    int group = threadIdx.x % COLUMN_GROUPS;
    for (int half = COLUMN_ROWS / 2; half > 0; half /= 2) {
        if (row >= half && row < 2 * half) {
            own.mean.store(&means[row - half][group * EIGHT]);
            own.squares.store(&squares[row - half][group * EIGHT]);
            counts[row - half][group] = own.count;
        }
        __syncthreads();
        if (row < half) {
            Moments other = {Eight::load(&means[row][group * EIGHT]), Eight::load(&squares[row][group * EIGHT]),
                             counts[row][group]};
            join(own, other);
        }
        __syncthreads();
    }
    if (inside && row == 0) {
        float* to = moments + static_cast<long long>(blockIdx.x) * 2 * channels + channel;
        own.mean.store(to);
        own.squares.store(to + channels);
    }
}

// What ends the statistics of a channel, by whichever way its mean and biased variance were found.
DEVICE void finish_statistics(int channel, double mean, double variance, int pixels, float epsilon, float momentum,
                              const float* weight, const float* bias, float* means, float* inverses, float* scale,
                              float* shift, float* running_mean, float* running_variance) {
    float inverse = 1.0f / sqrtf(static_cast<float>(variance) + epsilon);
    means[channel] = static_cast<float>(mean);
    inverses[channel] = inverse;
    scale[channel] = weight[channel] * inverse;
    shift[channel] = bias[channel] - static_cast<float>(mean) * scale[channel];
    if (running_mean) {
        float unbiased = static_cast<float>(variance * pixels / (pixels - 1.0));
        running_mean[channel] += momentum * (static_cast<float>(mean) - running_mean[channel]);
        running_variance[channel] += momentum * (unbiased - running_variance[channel]);
    }
}

// Rows of threads that share a channel's chunks in the kernels below.
constexpr int FINISH_ROWS = 8;

// Joins the chunks' moments to statistics, and moves the running ones where there are any. Grid: blocks of 32 channels.
PLAIN_KERNEL(batch_norm_finish, const float* moments, const float* weight, const float* bias, float* means,
             float* inverses, float* scale, float* shift, float* running_mean, float* running_variance, int pixels,
             int channels, int chunk, float epsilon, float momentum) {
    int lane = threadIdx.x % WARP, row = threadIdx.x / WARP, channel = blockIdx.x * WARP + lane;
    int chunks = (pixels + chunk - 1) / chunk;
    __shared__ double shared[3][FINISH_ROWS][WARP];
    double count = 0.0, mean = 0.0, squares = 0.0;
    auto join = [&](double other_count, double other_mean, double other_squares) {
        if (other_count == 0.0) return;
        double delta = other_mean - mean, total = count + other_count;
        squares += other_squares + delta * delta * count * other_count / total;
        mean += delta * other_count / total;
        count = total;
    };
    if (channel < channels) {
        for (int at = row; at < chunks; at += FINISH_ROWS) {
            const float* from = moments + static_cast<long long>(at) * 2 * channels + channel;
            int left = pixels - at * chunk;
            join(left < chunk ? left : chunk, from[0], from[channels]);
        }
    }
    shared[0][row][lane] = count;
    shared[1][row][lane] = mean;
    shared[2][row][lane] = squares;
    __syncthreads();
    if (row > 0 || channel >= channels) return;
    for (int at = 1; at < FINISH_ROWS; at++) join(shared[0][at][lane], shared[1][at][lane], shared[2][at][lane]);
    finish_statistics(channel, mean, squares / count, pixels, epsilon, momentum, weight, bias, means, inverses, scale,
                      shift, running_mean, running_variance);
}

// The same out of sums and sums of squares, [channels] each, as a convolution's epilogue gives them.
PLAIN_KERNEL(batch_norm_finish_sums, const float* sums, const float* sums_of_squares, const float* weight,
             const float* bias, float* means, float* inverses, float* scale, float* shift, float* running_mean,
             float* running_variance, int pixels, int channels, float epsilon, float momentum) {
    int channel = thread_index();
    if (channel >= channels) return;
    double mean = static_cast<double>(sums[channel]) / pixels;
    double variance = static_cast<double>(sums_of_squares[channel]) / pixels - mean * mean;
    finish_statistics(channel, mean, variance > 0.0 ? variance : 0.0, pixels, epsilon, momentum, weight, bias, means,
                      inverses, scale, shift, running_mean, running_variance);
}

// out = activation(values * scale + shift + residual); `out` may be `values`, and `residual` may be missing.
KERNEL(batch_norm_apply, const T* values, const float* scale, const float* shift, const T* residual, float slope,
       T* out, int pixels, int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= pixels * groups) return;
    int channel = index % groups * EIGHT;
    long long at = static_cast<long long>(index) * EIGHT;
    Eight value = Eight::load(values + at), factor = Eight::load(scale + channel), sum = Eight::load(shift + channel);
    Eight more = Eight::filled(0.0f);
    if (residual) more = Eight::load(residual + at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) value.at[i] = value.at[i] * factor.at[i] + sum.at[i] + more.at[i];
    value.activate(slope);
    value.store(out + at);
}
