// u = A^-1 f on the CPU; formula and shapes in spectral/operators.h.
//
// Lanes of a vector are neighbouring columns, so transforms along x and y take their values as they lie in memory;
// along z W rows are transposed to lanes first. Three passes, each reading and writing the box once:
//   1. per plane of constant x: along y, then along z. The result stays transposed: [nx][ny / W][nz][W], the last
//      block of rows narrower. Nothing after it cares, and two of four transpositions are saved.
//   2. per tile of columns: along x, the division by the eigenvalues, along x back
//   3. per plane: along z and y back
// A plane (512 KiB at 256 x 256 in float64) and a tile stay in the L2 cache, a line's W sequences in L1. Tiles are
// copied to dense memory: columns of power-of-two stride would share few places of the caches.
// A sheet (one axis of extent 1) goes row by row where a box goes plane by plane; a lone line has one lane to itself.
//
// Measured at 128^3 and 256^3, arithmetic and the L1 and L2 caches take most of the time, not memory: writing past the
// caches, prefetching the next plane and reading planes without copying them first gain nothing.

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/cache.h"
#include "core/pages.h"
#include "core/parallel.h"
#include "spectral/axis_transform.h"
#include "spectral/operators.h"

namespace fastsciml::spectral {
namespace {

// Bytes of a row of a tile of columns: enough for memory to deliver well, few enough for a tile to stay in L2.
constexpr int64_t kTileRowBytes = 512;

template <class T>
using Values = std::vector<T>;

template <class T>
struct Axis {
  std::shared_ptr<const AxisTransform<T>> transform;
  const T* eigenvalues;  // [extent]

  int64_t extent() const { return transform->extent(); }
};

// What one thread works in.
template <class T>
class Workspace {
 public:
  Workspace(std::initializer_list<const Axis<T>*> axes, int64_t block_values) {
    int64_t buffer = 0, work = 0, line = 0;
    for (const Axis<T>* axis : axes) {
      buffer = std::max(buffer, axis->transform->buffer_size());
      work = std::max(work, axis->transform->work_size());
      line = std::max(line, round_up_to_lanes<T>(axis->extent()));
    }
    const int64_t block_lanes = round_up_to_lanes<T>(block_values) / kLanes<T>;
    memory_.resize(2 * buffer + (work + 2 * line + block_lanes + 1) / 2 + 1);
    auto* lanes = reinterpret_cast<Lanes<T>*>(memory_.data());
    buffers = {memory_.data(), memory_.data() + buffer};
    transform_work = lanes + 4 * buffer;
    line_in = reinterpret_cast<T*>(transform_work + work);
    line_out = line_in + line * kLanes<T>;
    block = line_out + line * kLanes<T>;
  }

  Buffers<T> buffers;
  Lanes<T>* transform_work;
  T *line_in, *line_out;  // [longest extent, rounded up][W]
  T* block;               // [block_values]

  void forward(const Axis<T>& axis, Rows<T> from, Rows<T> to) {
    axis.transform->forward({from.base, from.stride}, to, buffers, transform_work);
  }
  void inverse(const Axis<T>& axis, Rows<T> from, Rows<T> to) {
    axis.transform->inverse({from.base, from.stride}, to, buffers, transform_work);
  }

