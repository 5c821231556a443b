// Blur-pool: reflection by 1, [1 2 1] x [1 2 1] / 16, every second pixel. blur_pool.rs defines it.

// Outputs along a row that one thread makes: neighbours share a column of sums.
constexpr int STRIP = 4;

// `at`, one beyond either end reflected.
DEVICE int reflected(int at, int size) { return at < 0 ? 1 : (at >= size ? size - 2 : at); }

// [batch, height, width, channels] to half of each side, rounded up. With `bias`, what is read is
// activation(input + bias): the end of the convolution before.
KERNEL(blur_pool, const T* input, const float* bias, float slope, T* out, int batch, int height, int width,
       int channels) {
    int groups = channels / EIGHT, out_height = (height + 1) / 2, out_width = (width + 1) / 2;
    int strips = (out_width + STRIP - 1) / STRIP;
    int index = thread_index();
    if (index >= batch * out_height * strips * groups) return;
    int channel = index % groups * EIGHT;
    index /= groups;
    int first = index % strips * STRIP;
    index /= strips;
    int y = index % out_height;
    long long image = index / out_height;

    const T* rows[3];
#pragma unroll
    for (int tap = 0; tap < 3; tap++) {
        long long row = image * height + reflected(2 * y + tap - 1, height);
        rows[tap] = input + row * width * channels + channel;
    }
    Eight shift = Eight::filled(0.0f);
    if (bias) shift = Eight::load(bias + channel);

    // The weighted sum of a column's three pixels.
    auto column = [&](int x) {
        long long at = static_cast<long long>(reflected(x, width)) * channels;
        Eight sum = Eight::filled(0.0f);
#pragma unroll
        for (int tap = 0; tap < 3; tap++) {
            Eight pixel = Eight::load(rows[tap] + at);
            if (bias) {
                pixel.add(shift);
                pixel.activate(slope);
            }
            sum.add(pixel, tap == 1 ? 2.0f : 1.0f);
        }
        return sum;
    };

    int last = first + STRIP < out_width ? first + STRIP : out_width;
    T* to = out + ((image * out_height + y) * out_width + first) * channels + channel;
    Eight left = column(2 * first - 1);
    for (int x = first; x < last; x++, to += channels) {
        Eight centre = column(2 * x), right = column(2 * x + 1);
        left.add(centre, 2.0f);
        left.add(right);
#pragma unroll
        for (int i = 0; i < EIGHT; i++) left.at[i] *= 1.0f / 16.0f;
        left.store(to);
        left = right;
    }
}

// With which weight output `output` along a side reads place `at`.
DEVICE float weight_of(int output, int at, int size) {
    float weight = 0.0f;
#pragma unroll
    for (int tap = 0; tap < 3; tap++) {
        if (reflected(2 * output + tap - 1, size) == at) weight += tap == 1 ? 2.0f : 1.0f;
    }
    return weight;
}

// The input's gradient, [batch, height, width, channels], out of the output's.
KERNEL(blur_pool_gradient, const T* gradient, T* out, int batch, int height, int width, int channels) {
    int groups = channels / EIGHT, out_height = (height + 1) / 2, out_width = (width + 1) / 2;
    int index = thread_index();
    if (index >= batch * height * width * groups) return;
    int channel = index % groups * EIGHT;
    int pixel = index / groups, x = pixel % width, y = pixel / width % height;
    long long image = pixel / width / height;

    Eight sum = Eight::filled(0.0f);
    // Only these two outputs of a side may read a place.
    for (int row = y / 2; row <= y / 2 + 1 && row < out_height; row++) {
        float vertical = weight_of(row, y, height);
        if (vertical == 0.0f) continue;
        for (int col = x / 2; col <= x / 2 + 1 && col < out_width; col++) {
            float weight = vertical * weight_of(col, x, width) * (1.0f / 16.0f);
            if (weight == 0.0f) continue;
            sum.add(Eight::load(gradient + ((image * out_height + row) * out_width + col) * channels + channel), weight);
        }
    }
    sum.store(out + static_cast<long long>(pixel) * channels + channel);
}
