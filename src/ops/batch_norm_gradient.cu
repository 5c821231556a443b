// The gradient of batch norm with activation: two passes over the feature map. batch_norm.rs defines it.
//
// What was saved is either the norm's input, normalised by (value - mean) * inverse, or its result, from which the
// normalised value comes back by (value without its activation - bias) / weight.

// How the gradient gets through the activation.
enum Through {
    // It has been already: the slope is 1.
    DONE = 0,
    // By the sign of the saved result.
    SAVED = 1,
    // By the sign of `output`, which a residual was added to.
    OUTPUT = 2,
    // By saved * scale + shift, which is what the activation was given: its sign, or for SiLU itself.
    AGAIN = 3,
};

// A place's gradient behind the activation, and its normalised value.
struct Place {
    Eight gradient, normalised;
};

// The per-channel numbers of a thread.
struct Channels {
    Eight centre, factor, scale, shift;

    DEVICE Channels(int channel, int in_place, int through, const float* centres, const float* factors,
                    const float* scales, const float* shifts) {
        centre = Eight::load(centres + channel);
        factor = Eight::load(factors + channel);
        if (in_place) {
#pragma unroll
            // The padding channels' weight is 0.
            for (int i = 0; i < EIGHT; i++) factor.at[i] = factor.at[i] == 0.0f ? 0.0f : 1.0f / factor.at[i];
        }
        if (through == AGAIN) {
            scale = Eight::load(scales + channel);
            shift = Eight::load(shifts + channel);
        }
    }

    DEVICE Place place(const T* gradient, const T* saved, const T* output, int in_place, int through, float slope) const {
        Place place = {Eight::load(gradient), Eight::load(saved)};
        Eight sign = place.normalised;
        if (through == OUTPUT) sign = Eight::load(output);
        float inverse_slope = in_place ? 1.0f / slope : 1.0f;
#pragma unroll
        for (int i = 0; i < EIGHT; i++) {
            float value = place.normalised.at[i];
            if (through == AGAIN) sign.at[i] = value * scale.at[i] + shift.at[i];
            if (slope == SILU) {
                place.gradient.at[i] *= silu_slope(sign.at[i]);
            } else if (!(sign.at[i] > 0.0f)) {
                place.gradient.at[i] *= slope;
            }
            if (value < 0.0f) value *= inverse_slope;
            place.normalised.at[i] = (value - centre.at[i]) * factor.at[i];
        }
        return place;
    }
};

// Chunks' sums of the gradient and of its product with the normalised value, [chunks][2][channels]. With `behind` the
// gradient behind the activation is written there; it may be `gradient`. Grid: chunks by blocks of 64 channels.
KERNEL(batch_norm_gradient_sums, const T* gradient, const T* saved, const T* output, const float* centre,
       const float* factor, const float* scale, const float* shift, T* behind, float* sums, int in_place, int through,
       float slope, int pixels, int channels, int chunk) {
    int channel = column_channel(), row = column_row();
    bool inside = channel < channels;
    long long first = static_cast<long long>(blockIdx.x) * chunk;
    long long end = first + chunk < pixels ? first + chunk : pixels;
    Eight sum = Eight::filled(0.0f), products = Eight::filled(0.0f);
    if (inside) {
        Channels own(channel, in_place, through, centre, factor, scale, shift);
        for (long long pixel = first + row; pixel < end; pixel += COLUMN_ROWS) {
            long long at = pixel * channels + channel;
            Place place = own.place(gradient + at, saved + at, output + at, in_place, through, slope);
            if (behind) place.gradient.store(behind + at);
            sum.add(place.gradient);
#pragma unroll
            for (int i = 0; i < EIGHT; i++) products.at[i] += place.gradient.at[i] * place.normalised.at[i];
        }
    }
    column_sum(sum);
    column_sum(products);
    if (inside && row == 0) {
        float* to = sums + static_cast<long long>(blockIdx.x) * 2 * channels + channel;
        sum.store(to);
        products.store(to + channels);
    }
}

// Adds the chunks' sums up: to the bias's and the weight's gradients, which are raised, and as `means` [2][channels]
// over the pixels. Grid: blocks of 32 channels.
PLAIN_KERNEL(batch_norm_gradient_finish, const float* sums, float* means, float* weight_gradient, float* bias_gradient,
             int pixels, int channels, int chunk) {
    int lane = threadIdx.x % WARP, row = threadIdx.x / WARP, channel = blockIdx.x * WARP + lane;
    int chunks = (pixels + chunk - 1) / chunk;
    __shared__ double shared[2][BLOCK / WARP][WARP];
    double own[2] = {0.0, 0.0};
    if (channel < channels) {
        for (int at = row; at < chunks; at += BLOCK / WARP) {
            const float* from = sums + static_cast<long long>(at) * 2 * channels + channel;
            own[0] += from[0];
            own[1] += from[channels];
        }
    }
    shared[0][row][lane] = own[0];
    shared[1][row][lane] = own[1];
    __syncthreads();
    if (row > 0 || channel >= channels) return;
    for (int at = 1; at < BLOCK / WARP; at++) {
        own[0] += shared[0][at][lane];
        own[1] += shared[1][at][lane];
    }
    bias_gradient[channel] += static_cast<float>(own[0]);
    weight_gradient[channel] += static_cast<float>(own[1]);
    means[channel] = static_cast<float>(own[0] / pixels);
    means[channels + channel] = static_cast<float>(own[1] / pixels);
}

// The input's gradient, (g - mean(g) - normalised * mean(g * normalised)) * weight * inverse; `out` may be `gradient`.
KERNEL(batch_norm_gradient_apply, const T* gradient, const T* saved, const T* output, const float* centre,
       const float* factor, const float* scale, const float* shift, const float* means, const float* weight,
       const float* inverse, T* out, int in_place, int through, float slope, int pixels, int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= pixels * groups) return;
    int channel = index % groups * EIGHT;
    long long at = static_cast<long long>(index) * EIGHT;
    Channels own(channel, in_place, through, centre, factor, scale, shift);
    Place place = own.place(gradient + at, saved + at, output + at, in_place, through, slope);
    Eight mean = Eight::load(means + channel), product = Eight::load(means + channels + channel);
    Eight weights = Eight::load(weight + channel), inverses = Eight::load(inverse + channel);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        float rest = place.gradient.at[i] - mean.at[i] - place.normalised.at[i] * product.at[i];
        place.gradient.at[i] = rest * weights.at[i] * inverses.at[i];
    }
    place.gradient.store(out + at);
}
