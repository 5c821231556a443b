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

// The same for the compiler, which makes a loop of its own for each way.
template <int THROUGH, bool CURVED = false>
struct Way {
    static constexpr int through = THROUGH;
    static constexpr bool is_curved = CURVED, in_place = THROUGH == SAVED;
};

// Does `work` by the way that a launch asks for.
template <typename Work>
DEVICE void by_way(int through, float slope, Work work) {
    if (through == DONE) {
        work(Way<DONE>());
    } else if (through == SAVED) {
        work(Way<SAVED>());
    } else if (through == OUTPUT) {
        work(Way<OUTPUT>());
    } else if (slope == SILU) {
        work(Way<AGAIN, true>());
    } else {
        work(Way<AGAIN>());
    }
}

// A place's gradient behind the activation, and what the norm's statistics are of: its input, or in place its result
// without the activation.
struct Place {
    Eight gradient, value;
};

// The way back through the activation, for a thread's channels.
template <typename Way>
struct WayBack {
    Eight scale, shift;
    float slope, inverse_slope;

    DEVICE WayBack(int channel, float slope, const float* scales, const float* shifts)
        : slope(slope), inverse_slope(Way::in_place ? 1.0f / slope : 1.0f) {
        if constexpr (Way::through == AGAIN) {
            scale = Eight::load(scales + channel);
            shift = Eight::load(shifts + channel);
        }
    }

    DEVICE Place place(const T* gradient, const T* saved, const T* output) const {
        Place place = {Eight::load(gradient), Eight::load(saved)};
        Eight sign = place.value;
        if constexpr (Way::through == OUTPUT) sign = Eight::load(output);
        if constexpr (Way::through == AGAIN) {
#pragma unroll
            for (int i = 0; i < EIGHT; i++) sign.at[i] = sign.at[i] * scale.at[i] + shift.at[i];
        }
        if constexpr (Way::is_curved) {
#pragma unroll
            for (int i = 0; i < EIGHT; i++) place.gradient.at[i] *= silu_slope(sign.at[i]);
        } else if constexpr (Way::through != DONE) {
            place.gradient.leak_back(sign, slope);
        }
        if constexpr (Way::in_place) {
#pragma unroll
            for (int i = 0; i < EIGHT; i++) place.value.at[i] *= place.value.at[i] < 0.0f ? inverse_slope : 1.0f;
        }
        return place;
    }
};

// What a centred value is multiplied by to be normalised: the inverse deviation, or in place the weight's inverse. The
// padding channels' weight is 0.
DEVICE float spread(float factor, bool in_place) {
    if (!in_place) return factor;
    return factor == 0.0f ? 0.0f : 1.0f / factor;
}

// Chunks' sums of the gradient and of its product with the normalised value, [chunks][2][channels]. By the way of OUTPUT
// the gradient behind the activation is written to `behind`, if given, which may be `gradient`. Grid: chunks by blocks of
// 64 channels.
KERNEL(batch_norm_gradient_sums, const T* gradient, const T* saved, const T* output, const float* scale,
       const float* shift, const float* centre, const float* factor, T* behind, float* sums, int through, float slope,
       int pixels, int channels, int chunk) {
    int channel = column_channel(), row = column_row();
    bool inside = channel < channels;
    long long first = static_cast<long long>(blockIdx.x) * chunk;
    long long end = first + chunk < pixels ? first + chunk : pixels;
    Eight sum = Eight::filled(0.0f), products = Eight::filled(0.0f);
    if (inside) {
        by_way(through, slope, [&](auto way) {
            WayBack<decltype(way)> back(channel, slope, scale, shift);
            Eight centres = Eight::load(centre + channel), spreads = Eight::load(factor + channel);
            auto place_of = [&](long long pixel) {
                long long at = pixel * channels + channel;
                return back.place(gradient + at, saved + at, output + at);
            };
            auto take = [&](long long pixel, const Place& place) {
                if constexpr (way.through == OUTPUT) {
                    if (behind) place.gradient.store(behind + pixel * channels + channel);
                }
                sum.add(place.gradient);
#pragma unroll
                for (int i = 0; i < EIGHT; i++) {
                    products.at[i] += place.gradient.at[i] * (place.value.at[i] - centres.at[i]);
                }
            };
            // Two at a time, so that enough is on its way from memory.
            long long pixel = first + row;
            for (; pixel + COLUMN_ROWS < end; pixel += 2 * COLUMN_ROWS) {
                Place one = place_of(pixel), other = place_of(pixel + COLUMN_ROWS);
                take(pixel, one);
                take(pixel + COLUMN_ROWS, other);
            }
            if (pixel < end) take(pixel, place_of(pixel));
#pragma unroll
            for (int i = 0; i < EIGHT; i++) products.at[i] *= spread(spreads.at[i], way.in_place);
        });
    }
    column_sum(sum);
    column_sum(products);
    if (inside && row == 0) {
        float* to = sums + static_cast<long long>(blockIdx.x) * 2 * channels + channel;
        sum.store(to);
        products.store(to + channels);
    }
}

// Adds the chunks' sums up: to the bias's and the weight's gradients, which are raised, and to the `factors` [3][channels]
// of the second pass. The input's gradient is (g - mean(g) - n * mean(g * n)) * weight * inverse, n being the normalised
// value, (value - centre) * spread: a sum of the gradient g and of the value, each times a factor, and of a third number.
// Grid: blocks of 32 channels.
PLAIN_KERNEL(batch_norm_gradient_finish, const float* sums, const float* centre, const float* factor,
             const float* weight, const float* inverse, float* factors, float* weight_gradient, float* bias_gradient,
             int in_place, int pixels, int channels, int chunk) {
    int lane = threadIdx.x % WARP, row = threadIdx.x / WARP, channel = blockIdx.x * WARP + lane;
    int chunks = (pixels + chunk - 1) / chunk;
    __shared__ double shared[2][BLOCK / WARP][WARP];
    double own[2] = {0.0, 0.0};
    if (channel < channels) {
#pragma unroll 8
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
    double of_gradient = static_cast<double>(weight[channel]) * inverse[channel];
    double of_value = -of_gradient * own[1] / pixels * spread(factor[channel], in_place);
    factors[channel] = static_cast<float>(of_gradient);
    factors[channels + channel] = static_cast<float>(of_value);
    factors[2 * channels + channel] = static_cast<float>(-of_gradient * own[0] / pixels - of_value * centre[channel]);
}

// The input's gradient by the factors; `out` may be `gradient`.
KERNEL(batch_norm_gradient_apply, const T* gradient, const T* saved, const T* output, const float* scale,
       const float* shift, const float* factors, T* out, int through, float slope, int pixels, int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= pixels * groups) return;
    int channel = index % groups * EIGHT;
    long long at = static_cast<long long>(index) * EIGHT;
    Eight of_gradient = Eight::load(factors + channel), of_value = Eight::load(factors + channels + channel);
    Eight offset = Eight::load(factors + 2 * channels + channel);
    by_way(through, slope, [&](auto way) {
        WayBack<decltype(way)> back(channel, slope, scale, shift);
        Place place = back.place(gradient + at, saved + at, output + at);
#pragma unroll
        for (int i = 0; i < EIGHT; i++) {
            place.gradient.at[i] *= of_gradient.at[i];
            place.gradient.at[i] += place.value.at[i] * of_value.at[i] + offset.at[i];
        }
        place.gradient.store(out + at);
    });
}
