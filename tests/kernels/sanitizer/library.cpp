// Where the shared variables and the constants of this library are: its symbol table and its segments tell.
#include <elf.h>
#include <link.h>

#include <cctype>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "spans.hpp"

namespace sanitizer {

namespace {

struct Library {
    uintptr_t base = 0;
    std::string path;
    std::vector<Named> constants;
};

const int own_address = 0;

// dl_iterate_phdr's callback: takes the library that this code is in.
int take_own(dl_phdr_info* info, size_t, void* data) {
    auto& library = *static_cast<Library*>(data);
    auto at = reinterpret_cast<uintptr_t>(&own_address) - info->dlpi_addr;
    bool own = false;
    std::vector<Named> constants;
    for (int number = 0; number < info->dlpi_phnum; number++) {
        const auto& segment = info->dlpi_phdr[number];
        if (segment.p_type != PT_LOAD) continue;
        own = own || (at >= segment.p_vaddr && at < segment.p_vaddr + segment.p_memsz);
        uintptr_t start = info->dlpi_addr + segment.p_vaddr;
        if (!(segment.p_flags & PF_W)) constants.push_back({start, start + segment.p_memsz, "constants"});
    }
    if (own) library = {info->dlpi_addr, info->dlpi_name, constants};
    return own;
}

const Library& library() {
    static const Library own = [] {
        Library found;
        dl_iterate_phdr(take_own, &found);
        return found;
    }();
    return own;
}

// `means` of _ZZ18batch_norm_momentsE5means, perhaps with _0 behind; empty where it is no kernel's variable.
std::string variable_of(const std::string& symbol) {
    if (symbol.rfind("_ZZ", 0) != 0 || symbol.rfind("_ZZN9sanitizer", 0) == 0) return "";
    for (size_t at = symbol.rfind('E'); at != std::string::npos && at > 0; at = symbol.rfind('E', at - 1)) {
        size_t digits = at + 1, length = 0;
        while (digits < symbol.size() && std::isdigit(static_cast<unsigned char>(symbol[digits]))) {
            length = length * 10 + (symbol[digits++] - '0');
        }
        if (length > 0 && digits + length <= symbol.size()) return symbol.substr(digits, length);
    }
    return "";
}

std::vector<Named> read_symbols() {
    std::ifstream file(library().path, std::ios::binary);
    std::string image{std::istreambuf_iterator<char>(file), {}};
    ElfW(Ehdr) header;
    if (image.size() < sizeof header) throw std::runtime_error("its library cannot be read");
    std::memcpy(&header, image.data(), sizeof header);
    std::vector<ElfW(Shdr)> sections(header.e_shnum);
    std::memcpy(sections.data(), image.data() + header.e_shoff, sections.size() * sizeof sections[0]);
    std::vector<Named> found;
    bool has_symbols = false;
    for (const auto& section : sections) {
        if (section.sh_type != SHT_SYMTAB) continue;
        has_symbols = true;
        const char* names = image.data() + sections[section.sh_link].sh_offset;
        for (size_t at = 0; at < section.sh_size; at += sizeof(ElfW(Sym))) {
            ElfW(Sym) symbol;
            std::memcpy(&symbol, image.data() + section.sh_offset + at, sizeof symbol);
            bool is_variable = ELF64_ST_TYPE(symbol.st_info) == STT_OBJECT && symbol.st_shndx < sections.size() &&
                               sections[symbol.st_shndx].sh_flags & SHF_WRITE;
            std::string name = variable_of(names + symbol.st_name);
            if (!is_variable || name.empty()) continue;
            uintptr_t start = library().base + symbol.st_value;
            found.push_back({start, start + symbol.st_size, "shared `" + name + "`"});
        }
    }
    if (!has_symbols) throw std::runtime_error("its library has no table of symbols");
    return found;
}

}  // namespace

const std::vector<Named>& shared_variables() {
    static const std::vector<Named> found = read_symbols();
    return found;
}

bool are_constants(uintptr_t at, size_t bytes) {
    for (const Named& segment : library().constants) {
        if (at >= segment.start && at + bytes <= segment.end) return true;
    }
    return false;
}

}  // namespace sanitizer
