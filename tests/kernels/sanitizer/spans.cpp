#include "spans.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <iterator>

namespace sanitizer {

namespace {

// The identifier that ends the parameter of that number.
std::string parameter_name(const char* parameters, size_t number) {
    std::string all = parameters;
    size_t from = 0;
    for (; number > 0; number--) from = all.find(',', from) + 1;
    std::string own = all.substr(from, all.find(',', from) - from);
    auto is_part = [](char letter) { return std::isalnum(static_cast<unsigned char>(letter)) || letter == '_'; };
    auto start = std::find_if_not(own.rbegin(), own.rend(), is_part).base();
    return std::string(start, own.end());
}

}  // namespace

// Makes cells, or divides those that there are.
void Span::divide(unsigned unit) {
    size_t count = ((end - base() - 1) >> unit) + 1;
    std::unique_ptr<Cell[], Free> finer(static_cast<Cell*>(std::calloc(count, sizeof(Cell))));
    if (!finer) give_up("no memory is left to watch it");
    for (size_t cell = 0; cells && cell < count; cell++) {
        // Whatever touched a cell touched all of it. Those that nobody touched take no memory until they are written.
        const Cell& coarse = cells[cell >> (granule - unit)];
        if (coarse.written || coarse.read) finer[cell] = coarse;
    }
    granule = unit;
    cells = std::move(finer);
}

std::vector<Named> buffers(const Kernel& kernel, void** arguments, const size_t* sizes) {
    std::vector<Named> found;
    for (size_t number = 0; number < kernel.signature.size(); number++) {
        uintptr_t start = 0;
        if (kernel.signature[number] == 'p') std::memcpy(&start, arguments[number], sizeof start);
        if (start == 0) continue;
        std::string place = "` (argument " + std::to_string(number) + ")";
        found.push_back({start, start + sizes[number], "`" + parameter_name(kernel.parameters, number) + place});
    }
    return found;
}

void Spans::begin_launch(const std::vector<Named>& buffers) {
    std::vector<Span> own;
    // Those of shared memory stay, whoever is launched: that an earlier block wrote something is no reason to read it.
    for (Span& span : spans) {
        if (span.shared) own.push_back(std::move(span));
    }
    if (own.empty()) {
        for (const Named& variable : shared_variables()) own.push_back({variable.start, variable.end, true});
    }
    auto in_order = [](const auto& left, const auto& right) { return left.start < right.start; };
    std::vector<Named> sorted = buffers;
    std::sort(sorted.begin(), sorted.end(), in_order);
    size_t first = own.size();
    for (const Named& buffer : sorted) {
        if (own.size() > first && buffer.start < own.back().end) {
            own.back().end = std::max(own.back().end, buffer.end);
        } else {
            own.push_back({buffer.start, buffer.end, false});
        }
    }
    std::sort(own.begin(), own.end(), in_order);
    spans = std::move(own);
    std::fill(std::begin(found), std::end(found), nullptr);
}

Span* Spans::find(uintptr_t at) {
    Span*& last = found[at / 1024 % std::size(found)];
    if (last && at >= last->start && at < last->end) return last;
    auto is_before = [](uintptr_t at, const Span& span) { return at < span.start; };
    auto after = std::upper_bound(spans.begin(), spans.end(), at, is_before);
    if (after == spans.begin() || at >= std::prev(after)->end) return nullptr;
    return last = &*std::prev(after);
}

void Spans::forget() {
    for (Span& span : spans) span.cells = nullptr;
}

}  // namespace sanitizer
