// What the host runtime says when a kernel breaks CUDA's rules, and where.
#pragma once

#include <cstring>
#include <source_location>
#include <stdexcept>
#include <string>

namespace fastsciml::core::host {

using Where = std::source_location;

struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline std::string line_of(const Where& where) {
  const std::string file = where.file_name();
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(where.line());
}
inline bool same_line(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         (a.file_name() == b.file_name() || std::strcmp(a.file_name(), b.file_name()) == 0);
}

inline std::string name(unsigned thread) { return "thread " + std::to_string(thread); }

}  // namespace fastsciml::core::host
