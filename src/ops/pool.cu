// Average pools. pool.rs defines them.

// Means over 2x2 windows of stride 2; a window that hangs over the border counts what lies inside.
KERNEL(average_pool_2x2, const T* input, T* out, int batch, int height, int width, int channels) {
    int groups = channels / EIGHT, out_height = (height + 1) / 2, out_width = (width + 1) / 2;
    int index = thread_index();
    if (index >= batch * out_height * out_width * groups) return;
    int channel = index % groups * EIGHT, pixel = index / groups;
    int x = pixel % out_width * 2, y = pixel / out_width % out_height * 2;
    long long image = pixel / out_width / out_height;
    int right = x + 1 < width ? x + 1 : x, bottom = y + 1 < height ? y + 1 : y;
    const T* top_row = input + (image * height + y) * width * channels + channel;
    const T* bottom_row = input + (image * height + bottom) * width * channels + channel;
    // A missing neighbour is its own mirror: the mean of what is there.
    Eight sum = Eight::load(top_row + static_cast<long long>(x) * channels);
    sum.add(Eight::load(top_row + static_cast<long long>(right) * channels));
    sum.add(Eight::load(bottom_row + static_cast<long long>(x) * channels));
    sum.add(Eight::load(bottom_row + static_cast<long long>(right) * channels));
#pragma unroll
    for (int i = 0; i < EIGHT; i++) sum.at[i] *= 0.25f;
    sum.store(out + static_cast<long long>(index) * EIGHT);
}

KERNEL(average_pool_2x2_gradient, const T* gradient, T* out, int batch, int height, int width, int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= batch * height * width * groups) return;
    int channel = index % groups * EIGHT, pixel = index / groups;
    int x = pixel % width, y = pixel / width % height;
    long long image = pixel / width / height;
    float rows = (y ^ 1) < height ? 2.0f : 1.0f, columns = (x ^ 1) < width ? 2.0f : 1.0f;
    long long from = (image * ((height + 1) / 2) + y / 2) * ((width + 1) / 2) + x / 2;
    Eight value = Eight::filled(0.0f);
    value.add(Eight::load(gradient + from * channels + channel), 1.0f / (rows * columns));
    value.store(out + static_cast<long long>(index) * EIGHT);
}

// Means over all positions of an image, in `splits` parts that are to be added up: [splits][batch][channels]. Grid:
// images by blocks of 64 channels by splits.
KERNEL(global_average_pool, const T* input, float* out, int batch, int area, int channels, int splits) {
    int channel = column_channel();
    long long image = blockIdx.x;
    Eight sum = Eight::filled(0.0f);
    if (channel < channels) {
        const T* from = input + image * area * channels + channel;
#pragma unroll 4
        for (int at = blockIdx.z * COLUMN_ROWS + column_row(); at < area; at += splits * COLUMN_ROWS) {
            sum.add(Eight::load(from + static_cast<long long>(at) * channels));
        }
    }
    column_sum(sum);
    if (channel < channels && column_row() == 0) {
#pragma unroll
        for (int i = 0; i < EIGHT; i++) sum.at[i] *= 1.0f / static_cast<float>(area);
        sum.store(out + (static_cast<long long>(blockIdx.z) * batch + image) * channels + channel);
    }
}

KERNEL(global_average_pool_gradient, const float* gradient, T* out, int batch, int area, int channels) {
    int groups = channels / EIGHT, index = thread_index();
    if (index >= batch * area * groups) return;
    int channel = index % groups * EIGHT, pixel = index / groups;
    Eight value = Eight::filled(0.0f);
    value.add(Eight::load(gradient + static_cast<long long>(pixel / area) * channels + channel),
              1.0f / static_cast<float>(area));
    value.store(out + static_cast<long long>(index) * EIGHT);
}
