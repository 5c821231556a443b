// Stochastic depth and drop-out: runs of values times scales, which the host has drawn. drop.rs defines them.

// out = activation(branch * the image's scale + residual); `out` may be the branch.
KERNEL(join_scaled, const T* branch, const T* residual, const float* scales, float slope, T* out, int batch, int area,
       int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= batch * area * groups) return;
    long long at = static_cast<long long>(index) * EIGHT;
    float scale = scales[index / groups / area];
    Eight value = Eight::load(branch + at), more = Eight::load(residual + at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) value.at[i] = activate(value.at[i] * scale + more.at[i], slope);
    value.store(out + at);
}

// out = values * the image's scale.
KERNEL(scale_images, const T* values, const float* scales, T* out, int batch, int area, int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= batch * area * groups) return;
    long long at = static_cast<long long>(index) * EIGHT;
    Eight value = Eight::load(values + at);
    float scale = scales[index / groups / area];
#pragma unroll
    for (int i = 0; i < EIGHT; i++) value.at[i] *= scale;
    value.store(out + at);
}

// out [rows][width] = values * scales [rows][channels]; padding stays 0. `out` may be `values`.
PLAIN_KERNEL(scale_values, const float* values, const float* scales, float* out, int rows, int channels, int width) {
    int index = thread_index();
    if (index >= rows * width) return;
    int row = index / width, channel = index % width;
    out[index] = channel < channels ? values[index] * scales[row * channels + channel] : 0.0f;
}
