// Maxima over 3x3 windows of stride 2, padded by 1. max_pool.rs defines them.

// What of a window lies inside counts; a NaN stays.
KERNEL(max_pool_3x3, const T* input, T* out, int batch, int height, int width, int channels) {
    int groups = channels / EIGHT, out_height = (height + 1) / 2, out_width = (width + 1) / 2;
    int index = thread_index();
    if (index >= batch * out_height * out_width * groups) return;
    int channel = index % groups * EIGHT, pixel = index / groups;
    int x = pixel % out_width * 2, y = pixel / out_width % out_height * 2;
    long long image = pixel / out_width / out_height;
    Eight largest = Eight::filled(-INFINITY);
#pragma unroll
    for (int row = y - 1; row <= y + 1; row++) {
        if (row < 0 || row >= height) continue;
        const T* line = input + (image * height + row) * width * channels + channel;
#pragma unroll
        for (int column = x - 1; column <= x + 1; column++) {
            if (column < 0 || column >= width) continue;
            Eight value = Eight::load(line + static_cast<long long>(column) * channels);
#pragma unroll
            for (int i = 0; i < EIGHT; i++) {
                if (value.at[i] > largest.at[i] || isnan(value.at[i])) largest.at[i] = value.at[i];
            }
        }
    }
    largest.store(out + static_cast<long long>(index) * EIGHT);
}