 private:
  std::vector<Complex<T>> memory_;
};

// Rows of a block in L2 stand a few lines further apart than they are long, so that no power of two keeps them from
// using the whole cache.
template <class T>
int64_t padded(int64_t n) {
  const int64_t lines = (n * static_cast<int64_t>(sizeof(T)) + 63) / 64;
  return (lines | 1) * 64 / static_cast<int64_t>(sizeof(T));
}

// W rows of n values, `stride` apart, to lines [n][W] and back.
template <class T>
void rows_to_line(const T* rows, int64_t stride, int64_t n, T* line) {
  constexpr int64_t W = kLanes<T>;
  for (int64_t k = 0; k < n; k += W) transpose(rows + k, stride, line + k * W, W);
}
template <class T>
void line_to_rows(const T* line, int64_t n, T* rows, int64_t stride) {
  constexpr int64_t W = kLanes<T>;
  for (int64_t k = 0; k < n; k += W) transpose(line + k * W, W, rows + k, stride);
}

// The first `width` lanes of n vectors.
template <class T>
void pack(const T* line, int64_t n, int64_t width, T* packed) {
  for (int64_t k = 0; k < n; ++k) std::copy_n(line + k * kLanes<T>, width, packed + k * width);
}
template <class T>
void unpack(const T* packed, int64_t n, int64_t width, T* line) {
  for (int64_t k = 0; k < n; ++k) std::copy_n(packed + k * width, width, line + k * kLanes<T>);
}

template <class T>
void copy_rows(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows, int64_t n) {
  for (int64_t i = 0; i < rows; ++i) std::copy_n(from + i * from_stride, n, to + i * to_stride);
}

// Pass 1 of a box: f [planes, ny, nz] -> out, each plane as [ny / W][nz][W].
template <class T>
void planes_forward(const T* f, T* out, int64_t planes, const Axis<T>& y, const Axis<T>& z) {
  constexpr int64_t W = kLanes<T>;
  const int64_t ny = y.extent(), nz = z.extent(), stride = padded<T>(nz);
  core::parallel_range(planes, ny * nz, [&](int64_t begin, int64_t end) {
    Workspace<T> own({&y, &z}, round_up_to_lanes<T>(ny) * stride);
    for (int64_t plane = begin; plane < end; ++plane) {
      const T* values = f + plane * ny * nz;
      const int64_t whole = nz / W * W;
      for (int64_t k = 0; k < whole; k += W) own.forward(y, {const_cast<T*>(values) + k, nz}, {own.block + k, stride});
      if (whole < nz) {
        copy_rows(values + whole, nz, own.block + whole, stride, ny, nz - whole);
        own.forward(y, {own.block + whole, stride}, {own.block + whole, stride});
      }
      for (int64_t j = 0; j < ny; j += W) {
        const int64_t width = std::min(W, ny - j);
        T* lines = out + (plane * ny + j) * nz;
        if (plane + 1 < end) core::prefetch(f + ((plane + 1) * ny + j) * nz, width * nz);
        rows_to_line(own.block + j * stride, stride, nz, own.line_in);
        own.forward(z, {own.line_in, W}, {width == W ? lines : own.line_out, W});
        if (width < W) pack(own.line_out, nz, width, lines);
      }
    }
  });
}

// Pass 3 of a box, its inverse, in place.
template <class T>
void planes_inverse(T* out, int64_t planes, const Axis<T>& y, const Axis<T>& z) {
  constexpr int64_t W = kLanes<T>;
  const int64_t ny = y.extent(), nz = z.extent(), stride = padded<T>(nz), whole = nz / W * W;
  core::parallel_range(planes, ny * nz, [&](int64_t begin, int64_t end) {
    Workspace<T> own({&y, &z}, round_up_to_lanes<T>(ny) * stride);
    for (int64_t plane = begin; plane < end; ++plane) {
      T* to = out + plane * ny * nz;
      for (int64_t j = 0; j < ny; j += W) {
        const int64_t width = std::min(W, ny - j);
        T* lines = to + j * nz;
        if (width < W) unpack(lines, nz, width, own.line_in);
        own.inverse(z, {width == W ? lines : own.line_in, W}, {own.line_out, W});
        line_to_rows(own.line_out, nz, own.block + j * stride, stride);
      }
      for (int64_t k = 0; k < whole; k += W) own.inverse(y, {own.block + k, stride}, {to + k, nz});
      if (whole == nz) continue;
      own.inverse(y, {own.block + whole, stride}, {own.block + whole, stride});
      copy_rows(own.block + whole, stride, to + whole, nz, ny, nz - whole);
    }
  });
}

// Passes 1 and 3 of a sheet, along z: from, to [rows, nz].
template <class T>
void rows_along_z(const T* from, T* to, int64_t rows, const Axis<T>& z, bool forward) {
  constexpr int64_t W = kLanes<T>;
  const int64_t nz = z.extent(), stride = padded<T>(nz);
  core::parallel_range((rows + W - 1) / W, W * nz, [&](int64_t begin, int64_t end) {
    Workspace<T> own({&z}, W * stride);
    for (int64_t row = begin * W; row < std::min(end * W, rows); row += W) {
      const int64_t width = std::min(W, rows - row);
      copy_rows(from + row * nz, nz, own.block, stride, width, nz);
      rows_to_line(own.block, stride, nz, own.line_in);
      if (forward)
        own.forward(z, {own.line_in, W}, {own.line_out, W});
      else
        own.inverse(z, {own.line_in, W}, {own.line_out, W});
      line_to_rows(own.line_out, nz, own.block, stride);
      copy_rows(own.block, stride, to + row * nz, nz, width, nz);
    }
  });
}

// Pass 2, in place: u [batch, nx, columns]; across [columns] is the other axes' sum of eigenvalues and alpha.
template <class T>
void columns_along_x(T* u, int64_t batch, const Axis<T>& x, const Values<T>& across, T scale) {
  constexpr int64_t W = kLanes<T>, kTile = kTileRowBytes / static_cast<int64_t>(sizeof(T));
  const int64_t stride = padded<T>(kTile);
  const int64_t nx = x.extent(), columns = static_cast<int64_t>(across.size());
  const int64_t tiles = (columns + kTile - 1) / kTile;
  core::parallel_range(batch * tiles, nx * kTile, [&](int64_t begin, int64_t end) {
    Workspace<T> own({&x}, (nx + 1) * stride);
    T* sums = own.block + nx * stride;
    for (int64_t t = begin; t < end; ++t) {
      const int64_t first = t % tiles * kTile, width = std::min(kTile, columns - first);
      T* const tile = u + t / tiles * nx * columns + first;
      copy_rows(tile, columns, own.block, stride, nx, width);
      std::copy_n(across.data() + first, width, sums);
      for (int64_t c = 0; c < width; c += W) {
        const Rows<T> rows{own.block + c, stride};
        const Lanes<T> sum = load(sums + c);
        if (!x.transform->identity()) own.forward(x, rows, rows);
        for (int64_t i = 0; i < nx; ++i) {
          const Lanes<T> eigenvalue = sum + x.eigenvalues[i];
          const Lanes<T> quotient = rows[i] * (scale / eigenvalue);
          rows.set(i, eigenvalue == T{0} ? Lanes<T>{} : quotient);
        }
        if (!x.transform->identity()) own.inverse(x, rows, rows);
      }
      copy_rows(own.block, stride, tile, columns, nx, width);
    }
  });
}

// The eigenvalues of y and z and alpha, summed, in the order in which pass 1 leaves a plane.
template <class T>
Values<T> sums_of_plane(const Axis<T>& y, const Axis<T>& z, T alpha) {
  const int64_t ny = y.extent(), nz = z.extent();
  Values<T> sums;
  sums.reserve(ny * nz);
  for (int64_t j = 0; j < ny; j += kLanes<T>) {
    for (int64_t k = 0; k < nz; ++k) {
      for (int64_t lane = j; lane < std::min(j + kLanes<T>, ny); ++lane) {
        sums.push_back(y.eigenvalues[lane] + z.eigenvalues[k] + alpha);
      }
    }
  }
  return sums;
}

template <class T>
void solve(const Tensor& f, const std::vector<int64_t>& transforms, const std::vector<Tensor>& eigenvalues, T alpha,
           Tensor& out) {
  const T* from = core::data<T>(f);
  T* to = core::mutable_data<T>(out);
  const int64_t batch = f.size(0);
  std::vector<Axis<T>> axes;
  double scale = 1;
  for (int64_t d = 0; d < 3; ++d) {
    const T* values = core::data<T>(eigenvalues[d]);
    if (f.size(d + 1) == 1) {
      alpha += values[0];
    } else {
      axes.push_back({axis_transform<T>(f.size(d + 1), static_cast<Basis>(transforms[d])), values});
      scale /= axes.back().transform->scale();
    }
  }
  if (axes.size() == 3) {
    const Axis<T>&x = axes[0], &y = axes[1], &z = axes[2];
    planes_forward(from, to, batch * x.extent(), y, z);
    columns_along_x(to, batch, x, sums_of_plane(y, z, alpha), static_cast<T>(scale));
    planes_inverse(to, batch * x.extent(), y, z);
    return;
  }
  const T zero = 0;
  while (axes.size() < 2) axes.insert(axes.begin(), Axis<T>{axis_transform<T>(1, Basis::kNeumann), &zero});
  const Axis<T>&x = axes[0], &z = axes[1];
  Values<T> sums(z.eigenvalues, z.eigenvalues + z.extent());
  for (T& sum : sums) sum += alpha;
  rows_along_z(from, to, batch * x.extent(), z, true);
  columns_along_x(to, batch, x, sums, static_cast<T>(scale));
  rows_along_z<T>(to, to, batch * x.extent(), z, false);
}

void check_arguments(const Tensor& f, const std::vector<int64_t>& transforms, const std::vector<Tensor>& eigenvalues) {
  constexpr const char* op = "fast_poisson";
  const auto type = f.scalar_type();
  core::check(f.dim() == 4 && f.numel() > 0, op, "f", "be a non-empty [batch, nx, ny, nz] tensor");
  core::check(type == core::ScalarType::Float || type == core::ScalarType::Double, op, "f", "be float32 or float64");
  core::check_contiguous(f, type, op, "f");
  core::check(transforms.size() == 3, op, "transforms", "have 3 entries");
  core::check(eigenvalues.size() == 3, op, "eigenvalues", "be 3 tensors");
  for (int64_t d = 0; d < 3; ++d) {
    const bool known = transforms[d] >= 0 && transforms[d] < static_cast<int64_t>(Basis::kCount);
    core::check(known, op, "transforms", "be codes of fastsciml.ops.Transform");
    core::check_contiguous(eigenvalues[d], type, op, "eigenvalues");
    core::check(eigenvalues[d].dim() == 1 && eigenvalues[d].size(0) == f.size(d + 1), op, "eigenvalues",
                "have one entry for each of an axis' unknowns");
  }
}

}  // namespace

Tensor fast_poisson(Tensor f, std::vector<int64_t> transforms, std::vector<Tensor> eigenvalues, double alpha) {
  check_arguments(f, transforms, eigenvalues);
  Tensor out = torch::stable::empty_like(f);
  core::advise_huge_pages(out);
  if (f.scalar_type() == core::ScalarType::Double)
    solve<double>(f, transforms, eigenvalues, alpha, out);
  else
    solve<float>(f, transforms, eigenvalues, static_cast<float>(alpha), out);
  return out;
}

}  // namespace fastsciml::spectral
