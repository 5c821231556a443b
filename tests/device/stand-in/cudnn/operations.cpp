// Convolutions in their three directions, what is computed of one value after the other, and sums.
#include "operations.hpp"

#include <cmath>
#include <cstring>

namespace {

// A convolution's sizes; weights are [outputs][rows][columns][inputs of a group].
struct Geometry {
    int64_t batch, height, width, channels, out_height, out_width, outputs, rows, columns, inputs;
    Convolution own;

    Geometry(const Tensor& x, const Tensor& w, const Tensor& y, const Convolution& own)
        : batch(x.dims[0]), height(x.dims[2]), width(x.dims[3]), channels(x.dims[1]), out_height(y.dims[2]),
          out_width(y.dims[3]), outputs(w.dims[0]), rows(w.dims[2]), columns(w.dims[3]), inputs(w.dims[1]), own(own) {}

    int64_t groups() const { return channels / inputs; }
    int64_t taps() const { return rows * columns * inputs; }

    // Tells of each output pixel its number and, group by group, which of the group's inputs it sees by each tap: null
    // beyond the edge.
    template <typename Value, typename Tell>
    void each(Value* x, Tell tell) const {
        std::vector<Value*> seen(rows * columns);
        for (int64_t pixel = 0; pixel < batch * out_height * out_width; pixel++) {
            int64_t left = pixel % out_width * own.stride[1] - own.padding[1];
            int64_t top = pixel / out_width % out_height * own.stride[0] - own.padding[0];
            int64_t image = pixel / out_width / out_height;
            for (int64_t group = 0; group < groups(); group++) {
                for (int64_t tap = 0; tap < rows * columns; tap++) {
                    int64_t row = top + tap / columns, column = left + tap % columns;
                    bool inside = row >= 0 && row < height && column >= 0 && column < width;
                    int64_t at = ((image * height + row) * width + column) * channels + group * inputs;
                    seen[tap] = inside ? x + at : nullptr;
                }
                tell(pixel, group, seen);
            }
        }
    }
};

// As tensor cores read f32: the first 10 bits behind the leading one, rounded to nearest, ties away from zero (TF32).
Values multiplied(const Tensor& tensor, const Values& values) {
    Values result = values;
    if (tensor.type != Type::F32) return result;
    for (float& value : result) {
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        if (std::isfinite(value)) bits = (bits + 0x1000) & ~0x1fffu;
        std::memcpy(&value, &bits, sizeof bits);
    }
    return result;
}

void forward(const Geometry& sizes, const Values& x, const Values& w, Values& y) {
    std::vector<float> patch(sizes.taps());
    int64_t share = sizes.outputs / sizes.groups();
    sizes.each(x.data(), [&](int64_t pixel, int64_t group, auto& seen) {
        for (size_t tap = 0; tap < seen.size(); tap++) {
            float* to = &patch[tap * sizes.inputs];
            if (seen[tap]) std::memcpy(to, seen[tap], sizes.inputs * sizeof(float));
            if (!seen[tap]) std::fill_n(to, sizes.inputs, 0.0f);
        }
        for (int64_t k = group * share; k < (group + 1) * share; k++) {
            const float* filter = &w[k * sizes.taps()];
            float sum = 0;
            for (int64_t at = 0; at < sizes.taps(); at++) sum += patch[at] * filter[at];
            y[pixel * sizes.outputs + k] = sum;
        }
    });
}

// Both gradients: `add` is given an output's gradient, the inputs that it came from and the place of their filter.
template <typename Add>
void backward(const Geometry& sizes, float* x, const Values& dy, Add add) {
    int64_t share = sizes.outputs / sizes.groups();
    sizes.each(x, [&](int64_t pixel, int64_t group, auto& seen) {
        for (int64_t k = group * share; k < (group + 1) * share; k++) {
            float gradient = dy[pixel * sizes.outputs + k];
            for (size_t tap = 0; tap < seen.size(); tap++) {
                if (seen[tap]) add(gradient, seen[tap], (k * static_cast<int64_t>(seen.size()) + tap) * sizes.inputs);
            }
        }
    });
}

float pointwise(const Operation& own, float x, float b) {
    switch (own.mode) {
        case Mode::ADD: return x + b;
        case Mode::MUL: return x * b;
        case Mode::SUB: return x - b;
        case Mode::IDENTITY: return x;
        case Mode::RELU: return x < 0 ? static_cast<float>(own.slope) * x : x;
        case Mode::SIGMOID: return 1 / (1 + std::exp(-x));
        case Mode::SWISH: return x / (1 + std::exp(-x));
        // The output that went forward, then its gradient.
        case Mode::RELU_BACKWARD: return x > 0 ? b : static_cast<float>(own.slope) * b;
    }
    return NAN;
}

// Tells of each value of a tensor its place, and that of its counterpart in one that may have one value for many.
template <typename Tell>
void each_pair(const Tensor& own, const Tensor& other, Tell tell) {
    auto [batch, channels, height, width] = own.dims;
    auto [images, depth, rows, columns] = other.dims;
    int64_t at = 0;
    for (int64_t n = 0; n < batch; n++) {
        for (int64_t h = 0; h < height; h++) {
            for (int64_t w = 0; w < width; w++) {
                int64_t pixel = ((n % images * rows) + h % rows) * columns + w % columns;
                bool one = depth == 1;
                for (int64_t c = 0; c < channels; c++) tell(at++, pixel * depth + (one ? 0 : c));
            }
        }
    }
}

}  // namespace

