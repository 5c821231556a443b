// Stochastic depth and drop-out. drop.rs defines them. What falls as a run is drawn by the host, single values of a map
// here.

// out = activation(branch * the image's scale + residual); `out` may be the branch.
KERNEL(join_scaled, const T* branch, const T* residual, const float* scales, float slope, T* out, int batch, int area,
       int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= batch * area * groups) return;
    long long at = static_cast<long long>(index) * EIGHT;
    float scale = scales[index / groups / area];
    Eight value = Eight::load(branch + at), more = Eight::load(residual + at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) value.at[i] = value.at[i] * scale + more.at[i];
    value.activate(slope);
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

// `mix` of the room `random`: SplitMix64.
DEVICE unsigned long long mix(unsigned long long state) {
    unsigned long long z = state + 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

// out = values * mask * scale; `out` may be `values`. A value falls where the bits of its place, counted over the
// network's own channels, lie below a bound: `draw` holds the stream and the bound.
KERNEL(dropout, const T* values, const unsigned long long* draw, float scale, T* out, int pixels, int channels,
       int width) {
    int groups = width / EIGHT, index = thread_index();
    if (index >= pixels * groups) return;
    int channel = index % groups * EIGHT;
    long long at = static_cast<long long>(index) * EIGHT, pixel = index / groups;
    unsigned long long stream = draw[0] + static_cast<unsigned long long>(pixel * channels + channel), bound = draw[1];
    Eight value = Eight::load(values + at);
#pragma unroll
    for (int i = 0; i < EIGHT; i++) {
        bool stays = channel + i < channels && mix(stream + i) >= bound;
        value.at[i] = stays ? value.at[i] * scale : 0.0f;
    }
    value.store(out + at);
}
