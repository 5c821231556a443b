// Cross-entropy beside the Jensen-Shannon divergence of an image's predictions, with their gradient. The room `loss`
// defines them.

// The divergence's weight, and what the mixture is kept above: those of the room `loss`.
constexpr float ALPHA = 12.0f;
constexpr float SMALLEST_MIXTURE = 1e-7f;
// Splits that a launch may have: it checks them.
constexpr int MOST_SPLITS = 16;

// An image a block, in all its splits; logits are [splits][images][classes], labels those of the first split, of which
// `smoothing` is spread over all classes. Each split's row is told the image's loss. The gradient is that of the mean over
// images times the loss scale; an image with a logit that is not finite has a loss and gradients that are NaN.
PLAIN_KERNEL(jensen_shannon, const float* logits, const int* labels, float smoothing, const float* loss_scale,
             float* losses, int* finite, float* gradient, int images, int splits, int classes) {
    __shared__ float scratch[BLOCK / WARP];
    // Of each split what its logits are lowered by to be logarithms of probabilities.
    float offsets[MOST_SPLITS];
    long long image = blockIdx.x;
    auto row = [=](int split) { return (static_cast<long long>(split) * images + image) * classes; };
    float bad = 0.0f;
    for (int split = 0; split < splits; split++) {
        const float* own = logits + row(split);
        float largest = -INFINITY, sum = 0.0f;
        for (int at = threadIdx.x; at < classes; at += BLOCK) {
            largest = fmaxf(largest, own[at]);
            if (!isfinite(own[at])) bad = 1.0f;
        }
#pragma unroll
        for (int step = WARP / 2; step > 0; step /= 2) {
            largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, step));
        }
        __syncthreads();
        if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = largest;
        __syncthreads();
        for (int warp = 0; warp < BLOCK / WARP; warp++) largest = fmaxf(largest, scratch[warp]);
        for (int at = threadIdx.x; at < classes; at += BLOCK) sum += expf(own[at] - largest);
        offsets[split] = largest + logf(block_sum(sum, scratch));
    }
    bool all_finite = block_sum(bad, scratch) == 0.0f;
    auto log_probability = [&](int split, int at) { return logits[row(split) + at] - offsets[split]; };
    auto mixture = [&](int at) {
        float sum = 0.0f;
        for (int split = 0; split < splits; split++) sum += expf(log_probability(split, at));
        return sum / static_cast<float>(splits);
    };
    auto target = [=](int at) {
        return (at == labels[image] ? 1.0f - smoothing : 0.0f) + smoothing / static_cast<float>(classes);
    };
    float loss = 0.0f, weight = ALPHA / static_cast<float>(splits);
    float share = *loss_scale / static_cast<float>(images);
    for (int split = 0; split < splits; split++) {
        // The derivative at a probability; through the mixture it is -1 where that is not held.
        auto derivative = [&](int at, float mixed) {
            float held = mixed < SMALLEST_MIXTURE ? 1.0f : 0.0f;
            return log_probability(split, at) - logf(fmaxf(mixed, SMALLEST_MIXTURE)) + held;
        };
        float mean = 0.0f;
        for (int at = threadIdx.x; at < classes; at += BLOCK) {
            float log_p = log_probability(split, at), p = expf(log_p), mixed = mixture(at);
            mean += p * derivative(at, mixed);
            loss += weight * p * (log_p - logf(fmaxf(mixed, SMALLEST_MIXTURE)));
            if (split == 0 && target(at) != 0.0f) loss -= target(at) * log_p;
        }
        mean = block_sum(mean, scratch);
        for (int at = threadIdx.x; at < classes; at += BLOCK) {
            float p = expf(log_probability(split, at));
            float own = weight * p * (derivative(at, mixture(at)) - mean);
            if (split == 0) own += p - target(at);
            gradient[row(split) + at] = all_finite ? share * own : NAN;
        }
    }
    loss = block_sum(loss, scratch);
    for (int split = threadIdx.x; split < splits; split += BLOCK) {
        losses[split * images + image] = all_finite ? loss : NAN;
        finite[split * images + image] = all_finite;
    }
}