void compute(const Operation& operation, const std::vector<Tensor>& tensors, std::vector<Values>& values) {
    auto tensor = [&](int at) -> const Tensor& { return tensors[operation.places[at]]; };
    auto value = [&](int at) -> Values& { return values[operation.places[at]]; };
    switch (operation.kind) {
        // x, w -> y
        case Operation::FORWARD:
            return forward({tensor(0), tensor(1), tensor(2), operation.convolution}, multiplied(tensor(0), value(0)),
                           multiplied(tensor(1), value(1)), value(2));
        // dy, w -> dx
        case Operation::INPUT_GRADIENT: {
            Geometry sizes{tensor(2), tensor(1), tensor(0), operation.convolution};
            const Values w = multiplied(tensor(1), value(1)), dy = multiplied(tensor(0), value(0));
            return backward(sizes, value(2).data(), dy, [&](float gradient, float* dx, int64_t filter) {
                for (int64_t c = 0; c < sizes.inputs; c++) dx[c] += gradient * w[filter + c];
            });
        }
        // x, dy -> dw
        case Operation::WEIGHT_GRADIENT: {
            Geometry sizes{tensor(0), tensor(2), tensor(1), operation.convolution};
            Values x = multiplied(tensor(0), value(0)), &dw = value(2);
            return backward(sizes, x.data(), multiplied(tensor(1), value(1)), [&](float gradient, float* x, int64_t filter) {
                for (int64_t c = 0; c < sizes.inputs; c++) dw[filter + c] += gradient * x[c];
            });
        }
        // x, perhaps b -> y
        case Operation::POINTWISE: {
            int last = static_cast<int>(operation.places.size()) - 1;
            const Values &x = value(0), &b = value(last - 1);
            Values& y = value(last);
            each_pair(tensor(last), tensor(last - 1), [&](int64_t at, int64_t pair) {
                y[at] = pointwise(operation, x[at], last > 1 ? b[pair] : 0);
            });
            return;
        }
        // x -> y
        case Operation::SUM:
            return each_pair(tensor(0), tensor(1),
                             [&x = value(0), &y = value(1)](int64_t at, int64_t sum) { y[sum] += x[at]; });
        // x -> sum, squares
        case Operation::STATISTICS:
            return each_pair(tensor(0), tensor(1), [&, &x = value(0), &sums = value(1), &squares = value(2)](
                                                       int64_t at, int64_t channel) {
                sums[channel] += operation.factor * x[at];
                squares[channel] += operation.factor * x[at] * x[at];
            });
        // x, dy, mean, inverse, weight -> weight's and bias's gradients, factors of dy and x, what is added
        case Operation::NORM_GRADIENT: {
            const Values &x = value(0), &dy = value(1), &mean = value(2), &inverse = value(3), &weight = value(4);
            Values &weight_gradient = value(5), &bias_gradient = value(6);
            each_pair(tensor(0), tensor(5), [&](int64_t at, int64_t channel) {
                bias_gradient[channel] += operation.factor * dy[at];
                weight_gradient[channel] += operation.factor * dy[at] * (x[at] - mean[channel]) * inverse[channel];
            });
            float pixels = static_cast<float>(x.size()) / mean.size();
            for (size_t at = 0; at < mean.size(); at++) {
                float of_dy = weight[at] * inverse[at], of_x = -of_dy * weight_gradient[at] / pixels * inverse[at];
                value(7)[at] = of_dy;
                value(8)[at] = of_x;
                value(9)[at] = -of_dy * bias_gradient[at] / pixels - of_x * mean[at];
            }
            return;
        }
    }
}
