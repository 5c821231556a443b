// Binary cross-entropy with its gradient: every class a question of its own. The room `loss` defines it.

// An image a block. Targets are a class of which `smoothing` is spread over all, or a weight for each class; with a
// `threshold` of at least 0 those above it become 1 and the others 0. `divisor` is what an image's sum is divided by to
// be its part of the mean over images: 1, or the classes. The gradient is that of the batch's mean times the loss scale;
// an image with a logit that is not finite has a loss and a gradient that are NaN.
PLAIN_KERNEL(binary_cross_entropy, const float* logits, const int* labels, const float* targets, float smoothing,
             float threshold, float positive_weight, float divisor, const float* loss_scale, float* losses, int* finite,
             float* gradient, int batch, int classes) {
    __shared__ float scratch[BLOCK / WARP];
    long long image = blockIdx.x;
    const float* own = logits + image * classes;
    float bad = 0.0f;
    for (int at = threadIdx.x; at < classes; at += BLOCK) {
        if (!isfinite(own[at])) bad = 1.0f;
    }
    bool all_finite = block_sum(bad, scratch) == 0.0f;
    float share = *loss_scale / (static_cast<float>(batch) * divisor), loss = 0.0f;
    for (int at = threadIdx.x; at < classes; at += BLOCK) {
        float target = targets ? targets[image * classes + at]
                               : (at == labels[image] ? 1.0f - smoothing : 0.0f) + smoothing / static_cast<float>(classes);
        if (threshold >= 0.0f) target = target > threshold ? 1.0f : 0.0f;
        float x = own[at], weight = 1.0f + (positive_weight - 1.0f) * target;
        // -log sigmoid(x), and sigmoid(x) - 1, without overflow on either side
        float decay = expf(-fabsf(x));
        float minus_log = log1pf(decay) + fmaxf(-x, 0.0f);
        float minus_other = x > 0.0f ? -decay / (1.0f + decay) : -1.0f / (1.0f + decay);
        loss += (1.0f - target) * x + weight * minus_log;
        gradient[image * classes + at] = all_finite ? share * (1.0f - target + weight * minus_other) : NAN;
    }
    loss = block_sum(loss, scratch);
    if (threadIdx.x == 0) {
        losses[image] = all_finite ? loss / divisor : NAN;
        finite[image] = all_finite;
    }
}
