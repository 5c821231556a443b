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

// Each output's gradient goes to the first of its window's places, row by row, that holds the maximum.
KERNEL(max_pool_3x3_gradient, const T* gradient, const T* input, T* out, int batch, int height, int width,
       int channels) {
    int groups = channels / EIGHT, out_height = (height + 1) / 2, out_width = (width + 1) / 2;
    int index = thread_index();
    if (index >= batch * height * width * groups) return;
    int channel = index % groups * EIGHT, pixel = index / groups;
    int x = pixel % width, y = pixel / width % height;
    long long image = pixel / width / height;
    Eight sum = Eight::filled(0.0f);
    // The windows that this place is in.
    for (int out_y = y / 2; out_y <= (y + 1) / 2 && out_y < out_height; out_y++) {
        for (int out_x = x / 2; out_x <= (x + 1) / 2 && out_x < out_width; out_x++) {
            Eight largest = Eight::filled(0.0f), own = Eight::filled(0.0f);
            bool first = true;
            for (int row = 2 * out_y - 1; row <= 2 * out_y + 1; row++) {
                for (int column = 2 * out_x - 1; column <= 2 * out_x + 1; column++) {
                    if (row < 0 || row >= height || column < 0 || column >= width) continue;
                    Eight value = Eight::load(input + ((image * height + row) * width + column) * channels + channel);
                    float here = row == y && column == x ? 1.0f : 0.0f;
#pragma unroll
                    for (int i = 0; i < EIGHT; i++) {
                        if (!first && !(value.at[i] > largest.at[i]) && !isnan(value.at[i])) continue;
                        largest.at[i] = value.at[i];
                        own.at[i] = here;
                    }
                    first = false;
                }
            }
            Eight value = Eight::load(gradient + ((image * out_height + out_y) * out_width + out_x) * channels + channel);
#pragma unroll
            for (int i = 0; i < EIGHT; i++) sum.at[i] += own.at[i] == 0.0f ? 0.0f : value.at[i];
        }
    }
    sum.store(out + static_cast<long long>(index) * EIGHT);
}
