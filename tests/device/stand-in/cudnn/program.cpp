// Programs: between memory and f32, and to text and back.
#include "program.hpp"

#include <cmath>
#include <cstring>
#include <set>
#include <sstream>
#include <stdexcept>

#include "operations.hpp"

namespace {

float read(const char* from, Type type) {
    if (type == Type::F32) return *reinterpret_cast<const float*>(from);
    if (type == Type::F16) return static_cast<float>(*reinterpret_cast<const _Float16*>(from));
    uint32_t bits = static_cast<uint32_t>(*reinterpret_cast<const uint16_t*>(from)) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

void write(float value, char* to, Type type) {
    if (type == Type::F32) {
        *reinterpret_cast<float*>(to) = value;
    } else if (type == Type::F16) {
        *reinterpret_cast<_Float16*>(to) = static_cast<_Float16>(value);
    } else {
        uint32_t bits;
        std::memcpy(&bits, &value, sizeof bits);
        bool is_nan = std::isnan(value);
        *reinterpret_cast<uint16_t*>(to) = is_nan ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    }
}

// Tells of each element its place in NHWC and its byte in memory.
template <typename Tell>
void each(const Tensor& tensor, Tell tell) {
    auto [batch, channels, height, width] = tensor.dims;
    auto [image, channel, row, pixel] = tensor.strides;
    size_t size = tensor.type == Type::F32 ? 4 : 2, at = 0;
    for (int64_t n = 0; n < batch; n++) {
        for (int64_t h = 0; h < height; h++) {
            for (int64_t w = 0; w < width; w++) {
                for (int64_t c = 0; c < channels; c++) {
                    tell(at++, (n * image + c * channel + h * row + w * pixel) * size);
                }
            }
        }
    }
}

}  // namespace

void Program::run(const std::map<int64_t, char*>& addresses) const {
    std::vector<Values> values(tensors.size());
    std::set<int> written;
    for (const Operation& operation : operations) {
        size_t results = operation.kind == Operation::STATISTICS      ? 2
                         : operation.kind == Operation::NORM_GRADIENT ? 5
                                                                      : 1;
        size_t given = operation.places.size() - results;
        for (size_t at = 0; at < operation.places.size(); at++) {
            int place = operation.places[at];
            const Tensor& tensor = tensors[place];
            if (at >= given) {
                values[place].assign(tensor.elements(), 0.0f);
                written.insert(place);
            } else if (values[place].empty()) {
                values[place].resize(tensor.elements());
                const char* from = addresses.at(tensor.id);
                each(tensor, [&](size_t to, size_t byte) { values[place][to] = read(from + byte, tensor.type); });
            }
        }
        compute(operation, tensors, values);
    }
    for (int place : written) {
        const Tensor& tensor = tensors[place];
        if (tensor.is_virtual) continue;
        char* to = addresses.at(tensor.id);
        each(tensor, [&](size_t from, size_t byte) { write(values[place][from], to + byte, tensor.type); });
    }
}

std::string Program::text() const {
    std::ostringstream out;
    out << "stand-in " << tensors.size() << ' ' << operations.size();
    auto put = [&](auto& values) {
        for (auto value : values) out << ' ' << value;
    };
    for (const Tensor& tensor : tensors) {
        put(tensor.dims);
        put(tensor.strides);
        out << ' ' << static_cast<int>(tensor.type) << ' ' << tensor.id << ' ' << tensor.is_virtual;
    }
    for (const Operation& own : operations) {
        out << ' ' << own.kind << ' ' << own.places.size();
        put(own.places);
        put(own.convolution.padding);
        put(own.convolution.stride);
        out << ' ' << static_cast<int>(own.mode) << ' ' << own.slope;
    }
    return out.str();
}

Program Program::of(const std::string& text) {
    std::istringstream in(text);
    std::string word;
    size_t tensors, operations;
    in >> word >> tensors >> operations;
    if (!in || word != "stand-in" || tensors > 100 || operations > 100) throw std::invalid_argument("no plan");
    Program program{std::vector<Tensor>(tensors), std::vector<Operation>(operations)};
    auto get = [&](auto& values) {
        for (auto& value : values) in >> value;
    };
    for (Tensor& tensor : program.tensors) {
        int type;
        get(tensor.dims);
        get(tensor.strides);
        in >> type >> tensor.id >> tensor.is_virtual;
        tensor.type = static_cast<Type>(type);
    }
    for (Operation& own : program.operations) {
        int kind, mode;
        size_t places;
        in >> kind >> places;
        if (!in || places > 100) throw std::invalid_argument("no plan");
        own.kind = static_cast<Operation::Kind>(kind);
        own.places.resize(places);
        get(own.places);
        get(own.convolution.padding);
        get(own.convolution.stride);
        in >> mode >> own.slope;
        own.mode = static_cast<Mode>(mode);
    }
    if (!in) throw std::invalid_argument("a torn plan");
    return program;
}
