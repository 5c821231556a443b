// Clipping of gradients that are still scaled, value by value or unit by unit. clip.rs defines it; the room `optim` is its
// reference. What is not finite stays so: it is found behind this, and nothing is stepped then.

// Each to at most `most` in magnitude.
PLAIN_KERNEL(clip_values, float* gradients, const float* state, float most, int count) {
    long long at = static_cast<long long>(thread_index()) * EIGHT;
    if (at >= count) return;
    float limit = most * state[SCALE];
    Eight gradient = Eight::load(gradients + at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        float g = gradient.at[i];
        if (isfinite(g)) gradient.at[i] = fminf(fmaxf(g, -limit), limit);
    }
    gradient.store(gradients + at);
}

// Each unit's gradient to at most `factor` of its values' norm; a unit a block. `units` holds first element and length.
PLAIN_KERNEL(clip_units, const float* values, float* gradients, const float* state, const int* units, float factor) {
    __shared__ double scratch[BLOCK / WARP];
    // Of norms that are smaller, and between a divisor and 0: those of the room `optim`.
    constexpr double smallest = 1e-3, epsilon = 1e-6;
    const float* own = values + units[2 * blockIdx.x];
    float* gradient = gradients + units[2 * blockIdx.x];
    int len = units[2 * blockIdx.x + 1];
    float inverse = 1.0f / state[SCALE];
    double held = 0.0, step = 0.0;
    for (int at = threadIdx.x; at < len; at += BLOCK) {
        double value = own[at], slope = gradient[at] * inverse;
        held += value * value;
        step += slope * slope;
    }
    held = sqrt(block_sum(held, scratch));
    step = sqrt(block_sum(step, scratch));
    double most = (held > smallest ? held : smallest) * factor;
    if (!isfinite(step) || step < most) return;
    float scale = static_cast<float>(most / (step > epsilon ? step : epsilon));
    for (int at = threadIdx.x; at < len; at += BLOCK) gradient[at] *= scale;
}
